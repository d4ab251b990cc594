"""Asking DNS one question, with an end to the waiting.

That nobody answers is an answer of its own, never an exception: whoever asks has to say it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
from django.conf import settings

from mailadmin.acme.dns.answers import Answer, read_answer
from mailadmin.acme.dns.failures import dns_failure
from mailadmin.acme.dns.wire import (
    SAFE_PAYLOAD,
    Server,
    SilenceError,
    exchange,
    parse_name,
    parse_server,
)
from mailadmin.issuance.preflight import Dnssec

LOOKUP_LIMIT = 6.0  # seconds for a whole lookup
_TRY_LIMIT = 2.0  # seconds for one server, so that a dead one leaves time for the next
_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Resolver:
    """The servers that look up for us, in the order they are asked."""

    servers: tuple[Server, ...]
    limit: float = LOOKUP_LIMIT

    @classmethod
    def from_settings(cls) -> Resolver:
        """Return that of ``MAILADMIN_DNS_RESOLVERS``, or the system's own.

        Raises ``DnsFailure``: ``dns.server_invalid``, ``dns.no_resolver``.
        """
        return cls(parse_servers(settings.DNS_RESOLVERS) or _read_system_servers())

    def ask(self, name: str, kind: str) -> Answer:
        """Ask for the records of a kind (``A``, ``AAAA``, ``CNAME``, ``NS``, ``SOA``, ``TXT``,
        ``CAA``, ``TLSA``).

        Raises ``DnsFailure`` with ``dns.name_invalid`` only.
        """
        deadline = time.monotonic() + self.limit
        last = Answer(name, kind)
        for server in self.servers * _ROUNDS:
            answer = self._ask_one(name, kind, server, deadline)
            if answer.is_definite or answer.dnssec is Dnssec.BOGUS:
                return answer
            if not answer.is_silent:
                last = answer
            if time.monotonic() >= deadline:
                break
        return last

    def _ask_one(self, name: str, kind: str, server: Server, deadline: float) -> Answer:
        until = min(deadline, time.monotonic() + _TRY_LIMIT)
        answer = ask_server(name, kind, server, until)
        if answer.rcode == "SERVFAIL" and self._answers_unchecked(name, kind, server, deadline):
            return replace(answer, dnssec=Dnssec.BOGUS)
        return answer

    def _answers_unchecked(self, name: str, kind: str, server: Server, deadline: float) -> bool:
        """Tell whether there is an answer once nobody checks its signatures (RFC 4035, 3.2.2)."""
        until = min(deadline, time.monotonic() + _TRY_LIMIT)
        return ask_server(name, kind, server, until, flags=dns.flags.CD).is_definite


def ask_server(
    name: str,
    kind: str,
    server: Server,
    deadline: float,
    *,
    flags: int = 0,
    is_recursive: bool = True,
) -> Answer:
    """Ask this very server once, until the deadline (``time.monotonic``).

    ``is_recursive`` is off for authoritative servers: only what they know themselves counts.
    Raises ``DnsFailure`` with ``dns.name_invalid`` only.
    """
    # AD in a question asks whether the answer was checked (RFC 6840, section 5.7).
    wanted = (dns.flags.RD | dns.flags.AD if is_recursive else 0) | flags
    question = dns.message.make_query(
        parse_name(name),
        dns.rdatatype.from_text(kind),
        use_edns=0,
        payload=SAFE_PAYLOAD,
        flags=wanted,
    )
    try:
        response = exchange(question, server, deadline)
        if response.rcode() == dns.rcode.FORMERR:
            # So answers who does not know EDNS (RFC 6891, section 7).
            question.use_edns(False)
            response = exchange(question, server, deadline)
    except SilenceError:
        return Answer(name, kind)
    return read_answer(name, kind, response)


def parse_servers(texts: Iterable[str]) -> tuple[Server, ...]:
    """Return the servers, in order. Raises ``DnsFailure`` with ``dns.server_invalid``."""
    return tuple(parse_server(text) for text in texts)


def require_definite(answer: Answer) -> Answer:
    """Return the answer if it says what there is.

    Raises ``DnsFailure``: ``dns.no_answer``, ``dns.bogus``, ``dns.lookup_failed``.
    """
    if answer.is_definite:
        return answer
    if answer.is_silent:
        raise dns_failure("dns.no_answer", answer.name, kind=answer.kind)
    code = "dns.bogus" if answer.dnssec is Dnssec.BOGUS else "dns.lookup_failed"
    raise dns_failure(
        code,
        answer.name,
        kind=answer.kind,
        rcode=answer.rcode,
        explanation=answer.explanation or answer.rcode,
    )


def _read_system_servers() -> tuple[Server, ...]:
    try:
        found = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        raise dns_failure("dns.no_resolver") from None
    servers = tuple(
        Server(address, found.port) for address in found.nameservers if isinstance(address, str)
    )
    if not servers:
        raise dns_failure("dns.no_resolver")
    return servers
