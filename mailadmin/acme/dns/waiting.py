"""Whether every authoritative server shows a TXT record.

An authority asks any of them, so one that lags makes a challenge fail by luck. Each call is one
look with an end; who waits looks again later.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings

from mailadmin.acme.dns.answers import Answer
from mailadmin.acme.dns.delegation import Zone, find_zone
from mailadmin.acme.dns.resolving import Resolver, ask_server
from mailadmin.acme.dns.wire import DNS_PORT, Server

LOOK_LIMIT = 3.0  # seconds for the whole look: all servers are asked at once
_MOST_ADDRESSES = 32


class Sight(StrEnum):
    """What one server shows. ``ASTRAY``: it answers, and says that the zone is not its own."""

    SEEN = "seen"
    NOT_YET = "not_yet"
    ASTRAY = "astray"
    UNREACHABLE = "unreachable"


# How a server counts whose addresses differ: an authority may ask either.
_GRAVITY = (Sight.NOT_YET, Sight.ASTRAY, Sight.SEEN, Sight.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class AddressSight:
    """What a server shows at one of its addresses."""

    address: str
    sight: Sight
    rcode: str = ""


@dataclass(frozen=True, slots=True)
class ServerSight:
    """What a server shows at all its addresses; one without any cannot be reached."""

    name: str
    addresses: tuple[AddressSight, ...]

    @property
    def sight(self) -> Sight:
        """Return the worst that an address shows; one out of reach counts only if all are."""
        found = {item.sight for item in self.addresses}
        return next((sight for sight in _GRAVITY if sight in found), Sight.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class Look:
    """What all authoritative servers show of one value."""

    record: str
    zone: str
    servers: tuple[ServerSight, ...]

    @property
    def is_everywhere(self) -> bool:
        """Tell whether every server that can be reached from here shows it, and one at least."""
        sights = {server.sight for server in self.servers}
        return Sight.SEEN in sights and sights <= {Sight.SEEN, Sight.UNREACHABLE}

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form, to be stored and shown."""
        return {
            "record": self.record,
            "zone": self.zone,
            "is_everywhere": self.is_everywhere,
            "servers": [
                {
                    "name": server.name,
                    "sight": str(server.sight),
                    "addresses": [
                        {"address": item.address, "sight": str(item.sight), "rcode": item.rcode}
                        for item in server.addresses
                    ],
                }
                for server in self.servers
            ],
        }


def look(record_name: str, value: str, resolver: Resolver | None = None) -> Look:
    """Look once at all servers of the zone that the record is in.

    Raises ``DnsFailure``: what :func:`find_zone` raises, and ``dns.no_resolver`` or
    ``dns.server_invalid`` for the settings.
    """
    zone = find_zone(resolver or Resolver.from_settings(), record_name)
    return look_for_txt(zone, record_name, value, port=settings.DNS_AUTHORITY_PORT)


def look_for_txt(zone: Zone, record: str, value: str, *, port: int = DNS_PORT) -> Look:
    """Ask every address of every server of the zone, all at once.

    Raises ``DnsFailure`` with ``dns.name_invalid`` only.
    """
    deadline = time.monotonic() + LOOK_LIMIT
    addresses = [item for server in zone.servers for item in server.addresses][:_MOST_ADDRESSES]

    def look_at(address: str) -> AddressSight:
        answer = ask_server(record, "TXT", Server(address, port), deadline, is_recursive=False)
        return AddressSight(address, _judge(answer, value), answer.rcode)

    with ThreadPoolExecutor(max(1, len(addresses))) as pool:
        seen = {item.address: item for item in pool.map(look_at, addresses)}
    return Look(
        record,
        zone.name,
        tuple(
            ServerSight(server.name, tuple(_pick(server.addresses, seen)))
            for server in zone.servers
        ),
    )


def _pick(addresses: Iterable[str], seen: dict[str, AddressSight]) -> Iterable[AddressSight]:
    return (seen[address] for address in addresses if address in seen)


def _judge(answer: Answer, value: str) -> Sight:
    if answer.is_silent:
        return Sight.UNREACHABLE
    if not answer.is_definite or not answer.is_authoritative:
        return Sight.ASTRAY
    return Sight.SEEN if value in answer.texts else Sight.NOT_YET
