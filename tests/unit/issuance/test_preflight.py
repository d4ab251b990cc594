"""What can be seen before ordering."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mailadmin.issuance.caa import CaaAnswer, CaaRecord
from mailadmin.issuance.preflight import (
    AddressFacts,
    AddressLookup,
    Dnssec,
    NameFacts,
    PathAnswer,
    RecordFacts,
    judge_name,
)
from mailadmin.pki.problems import Problem, Severity

V4, V6 = "198.41.0.4", "2001:503:ba3e::2:30"
NONE = AddressLookup("NOERROR")
UNKNOWN = AddressLookup("NXDOMAIN")
FOUND4 = AddressLookup("NOERROR", (V4,), Dnssec.SECURE)
FOUND6 = AddressLookup("NOERROR", (V6,), Dnssec.INSECURE)
FREE = {name: CaaAnswer("NOERROR") for name in ("mail.example.org", "example.org", "org")}
GOOD4 = AddressFacts(V4, False, PathAnswer.OURS)


def judge(facts: NameFacts, *, is_private_allowed: bool = False) -> list[Problem]:
    return judge_name(
        facts, identities=["ca.example"], account_url="", is_private_allowed=is_private_allowed
    )


def over_http(v4: AddressLookup, v6: AddressLookup, *addresses: AddressFacts) -> NameFacts:
    return NameFacts("mail.example.org", False, "http-01", v4, v6, addresses, FREE)


def over_dns(record: RecordFacts | None, dnssec: Dnssec = Dnssec.SECURE) -> NameFacts:
    return NameFacts(
        "mail.example.org", True, "dns-01", UNKNOWN, UNKNOWN, caa=FREE, dnssec=dnssec, record=record
    )


def codes(problems: Sequence[Problem]) -> list[str]:
    return [problem.code for problem in problems]


def test_a_name_that_answers_over_both_families_is_ready() -> None:
    good6 = AddressFacts(V6, False, PathAnswer.OURS)
    assert judge(over_http(FOUND4, FOUND6, good6, GOOD4)) == []


@pytest.mark.parametrize(
    ("v4", "v6", "expected"),
    [
        (UNKNOWN, UNKNOWN, ["acme.name_unknown"]),
        (NONE, UNKNOWN, ["acme.name_without_address"]),
        (AddressLookup("SERVFAIL"), NONE, ["acme.lookup_failed"]),
        (AddressLookup(""), AddressLookup("REFUSED"), ["acme.lookup_failed"] * 2),
        (FOUND4, AddressLookup("SERVFAIL"), ["acme.lookup_failed_partly"]),
    ],
)
def test_addresses_are_judged_first(
    v4: AddressLookup, v6: AddressLookup, expected: list[str]
) -> None:
    problems = judge(over_http(v4, v6))
    assert codes(problems) == expected
    assert {problem.subject for problem in problems} == {"mail.example.org"}


def test_wrong_signatures_are_told_in_the_words_of_the_resolver() -> None:
    bogus = AddressLookup("SERVFAIL", (), Dnssec.BOGUS, "signature expired\n")
    (problem,) = judge(over_http(FOUND4, bogus))
    assert problem.code == "acme.dns_bogus"
    assert problem.params == {"at": "mail.example.org", "detail": "signature expired"}
    whole = NameFacts(
        "mail.example.org", False, "http-01", FOUND4, NONE, dnssec=Dnssec.BOGUS, caa=FREE
    )
    assert codes(judge(whole)) == ["acme.dns_bogus"]


def test_a_private_address_cannot_be_reached_by_a_public_authority() -> None:
    private = AddressFacts("192.168.1.1", True, PathAnswer.OURS)
    facts = over_http(AddressLookup("NOERROR", ("192.168.1.1",)), NONE, private)
    assert codes(judge(facts)) == ["acme.address_not_public"]
    assert judge(facts, is_private_allowed=True) == []


def test_a_private_address_beside_a_public_one_is_a_warning() -> None:
    private = AddressFacts("fd00::1", True, None)
    (problem,) = judge(over_http(FOUND4, FOUND6, private, GOOD4))
    assert (problem.code, problem.severity) == ("acme.address_not_public_partly", Severity.WARNING)
    assert problem.params == {"address": "fd00::1", "other": V4}


def test_an_address_that_is_ordered_itself_is_not_looked_up() -> None:
    assert judge(NameFacts(V4, False, "http-01", addresses=(GOOD4,))) == []
    private = AddressFacts("10.0.0.1", True, None)
    problems = judge(NameFacts("10.0.0.1", False, "http-01", addresses=(private,)))
    assert codes(problems) == ["acme.address_not_public"]


@pytest.mark.parametrize(
    ("answer", "alone", "beside_a_good_one"),
    [
        (
            PathAnswer.OTHER,
            ("acme.path_answers_other", "error"),
            ("acme.path_answers_other", "error"),
        ),
        (PathAnswer.STATUS, ("acme.path_status", "error"), ("acme.path_status", "error")),
        (
            PathAnswer.REDIRECT_LOST,
            ("acme.path_redirected", "error"),
            ("acme.path_redirected", "error"),
        ),
        (PathAnswer.NOT_HTTP, ("acme.path_not_http", "error"), ("acme.path_not_http", "error")),
        (
            PathAnswer.REFUSED,
            ("acme.path_closed", "error"),
            ("acme.path_unanswered_partly", "warning"),
        ),
        (
            PathAnswer.SILENT,
            ("acme.path_silent", "error"),
            ("acme.path_unanswered_partly", "warning"),
        ),
        (
            PathAnswer.UNREACHABLE,
            ("acme.path_not_seen", "warning"),
            ("acme.path_not_seen", "warning"),
        ),
    ],
)
def test_a_wrong_answer_is_an_error_but_silence_is_not_beside_a_good_one(
    answer: PathAnswer, alone: tuple[str, str], beside_a_good_one: tuple[str, str]
) -> None:
    bad = AddressFacts(V6, False, answer)
    (problem,) = judge(over_http(NONE, FOUND6, bad))
    assert (problem.code, str(problem.severity)) == alone
    assert problem.params["address"] == V6
    (problem,) = judge(over_http(FOUND4, FOUND6, bad, GOOD4))
    assert (problem.code, str(problem.severity)) == beside_a_good_one


def test_status_and_redirect_are_told() -> None:
    lost = AddressFacts(V6, False, PathAnswer.REDIRECT_LOST, 301, "https://www.example.org/")
    gone = AddressFacts(V4, False, PathAnswer.STATUS, 404)
    redirected, status = judge(over_http(FOUND4, FOUND6, lost, gone))
    assert redirected.params["location"] == "https://www.example.org/"
    assert status.params["status"] == 404


def test_caa_is_part_of_the_judgement() -> None:
    forbidding = {"mail.example.org": CaaAnswer("NOERROR", (CaaRecord(0, "issuewild", ";"),))}
    facts = NameFacts("mail.example.org", True, "dns-01", caa=forbidding)
    (problem,) = judge(facts)
    assert (problem.code, problem.subject) == ("acme.caa_other_issuer", "*.mail.example.org")


NAME = "_acme-challenge.a.org"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (RecordFacts(NAME, NAME, "a.org", ("ns1",)), []),
        (RecordFacts(NAME, NAME, "a.org", is_writable=True), []),
        (RecordFacts(NAME, "x.b.org", "b.org"), ["acme.record_aliased"]),
        (
            RecordFacts(NAME, "x.b.org", "b.org", is_writable=False),
            ["acme.record_aliased", "acme.record_not_writable"],
        ),
        (RecordFacts(NAME, NAME, "", problem=Problem("dns.no_zone")), ["dns.no_zone"]),
        (None, []),
    ],
)
def test_a_dns_challenge_looks_at_the_record_and_not_at_addresses(
    record: RecordFacts | None, expected: list[str]
) -> None:
    problems = judge(over_dns(record))
    assert codes(problems) == expected
    assert all(problem.subject == "*.mail.example.org" for problem in problems)


def test_what_kept_the_record_from_being_found_keeps_its_own_subject() -> None:
    told = Problem("dns.no_zone", subject=NAME)
    assert judge(over_dns(RecordFacts(NAME, NAME, "", problem=told))) == [told]


def test_wrong_signatures_keep_any_record_from_being_seen() -> None:
    facts = over_dns(RecordFacts(NAME, "x.b.org", "b.org"), Dnssec.BOGUS)
    assert codes(judge(facts)) == ["acme.dns_bogus"]
