"""What a profile means for a mail server."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailadmin.issuance.profiles import describe_profile, profile_problems
from mailadmin.pki.problems import Severity


@pytest.mark.parametrize(
    ("name", "code", "max_names", "lifetime", "is_fit"),
    [
        ("", "acme.profile_default", 100, None, True),
        ("classic", "acme.profile_classic", 100, timedelta(days=90), True),
        ("tlsserver", "acme.profile_tlsserver", 25, timedelta(days=45), True),
        ("shortlived", "acme.profile_shortlived", 25, timedelta(hours=160), False),
        ("tlsclient", "acme.profile_ended", 100, None, False),
        ("default", "acme.profile_unknown", 100, None, True),
    ],
)
def test_each_profile_has_its_meaning(
    name: str, code: str, max_names: int, lifetime: timedelta | None, is_fit: bool
) -> None:
    meaning = describe_profile(name)
    assert (meaning.name, meaning.code, meaning.max_names) == (name, code, max_names)
    assert meaning.lifetime == lifetime
    assert meaning.is_fit_for_mail is is_fit


def test_only_short_lived_certificates_hold_addresses_as_far_as_is_known() -> None:
    allowing = [
        name
        for name in ("", "classic", "tlsserver", "shortlived", "tlsclient", "of-its-own")
        if describe_profile(name).allows_addresses
    ]
    assert allowing == ["shortlived", "of-its-own"]


def test_the_short_lived_one_is_a_warning() -> None:
    assert describe_profile("shortlived").problem.severity is Severity.WARNING


def test_a_strange_name_is_shown_cut_and_printable() -> None:
    assert describe_profile("a\x00" + "b" * 200).problem.params["profile"] == "a\ufffd" + "b" * 62


def test_a_profile_that_is_offered_is_no_problem() -> None:
    assert profile_problems("classic", {"classic": "", "shortlived": ""}) == []
    assert profile_problems("", []) == []


def test_a_profile_that_is_not_offered_is_refused_with_those_that_are() -> None:
    (problem,) = profile_problems("tlsserver", ["shortlived", "classic"])
    assert problem.code == "acme.profile_not_offered"
    assert problem.params == {"profile": "tlsserver", "offered": "classic, shortlived"}
