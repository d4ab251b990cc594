"""What is worth telling: certificates with and without heirs, used and spare; pairs."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from mailadmin.notifications.findings import (
    CertificateUse,
    Facts,
    FailingRenewal,
    Finding,
    HandEdit,
    StoredCertificate,
    judge,
)
from mailadmin.notifications.stages import Lifetime
from mailadmin.pki.problems import Severity

START = datetime(2027, 1, 1, tzinfo=UTC)
_numbers = count(1)


def certificate(
    *names: str, begin: float = 0, days: float = 90, **values: Any
) -> StoredCertificate:
    """Return a certificate that begins so many days after the start."""
    number = next(_numbers)
    not_before = START + timedelta(days=begin)
    item = StoredCertificate(
        pk=number,
        fingerprint=f"{number:064x}",
        label=(names or ("mail.example.org",))[0],
        names=names or ("mail.example.org",),
        issuer="R11",
        lifetime=Lifetime(not_before, not_before + timedelta(days=days)),
        key_family="ECDSA",
        created_at=not_before,
    )
    return replace(item, **values)


def used(item: StoredCertificate, **values: Any) -> dict[str, CertificateUse]:
    use = CertificateUse(1, "mail.example.org", is_wanted=True, is_applied=True, places="993")
    return {item.fingerprint: replace(use, **values)}


def codes(facts: Facts, day: float) -> list[str]:
    return [item.code.removeprefix("certificate.") for item in findings(facts, day)]


def findings(facts: Facts, day: float) -> list[Finding]:
    return judge(facts, START + timedelta(days=day))


def test_a_life_without_renewal() -> None:
    item = certificate()
    facts = Facts((item,), used(item))
    told = {day: codes(facts, day) for day in (0, 59.9, 60, 66.9, 67, 80, 87, 90, 120)}
    assert told == {
        0: [],
        59.9: [],
        60: ["renewal_due"],
        66.9: ["renewal_due"],
        67: ["not_renewed"],
        80: ["ten_days"],
        87: ["three_days"],
        90: ["expired"],
        120: ["expired"],
    }


def test_renewed_but_not_deployed_is_told_apart_from_not_renewed() -> None:
    old, new = certificate(), certificate(begin=65)
    facts = Facts((old, new), used(old))
    # A day of leisure to use it; then the reminder, once and for good.
    assert codes(facts, 65.5) == []
    assert codes(facts, 66) == ["not_deployed"]
    (found,) = findings(facts, 70)
    assert found.params["way"] == "choose"
    assert found.params["heir_id"] == new.pk
    assert codes(facts, 80) == ["ten_days", "not_deployed"]


def test_in_the_last_days_an_hour_of_leisure_is_all() -> None:
    old, new = certificate(), certificate(begin=88)
    facts = Facts((old, new), used(old))
    assert codes(facts, 88.02) == ["three_days"]
    assert codes(facts, 88.05) == ["three_days", "not_deployed"]


def test_chosen_but_not_applied_asks_to_apply() -> None:
    old, new = certificate(), certificate(begin=65)
    leaving = used(old, is_wanted=False) | used(new, is_applied=False)
    (found,) = findings(Facts((old, new), leaving), 70)
    assert (found.code, found.params["way"]) == ("certificate.not_deployed", "apply")


def test_what_is_leaving_for_a_certificate_of_other_names_is_only_told_near_the_end() -> None:
    old, other = certificate(), certificate("other.example.org", begin=65)
    facts = Facts((old, other), used(old, is_wanted=False) | used(other))
    assert codes(facts, 70) == []
    (found,) = findings(facts, 80)
    assert (found.code, found.params["way"]) == ("certificate.ten_days", "apply")


def test_once_the_new_one_is_served_nothing_is_told_of_the_old() -> None:
    old, new = certificate(), certificate(begin=65)
    for day in (70, 80, 88, 91):
        assert codes(Facts((old, new), used(new)), day) == []


def test_a_spare_one_is_shown_and_not_told() -> None:
    (found,) = findings(Facts((certificate(),)), 88)
    assert found.code == "certificate.spare_ends"
    assert found.is_quiet
    assert codes(Facts((certificate(),)), 91) == []
    assert codes(Facts((certificate(), certificate(begin=65))), 88) == []


@pytest.mark.parametrize(
    ("names", "is_heir"),
    [
        (("a.example.org", "b.example.org"), True),
        (("b.example.org", "a.example.org", "c.example.org"), True),
        (("*.example.org",), True),
        (("a.example.org", "*.example.org"), True),
        (("a.example.org",), False),
        (("*.example.com",), False),
    ],
)
def test_an_heir_covers_every_name(names: tuple[str, ...], is_heir: bool) -> None:
    old = certificate("a.example.org", "b.example.org")
    facts = Facts((old, certificate(*names, begin=65)), used(old))
    assert ("not_deployed" in codes(facts, 70)) is is_heir


def test_a_wildcard_is_replaced_by_a_wildcard_alone() -> None:
    old = certificate("*.example.org")
    single = certificate("a.example.org", begin=65)
    assert codes(Facts((old, single), used(old)), 70) == ["not_renewed"]
    again = certificate("*.example.org", begin=65)
    assert codes(Facts((old, again), used(old)), 70) == ["not_deployed"]


@pytest.mark.parametrize("begin", [-300, -1, 0])
def test_an_older_one_is_no_heir(begin: float) -> None:
    old = certificate()
    other = certificate(begin=begin, days=90 - begin if begin < -1 else 90)
    assert "not_deployed" not in codes(Facts((old, other), used(old)), 70)


def test_one_that_was_said_to_replace_it_is_an_heir_of_the_same_day() -> None:
    old = certificate()
    new = certificate(days=120, replaces_id=old.pk)
    assert codes(Facts((old, new), used(old)), 70) == ["not_deployed"]


def test_the_other_half_of_a_pair_is_no_heir() -> None:
    rsa = certificate(key_family="RSA")
    ecdsa = certificate(begin=0.1, days=91, companion_id=rsa.pk)
    rsa = replace(rsa, companion_id=ecdsa.pk)
    facts = Facts((rsa, ecdsa), used(rsa) | used(ecdsa))
    assert codes(facts, 70) == ["not_renewed", "not_renewed"]
    # Only the ECDSA half is renewed: the RSA half still is not.
    new = certificate(begin=65)
    facts = Facts((rsa, ecdsa, new), used(rsa) | used(ecdsa))
    assert codes(facts, 70) == ["not_renewed", "not_deployed"]


def test_a_short_life_is_told_of_twice_and_at_its_end() -> None:
    item = certificate(days=6)
    facts = Facts((item,), used(item))
    seen = [codes(facts, hour / 24) for hour in range(6 * 24 + 2)]
    assert [item for at, item in enumerate(seen) if item != seen[at - 1]] == [
        [],
        ["renewal_due"],
        ["not_renewed"],
        ["expired"],
    ]


def test_ten_thousand_spare_certificates_are_judged_in_a_moment() -> None:
    items = tuple(certificate(f"h{number}.example.org") for number in range(10_000))
    began = time.thread_time()
    assert len(findings(Facts(items), 70)) == 10_000
    assert time.thread_time() - began < 5


def failing(failures: int, **values: Any) -> FailingRenewal:
    item = FailingRenewal(
        pk=7,
        label="mail.example.org",
        authority="Test CA",
        failures=failures,
        next_attempt_at=START + timedelta(days=70),
        lifetime=Lifetime(START, START + timedelta(days=90)),
        problem={"code": "acme.name_refused", "severity": "error", "subject": "", "params": {}},
        certificate_id=3,
    )
    return replace(item, **values)


@pytest.mark.parametrize(
    ("failures", "on_day", "severity"),
    [
        (0, 80, None),
        (2, 65, None),
        (3, 65, Severity.WARNING),
        (9, 74.9, Severity.WARNING),
        (1, 75.1, Severity.ERROR),
        (9, 95, Severity.ERROR),
    ],
)
def test_a_renewal_that_fails_is_told_after_three_attempts_and_again_when_it_gets_late(
    failures: int, on_day: float, severity: Severity | None
) -> None:
    found = findings(Facts(renewals=(failing(failures),)), on_day)
    assert [item.severity for item in found] == ([severity] if severity else [])
    if severity:
        assert found[0].code == "acme.renewal_failing"
        assert found[0].subject == ("7/late" if severity is Severity.ERROR else "7")
        assert found[0].occurrence == "3"


def test_a_first_certificate_that_is_never_issued_is_told_as_a_warning() -> None:
    (found,) = findings(
        Facts(renewals=(failing(3, lifetime=None, certificate_id=None, next_attempt_at=None),)), 500
    )
    assert found.severity is Severity.WARNING
    assert "not_after" not in found.params
    assert "next_attempt_at" not in found.params


def test_an_edit_outside_the_panel_is_a_warning_each_time_it_is_another_one() -> None:
    names = ("main.cf", "master.cf", "a.pem", "b.pem", "c.pem", "d.pem")
    edits = (HandEdit(7, 1, "mail.example.org", names), HandEdit(9, 2, "mx.example.org", names[:1]))
    first, second = judge(Facts(edits=edits), START)
    assert (first.code, first.subject, first.occurrence) == ("server.drift", "1", "7")
    assert first.severity is Severity.WARNING
    assert first.params["files"] == "main.cf, master.cf, a.pem, b.pem, c.pem, …"
    assert (second.subject, second.params["files"], second.server_id) == ("2", "main.cf", 2)
