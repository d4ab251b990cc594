"""A name server on loopback that answers what a test says, for servers that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.message
import dns.rrset

from mailadmin.acme.dns.wire import Server

Reply = Callable[[dns.message.Message], list[bytes]]


@contextmanager
def answering(reply: Reply) -> Iterator[Server]:
    """Answer each datagram with those that the function returns, until the block ends."""
    with socket.socket(type=socket.SOCK_DGRAM) as endpoint:
        endpoint.bind(("127.0.0.1", 0))
        port = endpoint.getsockname()[1]

        def serve() -> None:
            while True:
                wire, peer = endpoint.recvfrom(65535)
                if not wire:
                    return
                for datagram in reply(dns.message.from_wire(wire, keyring=False)):  # type: ignore[arg-type]
                    endpoint.sendto(datagram, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Server("127.0.0.1", port)
        finally:
            with socket.socket(type=socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("127.0.0.1", port))
            thread.join()


def in_zone(zone: str) -> Reply:
    """Answer that nothing is there, and that the name belongs to the zone."""

    def reply(question: dns.message.Message) -> list[bytes]:
        answer = dns.message.make_response(question)
        soa = "ns1.test. admin.test. 1 3600 600 86400 60"
        answer.authority = [dns.rrset.from_text(f"{zone}.", 60, "IN", "SOA", soa)]
        return [answer.to_wire()]

    return reply
