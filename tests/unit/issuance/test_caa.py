"""What CAA records allow (RFC 8659, RFC 8657)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.issuance.caa import CaaAnswer, CaaRecord, judge_caa, names_to_look_up
from mailadmin.pki.problems import Problem, Severity

NOTHING = CaaAnswer("NOERROR")
ACCOUNT = "https://ca.example/acct/1"


def answer(*records: tuple[str, str] | tuple[str, str, int]) -> CaaAnswer:
    found = [CaaRecord(each[2] if len(each) > 2 else 0, each[0], each[1]) for each in records]
    return CaaAnswer("NOERROR", tuple(found))


def judge(
    records: CaaAnswer,
    *,
    name: str = "mail.example.org",
    identities: tuple[str, ...] = ("ca.example", "ca2.example"),
    account_url: str = ACCOUNT,
    challenge: str = "http-01",
    is_wildcard: bool | None = None,
) -> list[Problem]:
    lookups = {"mail.example.org": NOTHING, "example.org": records, "org": answer(("issue", ";"))}
    return judge_caa(
        name,
        lookups,
        identities=identities,
        account_url=account_url,
        challenge=challenge,
        is_wildcard=is_wildcard,
    )


def codes(problems: list[Problem]) -> list[str]:
    return [problem.code for problem in problems]


def test_records_are_looked_for_up_to_the_top() -> None:
    assert names_to_look_up("*.mail.example.org") == ("mail.example.org", "example.org", "org")
    assert names_to_look_up("192.0.2.1") == ()


def test_an_address_has_no_caa_records() -> None:
    assert judge_caa("2001:db8::1", {}, identities=(), account_url="", challenge="http-01") == []


def test_no_records_allow_everybody() -> None:
    lookups = {"example.org": NOTHING, "org": CaaAnswer("NXDOMAIN")}
    assert (
        judge_caa("example.org", lookups, identities=["ca.example"], account_url="", challenge="x")
        == []
    )


@pytest.mark.parametrize(
    "records",
    [
        answer(("issue", "ca.example")),
        answer(("issue", " CA.example ; ")),
        answer(("ISSUE", "ca2.example")),
        answer(("issue", "other.example"), ("issue", "ca.example")),
        answer(("iodef", "mailto:a@example.org")),
        answer(("issuewild", ";")),
        answer(("issue", f"ca.example; accounturi={ACCOUNT}")),
        answer(("issue", f"ca.example;accounturi = {ACCOUNT};validationmethods=dns-01,http-01")),
        answer(("issue", "ca.example; policy=ev")),
        answer(("issuemail", "ca.example", 128), ("issue", "ca.example", 128)),
        answer(("tbs", "unknown", 1), ("issue", "ca.example")),
    ],
)
def test_what_is_allowed_is_no_problem(records: CaaAnswer) -> None:
    assert judge(records) == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        ";",
        "other.example",
        "ca.example.evil",
        "ca.example extra",
        "ca.example; =x",
        "ca.example; a b",
    ],
)
def test_another_issuer_or_a_broken_record_forbids(value: str) -> None:
    (problem,) = judge(answer(("issue", value)))
    assert problem.code == "acme.caa_other_issuer"
    assert problem.subject == "mail.example.org"
    assert problem.params["at"] == "example.org"
    assert problem.params["wanted"] == "ca.example, ca2.example"


def test_the_closest_records_count() -> None:
    lookups = {
        "mail.example.org": answer(("issue", "ca.example")),
        "example.org": answer(("issue", ";")),
    }
    assert (
        judge_caa(
            "mail.example.org", lookups, identities=["ca.example"], account_url="", challenge="x"
        )
        == []
    )


def test_a_wildcard_follows_issuewild_and_else_issue() -> None:
    both = answer(("issue", "ca.example"), ("issuewild", ";"))
    assert judge(both) == []
    assert codes(judge(both, name="*.example.org")) == ["acme.caa_other_issuer"]
    assert codes(judge(both, is_wildcard=True)) == ["acme.caa_other_issuer"]
    assert judge(answer(("issue", "ca.example")), name="*.example.org") == []
    assert judge(answer(("issue", ";"), ("issuewild", "ca.example")), name="*.example.org") == []


@pytest.mark.parametrize(
    ("value", "account"),
    [
        ("ca.example; accounturi=https://ca.example/acct/2", ACCOUNT),
        (f"ca.example; accounturi={ACCOUNT}; accounturi={ACCOUNT}", ACCOUNT),
        (f"ca.example; accounturi={ACCOUNT}", ""),
    ],
)
def test_a_record_for_another_account_forbids(value: str, account: str) -> None:
    (problem,) = judge(answer(("issue", value)), account_url=account)
    assert problem.code == "acme.caa_other_account"
    assert problem.params["account_url"] == account


def test_a_record_for_another_challenge_forbids() -> None:
    (problem,) = judge(answer(("issue", "ca.example; validationmethods=dns-01,tls-alpn-01")))
    assert problem.code == "acme.caa_other_method"
    assert problem.params["methods"] == "dns-01, tls-alpn-01"
    assert problem.params["challenge"] == "http-01"


def test_account_and_challenge_must_be_allowed_by_the_same_record() -> None:
    records = answer(
        ("issue", "ca.example; accounturi=https://ca.example/acct/2; validationmethods=http-01"),
        ("issue", f"ca.example; accounturi={ACCOUNT}; validationmethods=dns-01"),
    )
    assert codes(judge(records)) == ["acme.caa_other_method"]
    assert judge(records, challenge="dns-01") == []


def test_a_critical_record_nobody_understands_forbids() -> None:
    (problem,) = judge(answer(("issue", "ca.example"), ("tbs", "unknown", 128)))
    assert (problem.code, problem.params["tag"]) == ("acme.caa_critical_tag", "tbs")


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", ""])
def test_an_answer_that_does_not_come_forbids(rcode: str) -> None:
    (problem,) = judge(CaaAnswer(rcode))
    assert problem.code == "acme.caa_lookup_failed"
    assert problem.params == {"at": "example.org", "rcode": rcode}


def test_wrong_signatures_forbid() -> None:
    assert codes(judge(CaaAnswer("SERVFAIL", is_bogus=True))) == ["acme.caa_bogus"]


def test_a_name_that_was_not_looked_up_counts_as_no_answer() -> None:
    problems = judge_caa("example.org", {}, identities=(), account_url="", challenge="x")
    assert codes(problems) == ["acme.caa_lookup_failed"]


def test_an_authority_that_does_not_say_its_name_cannot_be_judged() -> None:
    (problem,) = judge(answer(("issue", "ca.example")), identities=())
    assert problem.code == "acme.caa_issuer_unknown"
    assert problem.severity is Severity.WARNING
    assert problem.params["allowed"] == "ca.example"


@given(
    st.lists(
        st.tuples(st.sampled_from(["issue", "issuewild", "x"]), st.text(max_size=60)), max_size=4
    )
)
def test_any_record_is_judged(records: list[tuple[str, str]]) -> None:
    for problem in judge(answer(*records)):
        assert all(str(value).isprintable() for value in problem.params.values())
