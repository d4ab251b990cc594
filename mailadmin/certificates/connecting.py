"""Connections to places that somebody else names, within a time that nobody can stretch.

A name is looked up once, whoever calls chooses among its addresses, and the connection goes to the
very address that was looked at: a name that points elsewhere a moment later changes nothing.
"""

from __future__ import annotations

import io
import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA gives out so far

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Deadline:
    """When everything has to be over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends_at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left. Raises ``TimeoutError`` when there are none."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def is_public(ip: Address) -> bool:
    """Tell whether an address is one of the internet, and no wrapping of another kind."""
    if isinstance(ip, ipaddress.IPv6Address):
        is_wrapping = ip.sixtofour is not None or ip.teredo is not None
        return ip in _GLOBAL_UNICAST and ip.is_global and not is_wrapping
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def resolve(host: str, port: int, deadline: Deadline) -> list[Address]:
    """Return the addresses of the host; none if there is no such name.

    The system's resolver knows no deadline, so it is asked in a thread that is not waited for.
    Raises ``TimeoutError``.
    """
    answers: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()
    question = threading.Thread(target=_look_up, args=(host, port, answers), daemon=True)
    question.start()
    try:
        texts = answers.get(timeout=deadline.left())
    except queue.Empty:
        raise TimeoutError from None
    return [ipaddress.ip_address(text) for text in texts]


def connect(addresses: Sequence[Address], port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first address that answers; each gets its share of the time.

    Raises ``OSError``, of which ``TimeoutError`` is one.
    """
    *others, last = addresses
    for waiting, ip in enumerate(others):
        share = deadline.left() / (len(addresses) - waiting)
        try:
            return socket.create_connection((str(ip), port), share)
        except OSError:
            continue
    return socket.create_connection((str(last), port), deadline.left())


class DeadlineStream(io.RawIOBase):
    """What comes in over a connection, as a file that a slow sender cannot keep open.

    A time limit of the socket alone begins anew with every byte. Reading raises ``TimeoutError``.
    """

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the file, as a socket would."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Wait for the next bytes, no longer than is left."""
        self._connection.settimeout(self._deadline.left())
        return self._connection.recv_into(buffer)


def _look_up(host: str, port: int, answers: queue.SimpleQueue[Sequence[str]]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        found = []
    # A link-local address comes with its interface: fe80::1%eth0.
    answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
