"""Whether an authority would find a name proven, judged from what can be seen from here.

Let's Encrypt, like others, looks from several places at once, follows redirects, prefers IPv6 and
tries IPv4 once if nobody answers there (letsencrypt.org/docs/ipv6-support; RFC 8555, section 8.3).
Hence a wrong answer over IPv6 is an error even if that over IPv4 is right.

==============================  ========  ======================================================
code                            severity  params
==============================  ========  ======================================================
acme.dns_bogus                  error     at, detail (the resolver's words; may be empty)
acme.name_unknown               error
acme.name_without_address       error
acme.lookup_failed              error     record (A, AAAA), rcode (may be empty: no answer)
acme.lookup_failed_partly       warning   record, rcode
acme.address_not_public         error     address
acme.address_not_public_partly  warning   address, other
acme.path_silent                error     address
acme.path_closed                error     address
acme.path_not_http              error     address
acme.path_unanswered_partly     warning   address, other
acme.path_not_seen              warning   address: there is no route to it from here
acme.path_status                error     address, status
acme.path_answers_other         error     address
acme.path_redirected            error     address, location (may be empty)
acme.record_aliased             info      record, target
acme.record_not_writable        error     record, zone
==============================  ========  ======================================================

and those of :mod:`mailadmin.issuance.caa`; ``subject`` is the name as it is ordered. What kept the
record from being found is passed on with a subject of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mailadmin.issuance.caa import CaaAnswer, judge_caa
from mailadmin.issuance.challenges import HTTP_01
from mailadmin.issuance.texts import clean_words, web_address
from mailadmin.pki.names import WILDCARD, parse_address
from mailadmin.pki.problems import Param, Problem, Severity, has_errors

_MAX_DETAIL = 200  # characters


class Dnssec(StrEnum):
    """What a resolver says of the signatures.

    ``INSECURE``: there are none, or it does not look. ``UNKNOWN``: no answer to say it of.
    """

    SECURE = "secure"
    INSECURE = "insecure"
    BOGUS = "bogus"
    UNKNOWN = "unknown"


class PathAnswer(StrEnum):
    """What one address said when it was asked for the proof that was put there.

    ``OTHER``: something else, with status 200. ``STATUS``: another status. ``REDIRECT_LOST``: a
    redirect, at whose end the proof is not. ``REFUSED``: nobody listens. ``SILENT``: no answer in
    time. ``UNREACHABLE``: there is no route from here, as where this host has no IPv6.
    """

    OURS = "ours"
    OTHER = "other"
    STATUS = "status"
    REDIRECT_LOST = "redirect_lost"
    REFUSED = "refused"
    SILENT = "silent"
    UNREACHABLE = "unreachable"
    NOT_HTTP = "not_http"


@dataclass(frozen=True, slots=True)
class AddressLookup:
    """The addresses of one family; an empty ``rcode`` stands for no answer at all.

    ``explanation``: the resolver's own words (RFC 8914).
    """

    rcode: str
    addresses: tuple[str, ...] = ()
    dnssec: Dnssec = Dnssec.UNKNOWN
    explanation: str = ""

    @property
    def is_definite(self) -> bool:
        """Tell whether it says which addresses there are, or that there are none."""
        return self.rcode in ("NOERROR", "NXDOMAIN")


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """One address of the name. ``answer`` is ``None`` if it was not asked."""

    address: str
    is_private: bool
    answer: PathAnswer | None
    status: int = 0
    redirected_to: str = ""


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """Where the TXT record of a DNS challenge really is.

    ``record_name`` is what the authority looks up, ``target`` where CNAME records lead from there
    (the same, if there are none). ``problem``: what kept the zone and its servers from being found.
    ``is_writable``: ``None`` where a person writes the record.
    """

    record_name: str
    target: str
    zone: str
    servers: tuple[str, ...] = ()
    problem: Problem | None = None
    is_writable: bool | None = None


@dataclass(frozen=True, slots=True)
class NameFacts:
    """What was seen of one name; ``name`` without the ``*.`` of a wildcard.

    ``addresses``: all of both families, in the order they were asked. ``caa``: the answers by name,
    for :func:`mailadmin.issuance.caa.names_to_look_up`. ``record``: only for a DNS challenge.
    """

    name: str
    is_wildcard: bool
    challenge: str
    v4: AddressLookup = AddressLookup("")
    v6: AddressLookup = AddressLookup("")
    addresses: tuple[AddressFacts, ...] = ()
    caa: Mapping[str, CaaAnswer] = field(default_factory=dict)
    dnssec: Dnssec = Dnssec.UNKNOWN
    record: RecordFacts | None = None

    @property
    def identifier(self) -> str:
        """Return the name as it is ordered."""
        return WILDCARD + self.name if self.is_wildcard else self.name


def judge_name(
    facts: NameFacts,
    *,
    identities: Sequence[str],
    account_url: str,
    is_private_allowed: bool = False,
) -> list[Problem]:
    """Return what would keep the authority from issuing for the name, and what is worth knowing.

    ``is_private_allowed``: the authority is in a private network, and so may the names be.
    """
    if facts.challenge == HTTP_01:
        problems = list(_judge_http(facts, is_private_allowed=is_private_allowed))
    else:
        problems = list(_judge_record(facts))
    named = [
        Problem(each.code, each.severity, each.subject or facts.identifier, each.params)
        for each in problems
    ]
    return named + judge_caa(
        facts.identifier,
        facts.caa,
        identities=identities,
        account_url=account_url,
        challenge=facts.challenge,
    )


def _judge_http(facts: NameFacts, *, is_private_allowed: bool) -> Iterator[Problem]:
    if not parse_address(facts.name):
        trouble = list(_judge_lookups(facts))
        yield from trouble
        if has_errors(trouble):
            return
    private = [] if is_private_allowed else [each for each in facts.addresses if each.is_private]
    public = [each for each in facts.addresses if each not in private]
    for each in private:
        if public:
            params: dict[str, Param] = {"address": each.address, "other": public[0].address}
            yield _problem("acme.address_not_public_partly", Severity.WARNING, **params)
        else:
            yield _problem("acme.address_not_public", address=each.address)
    good = next((each.address for each in public if each.answer is PathAnswer.OURS), "")
    for each in public:
        yield from _judge_answer(each, good)


def _judge_lookups(facts: NameFacts) -> Iterator[Problem]:
    lookups = {"A": facts.v4, "AAAA": facts.v6}
    bogus = [each for each in lookups.values() if each.dnssec is Dnssec.BOGUS]
    if bogus or facts.dnssec is Dnssec.BOGUS:
        detail = bogus[0].explanation if bogus else ""
        yield _problem("acme.dns_bogus", at=facts.name, detail=clean_words(detail, _MAX_DETAIL))
        return
    failed = {kind: each.rcode for kind, each in lookups.items() if not each.is_definite}
    if any(each.addresses for each in lookups.values()):
        for kind, rcode in failed.items():
            params: dict[str, Param] = {"record": kind, "rcode": rcode}
            yield _problem("acme.lookup_failed_partly", Severity.WARNING, **params)
    elif failed:
        for kind, rcode in failed.items():
            yield _problem("acme.lookup_failed", record=kind, rcode=rcode)
    elif any(each.rcode == "NOERROR" for each in lookups.values()):
        yield _problem("acme.name_without_address")
    else:
        yield _problem("acme.name_unknown")


def _judge_answer(facts: AddressFacts, good: str) -> Iterator[Problem]:
    """Judge one address; ``good`` is one that answers as it should, if there is any."""
    address = facts.address
    if facts.answer is PathAnswer.UNREACHABLE:
        yield _problem("acme.path_not_seen", Severity.WARNING, address=address)
    elif facts.answer in (PathAnswer.REFUSED, PathAnswer.SILENT) and good:
        params: dict[str, Param] = {"address": address, "other": good}
        yield _problem("acme.path_unanswered_partly", Severity.WARNING, **params)
    elif facts.answer is PathAnswer.STATUS:
        yield _problem("acme.path_status", address=address, status=facts.status)
    elif facts.answer is PathAnswer.REDIRECT_LOST:
        location = web_address(facts.redirected_to)
        yield _problem("acme.path_redirected", address=address, location=location)
    elif facts.answer in _ERRORS:
        yield _problem(_ERRORS[facts.answer], address=address)


_ERRORS: Mapping[PathAnswer | None, str] = {
    PathAnswer.OTHER: "acme.path_answers_other",
    PathAnswer.REFUSED: "acme.path_closed",
    PathAnswer.SILENT: "acme.path_silent",
    PathAnswer.NOT_HTTP: "acme.path_not_http",
}


def _judge_record(facts: NameFacts) -> Iterator[Problem]:
    """Judge where the record goes; which addresses the name has does not matter here."""
    record = facts.record
    if facts.dnssec is Dnssec.BOGUS:
        yield _problem("acme.dns_bogus", at=facts.name, detail="")
    elif record is not None and record.problem is not None:
        yield record.problem
    elif record is not None:
        if record.target != record.record_name:
            params: dict[str, Param] = {"record": record.record_name, "target": record.target}
            yield _problem("acme.record_aliased", Severity.INFO, **params)
        if record.is_writable is False:
            yield _problem("acme.record_not_writable", record=record.target, zone=record.zone)


def _problem(code: str, severity: Severity = Severity.ERROR, **params: Param) -> Problem:
    return Problem(code, severity, params=params)
