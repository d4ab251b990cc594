"""How long a certificate may be valid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mailadmin.pki.bundle import judge_bundle, read_parts
from mailadmin.pki.certificate import judge_leaf, make_self_signed, read_certificate
from mailadmin.pki.problems import Severity
from mailadmin.pki.roots import Roots, Store
from tests.throwaway_pki import ThrowawayCa, draw_key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CA = ThrowawayCa(now=NOW)
ROOT = read_certificate(CA.root_pem)


def judged(begin: datetime, end: datetime, *, is_public: bool = False) -> dict[str, Severity]:
    facts = read_certificate(CA.issue(not_before=begin, not_after=end).cert_pem)
    found = judge_leaf(facts, max(begin, min(NOW, end)), is_public=is_public)
    return {problem.code: problem.severity for problem in found}


@pytest.mark.parametrize(
    ("issued", "days"),
    [
        (datetime(2019, 8, 1, tzinfo=UTC), 825),
        (datetime(2020, 9, 1, tzinfo=UTC), 398),
        (datetime(2026, 3, 15, tzinfo=UTC), 200),
        (datetime(2027, 3, 15, tzinfo=UTC), 100),
        (datetime(2029, 3, 15, tzinfo=UTC), 47),
    ],
)
def test_public_authorities_are_held_to_their_limit(issued: datetime, days: int) -> None:
    end, second = issued + timedelta(days=days), timedelta(seconds=1)
    assert "certificate.long_lived" not in judged(issued, end - second, is_public=True)
    assert judged(issued, end, is_public=True)["certificate.long_lived"] is Severity.WARNING
    told = judged(issued, end).get("certificate.long_lived")
    assert told is (None if days == 825 else Severity.INFO)  # Apple's limit is the same


def test_who_is_public_is_decided_by_the_root() -> None:
    issued = CA.issue(not_before=NOW, not_after=NOW + timedelta(300))
    parts = read_parts([issued.fullchain_pem, issued.key_pem])

    def severity(roots: Roots) -> Severity:
        verdict = judge_bundle(parts, now=NOW, roots=roots)
        assert verdict.is_accepted
        (found,) = (item for item in verdict.problems if item.code == "certificate.long_lived")
        return found.severity

    other = [read_certificate(ThrowawayCa("Other", now=NOW).root_pem)]
    assert severity(Roots()) is Severity.INFO
    assert severity(Roots.gather({Store.PRIVATE: [ROOT]})) is Severity.INFO
    assert severity(Roots.gather({Store.SYSTEM: [ROOT]})) is Severity.WARNING
    both = Roots.gather({Store.SYSTEM: [ROOT], Store.MOZILLA: other})
    assert severity(both) is Severity.INFO  # added to the system by hand
    assert severity(Roots.gather({Store.MOZILLA: [ROOT]})) is Severity.WARNING


def test_apple_refuses_long_ones_of_anybody() -> None:
    found = judged(NOW, NOW + timedelta(825))
    assert found["certificate.longer_than_apple"] is Severity.WARNING
    early = datetime(2019, 6, 30, tzinfo=UTC)
    assert "certificate.longer_than_apple" not in judged(early, early + timedelta(900))
    long = read_certificate(make_self_signed(draw_key(), ["a.example"], NOW, days=900))
    assert "certificate.longer_than_apple" in {item.code for item in judge_leaf(long, NOW)}


def test_an_end_that_nobody_will_see_is_none() -> None:
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert "certificate.no_real_end" in judged(NOW, end)
    assert "certificate.no_real_end" not in judged(NOW, datetime(2099, 1, 1, tzinfo=UTC))


def test_a_certificate_for_some_days_must_be_renewed_by_itself() -> None:
    week = timedelta(days=7) - timedelta(seconds=1)
    assert judged(NOW, NOW + week) == {"certificate.short_lived": Severity.INFO}
    assert judged(NOW, NOW + timedelta(days=7)) == {}


def test_an_end_before_the_beginning_is_refused_and_nothing_else_said() -> None:
    certificate = CA.issue(not_before=NOW, not_after=NOW + timedelta(1)).cert_pem
    der = read_certificate(certificate).der
    begin, end = b"261124120000Z", b"261125120000Z"
    assert begin in der
    reversed_ = der.replace(begin, b"X" * 13).replace(end, begin).replace(b"X" * 13, end)
    found = judge_leaf(read_certificate(reversed_), NOW)
    assert [problem.code for problem in found] == ["certificate.dates_reversed"]
    assert found[0].params["not_before"] > found[0].params["not_after"]  # type: ignore[operator]
