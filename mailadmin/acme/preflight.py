"""Looking at the names of a certificate before anything is ordered, as the authority will.

Names are looked at several at once, each look has an end, and so has the whole. What is seen is
judged by :mod:`mailadmin.issuance.preflight`; this module gathers it, and tells name by name.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from concurrent.futures import TimeoutError as OutOfTimeError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from mailadmin.acme.challenge_path import ask_path
from mailadmin.acme.dns.answers import Answer
from mailadmin.acme.dns.delegation import find_zone, follow_aliases
from mailadmin.acme.dns.failures import DnsFailure
from mailadmin.acme.dns.resolving import Resolver
from mailadmin.acme.dns.writers import open_writer
from mailadmin.acme.dns.writing import DnsWriter
from mailadmin.acme.http01 import ChallengeFailure, find_way
from mailadmin.acme.models import AcmeCertificate
from mailadmin.certificates.connecting import is_public
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.issuance.caa import CaaAnswer, CaaRecord, names_to_look_up
from mailadmin.issuance.challenges import (
    DNS_PERSIST_01,
    HTTP_01,
    challenge_path,
    persistent_record_name,
    record_name,
)
from mailadmin.issuance.preflight import (
    AddressFacts,
    AddressLookup,
    Dnssec,
    NameFacts,
    RecordFacts,
    judge_name,
)
from mailadmin.pki.names import WILDCARD, parse_address
from mailadmin.pki.problems import Problem

Tell = Callable[[str, list[Problem], dict[str, Any]], None]

_AT_ONCE = 8
_WHOLE_LIMIT = 90.0  # seconds; a name whose look is not over by then is told so
_MOST_ADDRESSES = 8  # of one name and family
_PRESENTED_FOR = 300  # seconds, should nobody come to withdraw it


@dataclass(frozen=True, slots=True)
class _Probe:
    """What is put on the challenge path, to be looked for at every address."""

    token: str
    content: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look at one name found: facts to judge, and what the page shows of them."""

    facts: NameFacts
    shown: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Look:
    """How the names of one certificate are looked at; holds no rows, as threads use it."""

    resolver: Resolver
    challenge: str
    probe: _Probe | None
    writer: DnsWriter | None
    is_private_allowed: bool
    http_port: int

    def see(self, name: str) -> _Seen:
        """Look at one name."""
        facts = NameFacts(
            name.removeprefix(WILDCARD),
            name.startswith(WILDCARD),
            self.challenge,
            caa={at: _caa_answer(answer) for at, answer in self._climb(name)},
        )
        return self._see_paths(facts) if self.challenge == HTTP_01 else self._see_record(facts)

    def _climb(self, name: str) -> Iterator[tuple[str, Answer]]:
        """Yield what is answered for CAA, up to the first name that has records or fails."""
        for at in names_to_look_up(name):
            answer = self.resolver.ask(at, "CAA")
            yield at, answer
            if answer.caa or not answer.is_definite:
                return

    # http-01

    def _see_paths(self, facts: NameFacts) -> _Seen:
        if parse_address(facts.name):
            facts = replace(facts, addresses=self._ask_all((facts.name,), facts.name))
            return _Seen(facts, _show_facts(facts))
        answers = {kind: self.resolver.ask(facts.name, kind) for kind in ("A", "AAAA")}
        v4, v6 = _lookup(answers["A"]), _lookup(answers["AAAA"])
        facts = replace(
            facts,
            v4=v4,
            v6=v6,
            dnssec=v4.dnssec,
            addresses=self._ask_all(v6.addresses + v4.addresses, facts.name),
        )
        return _Seen(facts, _show_lookups(answers) | _show_facts(facts))

    def _ask_all(self, addresses: Sequence[str], host: str) -> tuple[AddressFacts, ...]:
        if not addresses:
            return ()
        with ThreadPoolExecutor(len(addresses)) as pool:
            return tuple(pool.map(lambda address: self._ask(address, host), addresses))

    def _ask(self, address: str, host: str) -> AddressFacts:
        """Ask an address, unless no authority gets there."""
        found = parse_address(address)
        is_private = found is None or not is_public(found)
        if self.probe is None or (is_private and not self.is_private_allowed):
            return AddressFacts(address, is_private, None)
        reply = ask_path(
            address,
            host=host,
            path=challenge_path(self.probe.token),
            expected=self.probe.content,
            port=self.http_port,
        )
        return AddressFacts(address, is_private, reply.answer, reply.status, reply.redirected_to)

    # By DNS

    def _see_record(self, facts: NameFacts) -> _Seen:
        is_persistent = self.challenge == DNS_PERSIST_01
        asked = (persistent_record_name if is_persistent else record_name)(facts.name)
        record = self._find_record(asked)
        is_bogus = record.problem is not None and record.problem.code == "dns.bogus"
        dnssec = Dnssec.BOGUS if is_bogus else Dnssec.UNKNOWN
        facts = replace(facts, record=record, dnssec=dnssec)
        return _Seen(facts, _show_facts(facts))

    def _find_record(self, asked: str) -> RecordFacts:
        """Find the record, and write to it and take that back."""
        target = asked
        try:
            target = follow_aliases(self.resolver, asked)[-1]
            zone = find_zone(self.resolver, target)
        except DnsFailure as failure:
            return RecordFacts(asked, target, "", problem=failure.problem)
        servers = tuple(server.name for server in zone.servers)
        problem = self._try_to_write(target)
        is_writable = problem is None if self.writer is not None else None
        return RecordFacts(asked, target, zone.name, servers, problem, is_writable)

    def _try_to_write(self, record: str) -> Problem | None:
        """Write a value and remove it; nobody asks for it meanwhile. Returns what went wrong."""
        if self.writer is None:
            return None
        value = f"mailadmin-preflight-{secrets.token_urlsafe(16)}"
        try:
            self.writer.add_txt(record, value)
            self.writer.remove_txt(record, value)
        except DnsFailure as failure:
            return failure.problem
        return None


def run(wanted: AcmeCertificate, *, tell: Tell) -> list[Problem]:
    """Look at every name; ``tell`` is called as each is known, always from this thread.

    Returns what is wrong with all of them together, for which no name is looked at.
    """
    try:
        resolver = Resolver.from_settings()
        access = wanted.dns_access if wanted.challenge != HTTP_01 else None
        writer = open_writer(access) if access is not None else None
    except (DnsFailure, CustodyProblem) as failure:
        return [failure.problem]
    probe = _draw_probe() if wanted.challenge == HTTP_01 else None
    look = _Look(
        resolver=resolver,
        challenge=wanted.challenge,
        probe=probe,
        writer=writer,
        is_private_allowed=settings.IS_PRIVATE_ACME_ALLOWED,
        http_port=settings.ACME_HTTP_PORT,
    )
    try:
        with _presented(wanted, probe):
            _see_all(look, wanted, tell)
    except ChallengeFailure as failure:
        return [failure.problem]
    return []


def _see_all(look: _Look, wanted: AcmeCertificate, tell: Tell) -> None:
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="preflight")
    try:
        waiting = {pool.submit(look.see, name): name for name in wanted.names}
        try:
            for done in as_completed(list(waiting), timeout=_WHOLE_LIMIT):
                tell(waiting.pop(done), *_judge(done, wanted))
        except OutOfTimeError:
            for name in waiting.values():
                tell(name, [Problem("acme.preflight_out_of_time", subject=name)], {})
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _judge(done: Future[_Seen], wanted: AcmeCertificate) -> tuple[list[Problem], dict[str, Any]]:
    try:
        seen = done.result()
    except DnsFailure as failure:
        return [failure.problem], {}
    judged = judge_name(
        seen.facts,
        identities=wanted.account.about.get("caa_identities", ()),
        account_url=wanted.account.account_url,
        is_private_allowed=settings.IS_PRIVATE_ACME_ALLOWED,
    )
    return judged, seen.shown


@contextmanager
def _presented(wanted: AcmeCertificate, probe: _Probe | None) -> Iterator[None]:
    """Have the probe answered for on port 80 until the block ends. Raises ``ChallengeFailure``."""
    if probe is None:
        yield
        return
    way = find_way(wanted)
    way.present(probe.token, probe.content, _PRESENTED_FOR)
    try:
        yield
    finally:
        # It ends by itself as well, and what was seen is worth more than how it was cleared away.
        with suppress(ChallengeFailure):
            way.withdraw(probe.token)


def _draw_probe() -> _Probe:
    token = secrets.token_urlsafe(32)
    return _Probe(token, f"{token}.{secrets.token_urlsafe(32)}")


def _lookup(answer: Answer) -> AddressLookup:
    return AddressLookup(
        answer.rcode,
        answer.addresses[:_MOST_ADDRESSES],
        answer.dnssec,
        answer.explanation,
    )


def _caa_answer(answer: Answer) -> CaaAnswer:
    records = tuple(CaaRecord(each.flags, each.tag, each.value) for each in answer.caa)
    return CaaAnswer(answer.rcode, records, is_bogus=answer.dnssec is Dnssec.BOGUS)


# For the page


def _show_lookups(answers: Mapping[str, Answer]) -> dict[str, Any]:
    return {
        "lookups": [
            {
                "kind": kind,
                "rcode": answer.rcode,
                "addresses": list(answer.addresses[:_MOST_ADDRESSES]),
                "aliases": list(answer.aliases),
                "dnssec": str(answer.dnssec),
                "explanation": answer.explanation,
            }
            for kind, answer in answers.items()
        ]
    }


def _show_facts(facts: NameFacts) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "caa": [
            {
                "at": at,
                "rcode": answer.rcode,
                "records": [f'{each.flags} {each.tag} "{each.value}"' for each in answer.records],
            }
            for at, answer in facts.caa.items()
        ],
        "paths": [
            {
                "address": each.address,
                "is_private": each.is_private,
                "answer": str(each.answer or ""),
                "status": each.status,
                "redirected_to": each.redirected_to,
            }
            for each in facts.addresses
        ],
    }
    if facts.record is not None:
        record = facts.record
        shown["record"] = {
            "name": record.record_name,
            "target": record.target,
            "zone": record.zone,
            "servers": list(record.servers),
            "is_writable": record.is_writable,
        }
    return shown
