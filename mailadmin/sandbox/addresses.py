"""Find a spare loopback address, and ports on it that nobody listens on."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator, Mapping

from mailadmin.sandbox.errors import SandboxError

STANDARD_PORTS: Mapping[str, int] = {
    "smtp": 25,
    "submissions": 465,
    "submission": 587,
    "imap": 143,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
    "sieve": 4190,
}

_MOST_CANDIDATES = 32


def candidate_addresses(seed: str) -> Iterator[str]:
    """Yield loopback addresses which look random, but are always the same for one seed.

    127.0.0.0/16 is left out: it is where resolvers and other local services live.
    """
    for attempt in range(_MOST_CANDIDATES):
        digest = hashlib.sha256(f"{seed}:{attempt}".encode()).digest()
        yield f"127.{16 + digest[0] % 224}.{1 + digest[1] % 254}.{1 + digest[2] % 254}"


def can_listen(address: str, port: int) -> bool:
    """Say whether a program started now could listen on this address and port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        # As the daemons do: connections that are still closing are no hindrance.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
            listener.listen(1)
        except OSError:
            return False
    return True


def pick_address(seed: str) -> str:
    """Return the first spare address with all standard ports free, else the first candidate."""
    for address in candidate_addresses(seed):
        if all(can_listen(address, port) for port in STANDARD_PORTS.values()):
            return address
    return next(candidate_addresses(seed))


def pick_ports(address: str) -> dict[str, int]:
    """Return a port for every service: the standard one where it is free, else a high one.

    Raises SandboxError when the address is not one of this machine.
    """
    ports: dict[str, int] = {}
    for service, standard in STANDARD_PORTS.items():
        taken = set(ports.values())
        is_free = standard not in taken and can_listen(address, standard)
        ports[service] = standard if is_free else _find_high_port(address, taken)
    return ports


def _find_high_port(address: str, taken: set[int]) -> int:
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            try:
                listener.bind((address, 0))
            except OSError as error:
                raise SandboxError(
                    f"No program can listen on {address}: {error.strerror}. Give the sandbox an "
                    "address of this machine, for example one that starts with 127."
                ) from error
            port: int = listener.getsockname()[1]
        if port not in taken:
            return port
    raise SandboxError(f"No free port was found on {address}. Give the sandbox another address.")
