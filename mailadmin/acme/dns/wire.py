"""One DNS message and its answer, within a deadline: UDP, and TCP where that was cut off."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name
import dns.query

from mailadmin.acme.dns.failures import dns_failure

DNS_PORT = 53
# Bytes of UDP payload that no network cuts into pieces (the DNS flag day of 2020).
SAFE_PAYLOAD = 1232


@dataclass(frozen=True, slots=True)
class Server:
    """An address that answers DNS."""

    address: str
    port: int = DNS_PORT

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return host if self.port == DNS_PORT else f"{host}:{self.port}"


class SilenceError(Exception):
    """Nothing that is an answer came in time."""


def parse_server(text: str) -> Server:
    """Return the server of ``address``, ``address:port`` or ``[address]:port``.

    Raises ``DnsFailure`` with ``dns.server_invalid``; names are not looked up here.
    """
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = str(ipaddress.ip_address(host))
        number = int(port) if port else DNS_PORT
    except ValueError:
        raise dns_failure("dns.server_invalid", text) from None
    if not 0 < number < 1 << 16:
        raise dns_failure("dns.server_invalid", text)
    return Server(address, number)


def parse_name(text: str) -> dns.name.Name:
    """Return the absolute name. Raises ``DnsFailure`` with ``dns.name_invalid``."""
    try:
        # Only A-labels come here, so nothing is to be mapped.
        return dns.name.from_text(text.removesuffix(".") + ".")
    except (dns.exception.DNSException, UnicodeError):
        raise dns_failure("dns.name_invalid", text[:100]) from None


def show_name(name: dns.name.Name) -> str:
    """Return the name as people write it: lower case, without the dot of the root."""
    return name.to_text(omit_final_dot=True).lower()


def exchange(
    message: dns.message.Message, server: Server, deadline: float
) -> dns.message.QueryMessage:
    """Send the message and return the answer, by TCP when it did not fit into a datagram.

    ``deadline`` is in seconds of ``time.monotonic``. Raises :class:`SilenceError`.
    """
    try:
        try:
            with connected_udp(server) as endpoint:
                answer = dns.query.udp(
                    message,
                    server.address,
                    timeout=_seconds_until(deadline),
                    port=server.port,
                    # A forged or broken datagram does not end the waiting for the real one.
                    ignore_errors=True,
                    raise_on_truncation=True,
                    sock=endpoint,
                )
        except dns.message.Truncated:
            answer = dns.query.tcp(
                message,
                server.address,
                timeout=_seconds_until(deadline),
                port=server.port,
            )
    except (OSError, EOFError, dns.exception.DNSException):
        raise SilenceError from None
    if not isinstance(answer, dns.message.QueryMessage):
        raise SilenceError
    return answer


@contextmanager
def connected_udp(server: Server) -> Iterator[socket.socket]:
    """Open a socket on which only this server is heard, and a closed port is told at once."""
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as endpoint:
        endpoint.setblocking(False)
        endpoint.connect((server.address, server.port))
        yield endpoint


def _seconds_until(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise dns.exception.Timeout
    return left
