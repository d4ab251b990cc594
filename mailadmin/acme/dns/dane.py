"""Whether a TLSA record (DANE, RFC 7672) may name the key that a mail server shows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings

from mailadmin.acme.dns.answers import Answer
from mailadmin.acme.dns.delegation import find_zone
from mailadmin.acme.dns.failures import DnsFailure
from mailadmin.acme.dns.resolving import Resolver, ask_server
from mailadmin.acme.dns.wire import Server

_NOT_IMPLEMENTED = "NOTIMP"
_TRY_LIMIT = 2.0  # seconds for one server
_MOST_SERVERS = 4


class Tlsa(StrEnum):
    """What is known. ``UNKNOWN_TYPE``: the zone's servers cannot hold such a record at all."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TlsaLook:
    """What is known of a host's records, and the response code it is known by."""

    host: str
    finding: Tlsa
    rcode: str = ""

    @property
    def may_name_key(self) -> bool:
        """Tell whether changing the key could stop mail; it may when nobody knows."""
        return self.finding in {Tlsa.PRESENT, Tlsa.UNKNOWN}


def look_for_tlsa(host: str, port: int, resolver: Resolver) -> TlsaLook:
    """Ask for the TLSA records of a port.

    NOTIMP says that who was asked does not know the type. Of a forwarder on the way that proves
    nothing, so the zone's own servers are asked; of them it proves that there is no such record.
    """
    name = f"_{port}._tcp.{host}"
    answer = resolver.ask(name, "TLSA")
    if answer.rcode != _NOT_IMPLEMENTED:
        finding = Tlsa.ABSENT if answer.is_definite else Tlsa.UNKNOWN
        return TlsaLook(host, Tlsa.PRESENT if answer.tlsa else finding, answer.rcode)
    try:
        zone = find_zone(resolver, name)
    except DnsFailure as failure:
        # Who does not know SOA or NS either looks nothing up: it is all the DNS that there is.
        knows_no_zones = failure.problem.params.get("rcode") == _NOT_IMPLEMENTED
        finding = Tlsa.UNKNOWN_TYPE if knows_no_zones else Tlsa.UNKNOWN
        return TlsaLook(host, finding, _NOT_IMPLEMENTED)
    addresses = [item for server in zone.servers for item in server.addresses][:_MOST_SERVERS]
    answers = [_ask_directly(name, address) for address in addresses]
    return TlsaLook(host, _judge(answers), _NOT_IMPLEMENTED)


def _ask_directly(name: str, address: str) -> Answer:
    server = Server(address, settings.DNS_AUTHORITY_PORT)
    return ask_server(name, "TLSA", server, time.monotonic() + _TRY_LIMIT, is_recursive=False)


def _judge(answers: list[Answer]) -> Tlsa:
    """Return what the zone's own servers say; an alias leads to servers that were not asked."""
    if any(answer.tlsa for answer in answers):
        return Tlsa.PRESENT
    knowing = [answer for answer in answers if answer.rcode != _NOT_IMPLEMENTED]
    if not knowing:
        return Tlsa.UNKNOWN_TYPE
    is_sure = all(
        answer.is_definite and answer.is_authoritative and not answer.aliases for answer in knowing
    )
    return Tlsa.ABSENT if is_sure else Tlsa.UNKNOWN
