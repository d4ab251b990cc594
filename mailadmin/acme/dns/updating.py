"""Dynamic updates (RFC 2136), signed with a shared key (TSIG, RFC 8945).

An update adds or removes exactly one value of one name. No exception raised here holds the key, in
its text or its cause.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update
from dns.rdtypes.ANY.TXT import TXT

from mailadmin.acme.dns.failures import DnsFailure, dns_failure
from mailadmin.acme.dns.resolving import Resolver, ask_server
from mailadmin.acme.dns.signing import (
    SignedReply,
    TsigKey,
    TsigState,
    exchange_signed,
    load_key,
)
from mailadmin.acme.dns.wire import DNS_PORT, Server, SilenceError, parse_name, parse_server
from mailadmin.acme.dns.writing import RECORD_TTL, split_text
from mailadmin.pki.problems import Param

UPDATE_LIMIT = 8.0  # seconds for an update, over all addresses of the server
_TRY_LIMIT = 3.0
_CODES = {
    dns.rcode.REFUSED: "dns.update_refused",
    dns.rcode.NOTAUTH: "dns.update_not_its_zone",
    dns.rcode.NOTZONE: "dns.update_outside_zone",
    dns.rcode.NOTIMP: "dns.update_not_offered",
}
_STATES = {
    TsigState.KEY_UNKNOWN: "dns.tsig_key_unknown",
    TsigState.SECRET_WRONG: "dns.tsig_secret_wrong",
    TsigState.CLOCK_OFF: "dns.tsig_time_refused",
    TsigState.FORGED: "dns.tsig_answer_wrong",
}


@dataclass(frozen=True, slots=True)
class DynamicUpdates:
    """Writes TXT records by dynamic updates; a ``DnsWriter``.

    ``host`` is an address, or a name that ``resolver`` looks up. Without a ``zone`` the server
    itself is asked which one a name belongs to: it may be a primary that nobody else knows of.
    """

    host: str
    key: TsigKey
    resolver: Resolver
    port: int = DNS_PORT
    zone: str = ""

    def add_txt(self, name: str, value: str) -> None:
        """Write the value beside those that are there. Raises ``DnsFailure``."""
        self._send(name, lambda update, owner: update.add(owner, RECORD_TTL, _txt(value)))

    def remove_txt(self, name: str, value: str) -> None:
        """Remove this value alone. Raises ``DnsFailure``."""
        self._send(name, lambda update, owner: update.delete(owner, _txt(value)))

    def find_zone_name(self, name: str) -> str:
        """Return the zone an update of the name goes to, as set or as the server says.

        Raises ``DnsFailure``.
        """
        if self.zone:
            return self.zone
        deadline = time.monotonic() + UPDATE_LIMIT
        answers = [
            ask_server(
                name,
                "SOA",
                server,
                min(deadline, time.monotonic() + _TRY_LIMIT),
                is_recursive=False,
            )
            for server in self._servers()
        ]
        found = next((answer.zone for answer in answers if answer.is_authoritative), "")
        if not found:
            is_silent = all(answer.is_silent for answer in answers)
            code = "dns.update_unreachable" if is_silent else "dns.update_no_zone"
            raise self._failure(code, name)
        return found

    def _servers(self) -> tuple[Server, ...]:
        try:
            literal = parse_server(self.host).address
        except DnsFailure:
            answers = [self.resolver.ask(self.host, kind) for kind in ("A", "AAAA")]
            found = tuple(address for answer in answers for address in answer.addresses)
        else:
            found = (literal,)
        if not found:
            raise self._failure("dns.update_host_unknown", self.host)
        return tuple(Server(address, self.port) for address in found)

    def _send(
        self, name: str, fill: Callable[[dns.update.UpdateMessage, dns.name.Name], object]
    ) -> None:
        key = load_key(self.key)
        owner = parse_name(name)
        zone = self.find_zone_name(name)
        if not owner.is_subdomain(parse_name(zone)):
            raise self._failure("dns.update_outside_zone", name, zone=zone)
        update = dns.update.UpdateMessage(parse_name(zone))
        fill(update, owner)
        server, reply = self._deliver(update, key, name)
        code = _judge(reply)
        if _may_mean_the_key(reply) and _has_zone(server, zone):
            code = "dns.tsig_key_unknown"
        if code:
            params: dict[str, Param] = {"zone": zone, "rcode": dns.rcode.to_text(reply.rcode)}
            if reply.clock_ahead:
                params["seconds"] = abs(reply.clock_ahead)
            raise self._failure(code, name, **params)

    def _deliver(
        self, update: dns.update.UpdateMessage, key: dns.tsig.Key, name: str
    ) -> tuple[Server, SignedReply]:
        """Return the first address that says anything, and what it said."""
        deadline = time.monotonic() + UPDATE_LIMIT
        for server in self._servers():
            with contextlib.suppress(SilenceError):
                until = min(deadline, time.monotonic() + _TRY_LIMIT)
                return server, exchange_signed(update, key, server, until)
        raise self._failure("dns.update_unreachable", name)

    def _failure(self, code: str, name: str, **params: Param) -> DnsFailure:
        shown = self.host if self.port == DNS_PORT else f"{self.host}, port {self.port}"
        known: dict[str, Param] = {"server": shown, "zone": self.zone, "key_name": self.key.name}
        return dns_failure(code, name, **known | params)


def read_access(settings: Mapping[str, object], secret: str, resolver: Resolver) -> DynamicUpdates:
    """Return what writes with the settings of a DNS access (``server``, ``port``, ``zone``,
    ``key_name``, ``algorithm``).

    Raises ``DnsFailure``: ``dns.tsig_algorithm``, ``dns.tsig_secret_invalid``,
    ``dns.name_invalid``, ``dns.port_invalid``.
    """
    key = TsigKey(str(settings["key_name"]), str(settings["algorithm"]), secret)
    load_key(key)
    text = str(settings.get("port") or DNS_PORT)
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 16):
        raise dns_failure("dns.port_invalid", text[:20])
    zone = str(settings.get("zone") or "")
    return DynamicUpdates(str(settings["server"]), key, resolver, int(text), zone)


def _judge(reply: SignedReply) -> str:
    """Return the code of what is wrong, or nothing when the update was made."""
    if reply.state is TsigState.CLOCK_OFF and reply.clock_ahead:
        return "dns.tsig_clock_ahead" if reply.clock_ahead > 0 else "dns.tsig_clock_behind"
    if reply.state in _STATES:
        return _STATES[reply.state]
    if reply.rcode != dns.rcode.NOERROR:
        # Believed without a signature too: nothing was changed, which is what it says.
        return _CODES.get(reply.rcode, "dns.update_failed")
    return "" if reply.state is TsigState.GOOD else "dns.tsig_answer_wrong"


def _may_mean_the_key(reply: SignedReply) -> bool:
    """Tell whether a refusal may be about the key and does not say so.

    Knot 3.2 names the key's fault (BADKEY, RFC 8945, section 5.3.2). Knot 3.4 says nothing but
    NOTAUTH, as for a zone that it does not have.
    """
    return reply.rcode == dns.rcode.NOTAUTH and reply.state is TsigState.UNSIGNED


def _has_zone(server: Server, zone: str) -> bool:
    until = time.monotonic() + _TRY_LIMIT
    answer = ask_server(zone, "SOA", server, until, is_recursive=False)
    return answer.is_authoritative and parse_name(answer.zone) == parse_name(zone)


def _txt(value: str) -> TXT:
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, split_text(value))
