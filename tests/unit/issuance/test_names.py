"""Which names may be ordered together."""

from __future__ import annotations

import pytest

from mailadmin.issuance.names import names_problems
from mailadmin.pki.problems import Severity


def codes(names: list[str], profile: str = "") -> list[tuple[str, str]]:
    return [(each.code, each.subject) for each in names_problems(names, profile=profile)]


@pytest.mark.parametrize(
    "names",
    [
        ["mail.example.org"],
        ["bücher.example.org", "MAIL.example.org."],
        ["*.example.org", "example.org"],
        ["*.example.org", "a.b.example.org"],
        ["*.mail.example.org", "*.example.org"],
        [f"n{i}.example.org" for i in range(100)],
    ],
)
def test_good_names_are_no_problem(names: list[str]) -> None:
    assert codes(names) == []


def test_an_order_has_names() -> None:
    assert codes([]) == [("acme.no_names", "")]


def test_a_name_that_is_none_is_told_in_the_words_of_names() -> None:
    assert codes(["a b", "localhost"]) == [
        ("name.invalid", "a b"),
        ("name.not_qualified", "localhost"),
    ]


@pytest.mark.parametrize(("profile", "limit"), [("", 100), ("tlsserver", 25)])
def test_a_profile_limits_how_many_names_there_are(profile: str, limit: int) -> None:
    names = [f"n{i}.example.org" for i in range(limit + 1)]
    (problem,) = names_problems(names, profile=profile)
    assert problem.code == "acme.too_many_names"
    assert problem.params == {"count": limit + 1, "limit": limit}


def test_a_name_is_given_once_however_it_is_written() -> None:
    assert codes(["mail.example.org", "MAIL.example.org"]) == [
        ("acme.name_twice", "mail.example.org")
    ]


def test_a_name_below_a_wildcard_is_covered_already() -> None:
    (problem,) = names_problems(["*.example.org", "mail.example.org"])
    assert (problem.code, problem.subject) == ("acme.name_covered", "mail.example.org")
    assert problem.params == {"wildcard": "*.example.org"}


def test_a_public_suffix_belongs_to_others() -> None:
    assert codes(["co.uk"]) == [("acme.name_is_suffix", "co.uk")]


def test_an_address_needs_a_profile_for_addresses() -> None:
    assert codes(["192.0.2.1"]) == [("acme.address_needs_profile", "192.0.2.1")]
    assert codes(["192.0.2.1", "2001:DB8::1"], "shortlived") == []


def test_a_wildcard_and_an_address_are_proven_in_no_common_way() -> None:
    assert codes(["192.0.2.1", "*.example.org"], "shortlived") == [
        ("acme.no_challenge_for_all", "")
    ]


@pytest.mark.parametrize("name", ["mail.internal", "mail.home.arpa", "*.mail.test", "a.example"])
def test_a_name_outside_the_public_dns_is_worth_a_warning(name: str) -> None:
    (problem,) = names_problems([name])
    assert problem.code == "acme.name_never_public"
    assert problem.severity is Severity.WARNING
