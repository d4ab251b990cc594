"""An authority's rate limits, counted from what was ordered here.

Known are those of Let's Encrypt (letsencrypt.org/docs/rate-limits): each is a bucket that refills
evenly, so that after the last one is spent there is a next one long before the whole period is
over. Others do not publish theirs, and nothing is claimed about them. What other programs spent
for the same domain is not known here: a budget is the most that can be left, not a promise.

An order that says by ARI what it replaces is exempt from all; one for exactly the names of an
earlier certificate from those for new orders and for the registered domain.

============================  ========  ========================================================
code                          severity  params
============================  ========  ========================================================
acme.budget_new_orders        error     used, limit, free_at
acme.budget_domain            error     used, limit, free_at; the subject is the registered domain
acme.budget_same_names        error     used, limit, free_at
acme.budget_failures          error     used, limit, free_at; the subject is the name
acme.budget_paused            error     used, limit; the subject is the name
acme.budget_nearly_spent      warning   kind, used, limit; the subject as above
============================  ========  ========================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache

from publicsuffixlist import PublicSuffixList

from mailadmin.issuance.directories import LETS_ENCRYPT, find_known, is_staging
from mailadmin.pki.names import WILDCARD, parse_address
from mailadmin.pki.problems import Param, Problem, Severity

_WARN_BELOW = 0.1  # of the limit


class Limit(StrEnum):
    """What is counted."""

    NEW_ORDERS = "new_orders"
    DOMAIN = "domain"
    SAME_NAMES = "same_names"
    FAILURES = "failures"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class _Bucket:
    size: int
    period: timedelta

    @property
    def interval(self) -> timedelta:
        """Return the time in which one more becomes free."""
        return self.period / self.size


_BUCKETS = {
    Limit.NEW_ORDERS: _Bucket(300, timedelta(hours=3)),
    Limit.DOMAIN: _Bucket(50, timedelta(days=7)),
    Limit.SAME_NAMES: _Bucket(5, timedelta(days=7)),
    Limit.FAILURES: _Bucket(5, timedelta(hours=1)),
}
_CODES = {
    Limit.NEW_ORDERS: "acme.budget_new_orders",
    Limit.DOMAIN: "acme.budget_domain",
    Limit.SAME_NAMES: "acme.budget_same_names",
    Limit.FAILURES: "acme.budget_failures",
    Limit.PAUSED: "acme.budget_paused",
}
# Failures in a row after which Let's Encrypt takes no order for the name until somebody says so.
_PAUSED_AFTER = 1152
LONGEST_PERIOD = max(bucket.period for bucket in _BUCKETS.values())


@dataclass(frozen=True, slots=True)
class IssuedEarlier:
    """A certificate that was issued to this account."""

    at: datetime
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used up with one account.

    ``orders``: when each was made, those left out that replaced one by ARI. ``certificates``: all
    that are known, however old, for a renewal is told by the names of an older one. ``failures``:
    when the proof of a name failed. ``failures_in_a_row``: since its last success.
    """

    orders: tuple[datetime, ...] = ()
    certificates: tuple[IssuedEarlier, ...] = ()
    failures: Mapping[str, tuple[datetime, ...]] = field(default_factory=dict)
    failures_in_a_row: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of one limit is used, and when there is one more if none is left.

    ``subject``: the name or registered domain that it is counted for; empty for the account.
    """

    kind: Limit
    used: int
    limit: int
    subject: str = ""
    free_at: datetime | None = None

    @property
    def is_spent(self) -> bool:
        """Tell whether the next one would be refused."""
        return self.used >= self.limit


def judge_budget(
    directory_url: str,
    spent: Spent,
    names: Iterable[str],
    now: datetime,
    *,
    is_replacing: bool = False,
) -> tuple[Budget, ...]:
    """Return what is left for an order of these names; nothing where no limits are known.

    ``is_replacing``: the order tells by ARI which certificate it replaces.
    """
    known = find_known(directory_url)
    if known is not LETS_ENCRYPT or is_staging(directory_url) or is_replacing:
        return ()
    wanted = frozenset(names)
    return tuple(_count_all(spent, wanted, now))


def budget_problems(budgets: Iterable[Budget]) -> list[Problem]:
    """Return an error for each limit that is used up, and a warning for each that nearly is."""
    found = []
    for budget in budgets:
        counts: dict[str, Param] = {"used": budget.used, "limit": budget.limit}
        if budget.is_spent:
            if budget.free_at is not None:
                counts["free_at"] = budget.free_at.isoformat()
            found.append(Problem(_CODES[budget.kind], subject=budget.subject, params=counts))
        elif budget.limit - budget.used <= budget.limit * _WARN_BELOW:
            params = {"kind": str(budget.kind), **counts}
            warning = Severity.WARNING
            found.append(Problem("acme.budget_nearly_spent", warning, budget.subject, params))
    return found


def registered_domain(name: str) -> str:
    """Return the part that was registered (``example.co.uk``); a suffix or an address itself."""
    host = name.removeprefix(WILDCARD)
    if parse_address(host):
        return host
    return str(_suffixes().privatesuffix(host) or host)


def _count_all(spent: Spent, wanted: frozenset[str], now: datetime) -> Iterator[Budget]:
    same = [each.at for each in spent.certificates if each.names == wanted]
    yield _count(Limit.SAME_NAMES, same, now)
    if not same:
        yield _count(Limit.NEW_ORDERS, spent.orders, now)
        first = _without_renewals(spent.certificates)
        for domain in sorted({registered_domain(name) for name in wanted}):
            times = [each.at for each in first if domain in map(registered_domain, each.names)]
            yield _count(Limit.DOMAIN, times, now, domain)
    for name in sorted({name.removeprefix(WILDCARD) for name in wanted}):
        yield _count(Limit.FAILURES, spent.failures.get(name, ()), now, name)
        in_a_row = spent.failures_in_a_row.get(name, 0)
        if in_a_row:
            yield Budget(Limit.PAUSED, in_a_row, _PAUSED_AFTER, name)


def _count(kind: Limit, times: Sequence[datetime], now: datetime, subject: str = "") -> Budget:
    """Count what has not flowed back into the bucket (the generic cell rate algorithm)."""
    bucket = _BUCKETS[kind]
    interval = bucket.interval
    full_again = now
    for number, moment in enumerate(sorted(time for time in times if time <= now)):
        full_again = (max(full_again, moment) if number else moment) + interval
    used = max(math.ceil((full_again - now) / interval), 0)
    if used < bucket.size:
        return Budget(kind, used, bucket.size, subject)
    return Budget(kind, used, bucket.size, subject, full_again - interval * (bucket.size - 1))


def _without_renewals(certificates: Sequence[IssuedEarlier]) -> list[IssuedEarlier]:
    """Leave out those with exactly the names of an earlier one."""
    first: dict[frozenset[str], IssuedEarlier] = {}
    for each in sorted(certificates, key=lambda item: item.at):
        first.setdefault(each.names, each)
    return list(first.values())


@cache
def _suffixes() -> PublicSuffixList:
    # With the private section: what is below github.io was registered by somebody of its own.
    return PublicSuffixList()
