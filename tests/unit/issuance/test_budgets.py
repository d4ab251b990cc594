"""How much of an authority's limits is left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.issuance.budgets import (
    Budget,
    IssuedEarlier,
    Limit,
    Spent,
    budget_problems,
    judge_budget,
    registered_domain,
)
from mailadmin.issuance.directories import LETS_ENCRYPT, ZEROSSL
from mailadmin.pki.problems import Severity

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
URL = LETS_ENCRYPT.directory_url
NAMES = ["mail.example.org", "*.example.net"]
HOUR = timedelta(hours=1)


def issued(ago: timedelta, *names: str) -> IssuedEarlier:
    return IssuedEarlier(NOW - ago, frozenset(names))


def by_kind(
    spent: Spent, names: list[str] = NAMES, now: datetime = NOW
) -> dict[Limit, list[Budget]]:
    found: dict[Limit, list[Budget]] = {}
    for budget in judge_budget(URL, spent, names, now):
        found.setdefault(budget.kind, []).append(budget)
    return found


def test_a_fresh_account_has_everything_left() -> None:
    budgets = judge_budget(URL, Spent(), NAMES, NOW)
    assert [(each.kind, each.subject, each.used, each.limit) for each in budgets] == [
        (Limit.SAME_NAMES, "", 0, 5),
        (Limit.NEW_ORDERS, "", 0, 300),
        (Limit.DOMAIN, "example.net", 0, 50),
        (Limit.DOMAIN, "example.org", 0, 50),
        (Limit.FAILURES, "example.net", 0, 5),
        (Limit.FAILURES, "mail.example.org", 0, 5),
    ]
    assert budget_problems(budgets) == []


@pytest.mark.parametrize(
    "url", [LETS_ENCRYPT.staging_url, ZEROSSL.directory_url, "https://127.0.0.1:14000/dir"]
)
def test_nothing_is_claimed_about_limits_that_are_not_known(url: str) -> None:
    assert judge_budget(url, Spent(), NAMES, NOW) == ()


def test_an_order_that_replaces_by_renewal_information_is_exempt() -> None:
    assert judge_budget(URL, Spent(), NAMES, NOW, is_replacing=True) == ()


def test_failures_are_counted_for_each_name_and_flow_back() -> None:
    times = tuple(NOW - timedelta(minutes=n) for n in range(5))
    spent = Spent(failures={"mail.example.org": times})
    budget = by_kind(spent)[Limit.FAILURES][1]
    assert (budget.subject, budget.used, budget.is_spent) == ("mail.example.org", 5, True)
    assert budget.free_at == NOW + timedelta(minutes=8)  # 12 minutes after the first
    (problem,) = budget_problems([budget])
    assert problem.code == "acme.budget_failures"
    assert problem.subject == "mail.example.org"
    assert problem.params["free_at"] == budget.free_at.isoformat()
    assert by_kind(spent, now=budget.free_at)[Limit.FAILURES][1].used == 4
    assert by_kind(spent, now=NOW + HOUR)[Limit.FAILURES][1].used == 0


def test_what_lies_in_the_future_is_not_counted() -> None:
    spent = Spent(failures={"mail.example.org": (NOW + HOUR,)})
    assert by_kind(spent)[Limit.FAILURES][1].used == 0


def test_certificates_with_the_same_names_are_renewals() -> None:
    spent = Spent(certificates=tuple(issued(n * HOUR, *NAMES) for n in range(5)))
    kinds = by_kind(spent)
    assert set(kinds) == {Limit.SAME_NAMES, Limit.FAILURES}
    assert kinds[Limit.SAME_NAMES][0].is_spent


def test_new_orders_and_domains_count_for_other_names() -> None:
    certificates = [issued(HOUR, f"n{i}.example.org") for i in range(50)]
    certificates += [issued(timedelta(0), "n1.example.org"), issued(HOUR, "a.example.com")]
    spent = Spent(orders=(NOW,) * 300, certificates=tuple(certificates))
    kinds = by_kind(spent, ["mail.example.org"])
    assert kinds[Limit.NEW_ORDERS][0].free_at == NOW + timedelta(seconds=36)
    assert kinds[Limit.DOMAIN][0].used == 50  # a renewal of n1 is not one more
    assert [
        each.code for each in budget_problems(judge_budget(URL, spent, ["b.example.org"], NOW))
    ] == [
        "acme.budget_new_orders",
        "acme.budget_domain",
    ]


def test_a_limit_that_is_nearly_reached_is_worth_a_warning() -> None:
    (problem,) = budget_problems([Budget(Limit.DOMAIN, 46, 50, "example.org")])
    assert problem.code == "acme.budget_nearly_spent"
    assert problem.severity is Severity.WARNING
    assert problem.params == {"kind": "domain", "used": 46, "limit": 50}
    assert budget_problems([Budget(Limit.DOMAIN, 44, 50)]) == []


def test_failures_in_a_row_end_in_a_pause() -> None:
    spent = Spent(failures_in_a_row={"mail.example.org": 1152, "example.com": 3})
    (budget,) = by_kind(spent)[Limit.PAUSED]
    (problem,) = budget_problems([budget])
    assert problem.code == "acme.budget_paused"
    assert problem.params == {"used": 1152, "limit": 1152}


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("mail.example.co.uk", "example.co.uk"),
        ("*.example.org", "example.org"),
        ("a.b.github.io", "b.github.io"),
        ("co.uk", "co.uk"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_the_registered_domain(name: str, domain: str) -> None:
    assert registered_domain(name) == domain


@given(st.lists(st.timedeltas(timedelta(0), timedelta(hours=3)), max_size=5))
def test_the_next_one_is_free_when_it_is_said_to_be(ago: list[timedelta]) -> None:
    spent = Spent(failures={"mail.example.org": tuple(NOW - each for each in ago)})
    budget = by_kind(spent)[Limit.FAILURES][1]
    assert 0 <= budget.used <= len(ago)
    if budget.is_spent:
        assert budget.free_at is not None
        assert budget.free_at > NOW
        assert not by_kind(spent, now=budget.free_at)[Limit.FAILURES][1].is_spent
