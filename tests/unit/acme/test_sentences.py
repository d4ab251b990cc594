"""Every code of ``mailadmin.issuance`` has a sentence, and every sentence finds its parameters."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from mailadmin import issuance
from mailadmin.acme.sentences import SENTENCES, authority, choices, preflight, say, say_code
from mailadmin.issuance.budgets import Limit
from mailadmin.issuance.directories import ENDED_AUTHORITIES, KNOWN_AUTHORITIES
from mailadmin.issuance.profiles import describe_profile
from mailadmin.pki.problems import Param, Problem

WHO = "mail.example.org"
MOMENT = "2026-11-24T11:59:59+00:00"
ADDRESS = "198.41.0.4"

# The parameters that the docstrings of mailadmin.issuance promise; {} if there are none.
PARAMS: dict[str, dict[str, Param]] = {
    "acme.rate_limited": {"url": ""},
    "acme.rate_limited_until": {"url": "", "retry_at": MOMENT},
    "acme.paused": {"url": "https://ca.example/unpause?jwt=a.b.c"},
    "acme.user_action_required": {"url": "https://ca.example/terms"},
    "acme.names_rejected": {"names": "a.example.org, b.example.org", "count": 2},
    "acme.several_refused": {"names": "a.example.org, b.example.org", "count": 2},
    "acme.too_many_names": {"count": 101, "limit": 100},
    "acme.name_covered": {"wildcard": "*.example.org"},
    "acme.name_never_public": {"suffix": "internal"},
    "acme.profile_classic": {"days": 90, "limit": 100},
    "acme.profile_tlsserver": {"days": 45, "limit": 25},
    "acme.profile_shortlived": {"hours": 160, "limit": 25},
    "acme.profile_ended": {"profile": "tlsclient"},
    "acme.profile_unknown": {"profile": "special"},
    "acme.profile_not_offered": {"profile": "classic", "offered": "tlsserver"},
    "acme.dns_bogus": {"at": "example.org", "detail": "signature expired"},
    "acme.lookup_failed": {"record": "A", "rcode": "SERVFAIL"},
    "acme.lookup_failed_partly": {"record": "AAAA", "rcode": ""},
    "acme.address_not_public": {"address": ADDRESS},
    "acme.address_not_public_partly": {"address": ADDRESS, "other": "2001:db8::1"},
    "acme.path_silent": {"address": ADDRESS},
    "acme.path_closed": {"address": ADDRESS},
    "acme.path_not_http": {"address": ADDRESS},
    "acme.path_unanswered_partly": {"address": ADDRESS, "other": "2001:db8::1"},
    "acme.path_not_seen": {"address": ADDRESS},
    "acme.path_status": {"address": ADDRESS, "status": 404},
    "acme.path_answers_other": {"address": ADDRESS},
    "acme.path_redirected": {"address": ADDRESS, "location": "https://www.example.org/"},
    "acme.record_aliased": {"record": "_acme-challenge.a.org", "target": "a.b.org"},
    "acme.record_not_writable": {"record": "_acme-challenge.a.org", "zone": "b.org"},
    "acme.caa_lookup_failed": {"at": "example.org", "rcode": "SERVFAIL"},
    "acme.caa_bogus": {"at": "example.org"},
    "acme.caa_critical_tag": {"at": "example.org", "tag": "tbs"},
    "acme.caa_other_issuer": {
        "at": "example.org",
        "tag": "issue",
        "allowed": "other.example",
        "wanted": "ca.example",
    },
    "acme.caa_other_account": {
        "at": "example.org",
        "tag": "issue",
        "account_url": "https://ca.example/acct/1",
    },
    "acme.caa_other_method": {
        "at": "example.org",
        "tag": "issue",
        "methods": "dns-01",
        "challenge": "http-01",
    },
    "acme.caa_issuer_unknown": {"at": "example.org", "allowed": "other.example"},
    "acme.budget_new_orders": {"used": 300, "limit": 300, "free_at": MOMENT},
    "acme.budget_domain": {"used": 50, "limit": 50, "free_at": MOMENT},
    "acme.budget_same_names": {"used": 5, "limit": 5, "free_at": MOMENT},
    "acme.budget_failures": {"used": 5, "limit": 5, "free_at": MOMENT},
    "acme.budget_paused": {"used": 1152, "limit": 1152},
    "acme.budget_nearly_spent": {"kind": "domain", "used": 46, "limit": 50},
}
OURS = {**authority.SENTENCES, **choices.SENTENCES, **preflight.SENTENCES}


def codes_of_issuance() -> set[str]:
    """Return every text in the package that is a code."""
    texts = set()
    for path in Path(issuance.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    return {text for text in texts if re.fullmatch(r"acme\.[a-z0-9_]+", text)}


def test_every_code_has_a_sentence_and_every_sentence_a_code() -> None:
    codes = codes_of_issuance()
    assert {"acme.refused_by_caa", "acme.about_google", "acme.budget_domain"} <= codes
    assert codes == set(OURS)
    assert set(PARAMS) <= codes
    assert set(SENTENCES) >= set(OURS)


@pytest.mark.parametrize("code", sorted(OURS))
@pytest.mark.parametrize("subject", ["", WHO])
def test_a_problem_is_said_in_whole_sentences(code: str, subject: str) -> None:
    params = PARAMS.get(code, {})
    said = say(Problem(code, subject=subject, params=params))
    assert said != code
    assert "%" not in said
    assert said[-1] == "." or said.endswith((*map(str, params.values()), '"ca.example"'))
    assert not said[0].islower() or said.startswith((WHO, "this name"))
    for name in ("address", "names", "status", "limit", "other", "target", "profile"):
        assert str(params.get(name, "")) in said


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    "code", ["acme.names_rejected", "acme.several_refused", "acme.too_many_names"]
)
def test_counts_are_said_for_one_and_for_many(code: str, count: int) -> None:
    said = say(Problem(code, params={**PARAMS[code], "count": count}))
    assert f"{count} name" in said
    assert ("names" in said.replace("names:", "")) or count == 1


def test_the_words_of_the_authority_come_last_and_as_they_are() -> None:
    params: dict[str, Param] = {"words": "CAA record for 100% forbids %(who)s", "kind": "caa"}
    said = say(Problem("acme.refused_by_caa", subject=WHO, params=params))
    assert said.startswith("A CAA record of the domain forbids this authority to issue for mail.")
    assert said.endswith("The authority’s own words: “CAA record for 100% forbids %(who)s”")
    assert "own words" not in say(
        Problem("acme.refused_by_caa", params={"words": "", "kind": "caa"})
    )


def test_names_and_moments_are_said_as_people_read_them() -> None:
    limited = Problem("acme.rate_limited_until", params=PARAMS["acme.rate_limited_until"])
    assert "2026-11-24 11:59:59 UTC" in say(limited)
    unknown = Problem("acme.name_unknown", subject="xn--bcher-kva.example")
    assert "bücher.example (xn--bcher-kva.example)" in say(unknown)
    assert "nobody answered" in say(
        Problem("acme.lookup_failed", params={"record": "A", "rcode": ""})
    )


@pytest.mark.parametrize("kind", list(Limit))
def test_every_limit_has_words(kind: Limit) -> None:
    params: dict[str, Param] = {"kind": str(kind), "used": 46, "limit": 50}
    said = say(Problem("acme.budget_nearly_spent", subject=WHO, params=params))
    assert str(preflight.BUDGETS[kind]).partition("%")[0] in said
    assert str(kind) not in said.split()


def test_a_limit_of_another_version_is_said_by_its_code() -> None:
    params: dict[str, Param] = {"kind": "new_limit", "used": 46, "limit": 50}
    assert "new_limit" in say(Problem("acme.budget_nearly_spent", params=params))


def test_authorities_and_profiles_have_words() -> None:
    for known in KNOWN_AUTHORITIES + ENDED_AUTHORITIES:
        assert say_code(known.note) != known.note
    for name in ("", "classic", "tlsserver", "shortlived", "tlsclient", "special"):
        assert "%" not in say(describe_profile(name).problem)


def test_a_problem_that_lacks_a_parameter_is_told_by_its_code() -> None:
    assert say(Problem("acme.path_status")) == "acme.path_status"
    assert say(Problem("acme.rate_limited_until", params={"retry_at": "soon"})) == (
        "acme.rate_limited_until"
    )


def test_codes_of_other_layers_are_said_by_their_catalogues() -> None:
    assert "not a name that DNS can hold" in say(Problem("dns.name_invalid", subject="a b"))
    assert say(Problem("agent.broken")).startswith("The agent met a fault")
    assert "weather" in say(Problem("weather.rain"))
