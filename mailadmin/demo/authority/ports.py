"""Free ports on loopback, remembered: who was told an address finds it again after a restart."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from pathlib import Path

from mailadmin.demo.files import write_private_file
from mailadmin.sandbox.addresses import can_listen

LOOPBACK = "127.0.0.1"
_MOST_TRIALS = 100


def keep_ports(file: Path, names: Iterable[str]) -> dict[str, int]:
    """Return a port for each name: the one noted in the file, or a free one, noted now.

    One that somebody else has taken since is replaced.
    """
    noted = _read(file)
    ports: dict[str, int] = {}
    for name in names:
        port = noted.get(name)
        taken = set(ports.values())
        if port is None or port in taken or not can_listen(LOOPBACK, port):
            port = find_free_port(taken)
        ports[name] = port
    write_private_file(file, json.dumps(ports))
    return ports


def find_free_port(taken: Iterable[int] = ()) -> int:
    """Return a port that is free for TCP and for UDP."""
    for _ in range(_MOST_TRIALS):
        with socket.socket() as listener, socket.socket(type=socket.SOCK_DGRAM) as receiver:
            listener.bind((LOOPBACK, 0))
            port = int(listener.getsockname()[1])
            try:
                receiver.bind((LOOPBACK, port))
            except OSError:
                continue
        if port not in taken:
            return port
    raise OSError(f"no port of {LOOPBACK} is free")


def is_listening(port: int) -> bool:
    """Say whether a program accepts connections on the port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=0.5):
            return True
    except OSError:
        return False


def _read(file: Path) -> dict[str, int]:
    try:
        noted = json.loads(file.read_text(encoding="ascii"))
        return {str(name): int(port) for name, port in noted.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
