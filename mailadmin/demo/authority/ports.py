"""Free ports on loopback, remembered: who was told an address finds it again after a restart."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path

from mailadmin.demo.files import write_private_file
from mailadmin.sandbox.addresses import can_listen

LOOPBACK = "127.0.0.1"
_MOST_TRIALS = 100
_PORTS = range(20_000, 32_000)


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
    """Return a port that is free for TCP and for UDP.

    It is none that the kernel gives to outgoing connections (ip(7), ip_local_port_range): on a
    busy machine one of these could have it before the program that is told about it.
    """
    for _ in range(_MOST_TRIALS):
        port = secrets.choice(_PORTS)
        with socket.socket(type=socket.SOCK_DGRAM) as receiver:
            try:
                receiver.bind((LOOPBACK, port))
            except OSError:
                continue
        if port not in taken and can_listen(LOOPBACK, port):
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
