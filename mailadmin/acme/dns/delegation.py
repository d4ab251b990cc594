"""Where a challenge's record really is, and who serves it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mailadmin.acme.dns.answers import Answer
from mailadmin.acme.dns.failures import dns_failure
from mailadmin.acme.dns.resolving import Resolver, require_definite

_MOST_ALIASES = 8  # authorities follow about ten
_MOST_SERVERS = 16  # a zone with more is asked at the first ones
_AT_ONCE = 8
_NO_ZONE = ("", ".")  # nobody writes into the root


@dataclass(frozen=True, slots=True)
class NameServer:
    """One of the servers that a zone names as its own, with its addresses of both families."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone and who serves it."""

    name: str
    servers: tuple[NameServer, ...]


@dataclass(frozen=True, slots=True)
class RecordPlace:
    """Where the value of a challenge has to be written: the last of the names that CNAME records
    lead through (``aliases``), and the zone it is in."""

    record_name: str
    aliases: tuple[str, ...]
    zone: Zone


def find_record(name: str, resolver: Resolver | None = None) -> RecordPlace:
    """Return where the record that is asked for by this name really is.

    Raises ``DnsFailure``: what :func:`follow_aliases` and :func:`find_zone` raise, and
    ``dns.no_resolver`` or ``dns.server_invalid`` for the settings.
    """
    resolver = resolver or Resolver.from_settings()
    *aliases, record_name = follow_aliases(resolver, name)
    return RecordPlace(record_name, tuple(aliases), find_zone(resolver, record_name))


def follow_aliases(resolver: Resolver, name: str) -> tuple[str, ...]:
    """Return the names that CNAME records lead through, as an authority follows them.

    The first is the name itself, the last the one without a CNAME.

    Raises ``DnsFailure``: ``dns.alias_loop``, ``dns.alias_too_long``, ``dns.no_answer``,
    ``dns.bogus``, ``dns.lookup_failed``, ``dns.name_invalid``.
    """
    passed = [name]
    while targets := require_definite(resolver.ask(passed[-1], "CNAME")).targets:
        target = targets[0]
        if target in passed:
            raise dns_failure("dns.alias_loop", name, chain=_show_chain([*passed, target]))
        passed.append(target)
        if len(passed) > _MOST_ALIASES:
            raise dns_failure("dns.alias_too_long", name, chain=_show_chain(passed))
    return tuple(passed)


def find_zone_name(resolver: Resolver, name: str) -> str:
    """Return the zone that the name belongs to, whether the name is there or not.

    Raises ``DnsFailure``: ``dns.zone_unknown``, and what :func:`require_definite` raises.
    """
    asked = name
    while asked:
        answer = require_definite(resolver.ask(asked, "SOA"))
        if answer.zone not in _NO_ZONE:
            return answer.zone
        asked = asked.partition(".")[2]
    raise dns_failure("dns.zone_unknown", name)


def find_zone(resolver: Resolver, name: str) -> Zone:
    """Return the zone that the name belongs to, with every address of all its servers.

    Raises ``DnsFailure``: ``dns.zone_unknown``, ``dns.zone_without_servers``, and what
    :func:`require_definite` raises.
    """
    zone = find_zone_name(resolver, name)
    names = sorted(require_definite(resolver.ask(zone, "NS")).targets)[:_MOST_SERVERS]
    questions = [(host, kind) for host in names for kind in ("A", "AAAA")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda question: resolver.ask(*question), questions))
    servers = tuple(NameServer(host, _addresses_of(host, answers)) for host in names)
    if not any(server.addresses for server in servers):
        raise dns_failure("dns.zone_without_servers", zone, servers=", ".join(names))
    return Zone(zone, servers)


def _addresses_of(host: str, answers: list[Answer]) -> tuple[str, ...]:
    return tuple(
        address for answer in answers if answer.name == host for address in answer.addresses
    )


def _show_chain(names: list[str]) -> str:
    return " → ".join(names)
