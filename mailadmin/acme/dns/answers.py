"""What DNS answered, with everything that the answer tells about itself."""

from __future__ import annotations

from dataclasses import dataclass

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rdatatype
from dns.rdtypes.ANY.CAA import CAA
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.NS import NS
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.ANY.TLSA import TLSA
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from mailadmin.acme.dns.wire import show_name
from mailadmin.issuance.preflight import Dnssec

SILENCE = ""  # in the place of a response code: nobody answered
_MAX_EXPLANATION = 200  # characters of a resolver's own words


@dataclass(frozen=True, slots=True)
class CaaValue:
    """One CAA record (RFC 8659, section 4.1)."""

    flags: int
    tag: str
    value: str


@dataclass(frozen=True, slots=True)
class TlsaValue:
    """One TLSA record (RFC 6698, section 2.1); ``association`` in hexadecimal digits."""

    usage: int
    selector: int
    matching: int
    association: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    ``rcode`` is the response code by its name (``NOERROR``, ``NXDOMAIN``, ``SERVFAIL``, ...), or
    empty when nobody answered in time. ``aliases`` are the names that CNAME records led through,
    ``zone`` the owner of the SOA record that came along, ``explanation`` the resolver's own words
    (RFC 8914).
    """

    name: str
    kind: str
    rcode: str = SILENCE
    dnssec: Dnssec = Dnssec.UNKNOWN
    rdatas: tuple[dns.rdata.Rdata, ...] = ()
    aliases: tuple[str, ...] = ()
    zone: str = ""
    is_authoritative: bool = False
    explanation: str = ""

    @property
    def is_silent(self) -> bool:
        """Tell whether nobody answered."""
        return self.rcode == SILENCE

    @property
    def is_definite(self) -> bool:
        """Tell whether it says what there is, or that there is nothing."""
        return self.rcode in {"NOERROR", "NXDOMAIN"}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the addresses of A and AAAA records."""
        return tuple(item.address for item in self.rdatas if isinstance(item, A | AAAA))

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the names that CNAME or NS records point to."""
        return tuple(show_name(item.target) for item in self.rdatas if isinstance(item, CNAME | NS))

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the TXT records, each with its strings put together (RFC 7208, section 3.3)."""
        return tuple(
            b"".join(item.strings).decode("utf-8", "backslashreplace")
            for item in self.rdatas
            if isinstance(item, TXT)
        )

    @property
    def caa(self) -> tuple[CaaValue, ...]:
        """Return the CAA records."""
        return tuple(
            CaaValue(item.flags, _text(item.tag).lower(), _text(item.value))
            for item in self.rdatas
            if isinstance(item, CAA)
        )

    @property
    def tlsa(self) -> tuple[TlsaValue, ...]:
        """Return the TLSA records."""
        return tuple(
            TlsaValue(item.usage, item.selector, item.mtype, item.cert.hex())
            for item in self.rdatas
            if isinstance(item, TLSA)
        )

    @property
    def primary(self) -> str:
        """Return the server that the SOA record names as the one changes are made at."""
        return next((show_name(item.mname) for item in self.rdatas if isinstance(item, SOA)), "")


def read_answer(name: str, kind: str, response: dns.message.QueryMessage) -> Answer:
    """Return what the response says."""
    aliases: tuple[str, ...] = ()
    rdatas: tuple[dns.rdata.Rdata, ...] = ()
    try:
        chain = response.resolve_chaining()
    except dns.exception.DNSException:
        pass  # records that contradict the rest of the answer are none
    else:
        aliases = tuple(show_name(rrset.name) for rrset in chain.cnames)
        rdatas = tuple(chain.answer) if chain.answer is not None else ()
    return Answer(
        name=name,
        kind=kind,
        rcode=dns.rcode.to_text(response.rcode()),
        dnssec=_read_dnssec(response),
        rdatas=rdatas,
        aliases=aliases,
        zone=_find_zone(response),
        is_authoritative=bool(response.flags & dns.flags.AA),
        explanation=_read_explanation(response),
    )


def _read_dnssec(response: dns.message.Message) -> Dnssec:
    if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return Dnssec.UNKNOWN
    return Dnssec.SECURE if response.flags & dns.flags.AD else Dnssec.INSECURE


def _find_zone(response: dns.message.Message) -> str:
    for rrset in (*response.answer, *response.authority):
        if rrset.rdtype == dns.rdatatype.SOA:
            return show_name(rrset.name)
    return ""


def _read_explanation(response: dns.message.Message) -> str:
    for option in response.options:
        if isinstance(option, dns.edns.EDEOption):
            words = _name_of(option.code)
            text = f"{words}: {option.text}" if option.text else words
            return "".join(sign if sign.isprintable() else " " for sign in text)[:_MAX_EXPLANATION]
    return ""


def _name_of(code: int) -> str:
    try:
        return dns.edns.EDECode(code).name.lower().replace("_", " ")
    except ValueError:
        return f"code {code}"


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")
