"""Reading what is to be had, what is under way, and what comes next."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, F, Max, Prefetch, Q, QuerySet

from mailadmin.acme.models import (
    AcmeAccount,
    AcmeAuthorization,
    AcmeCertificate,
    AcmeOrder,
    AcmePreflight,
)
from mailadmin.issuance.budgets import LONGEST_PERIOD, Budget, IssuedEarlier, Spent, judge_budget

# A worker takes a message within milliseconds; what lies longer was lost with a worker or Redis.
_STALE = timedelta(seconds=30)
_MOST_AT_ONCE = 50
# For how long it is tried to take a proof away where that does not work.
_CLEANING = timedelta(days=1)
_ORDERS_LOOKED_AT = 20

Status = AcmeOrder.Status


@dataclass(frozen=True, slots=True)
class AccountBudget:
    """How much of an authority's limits was used with one account."""

    account: AcmeAccount
    budgets: tuple[Budget, ...]


def abandoned_orders(now: datetime) -> list[int]:
    """Return the orders that nobody has in hand and that should go on."""
    free = Q(lease=None) | Q(leased_until__lt=now)
    waiting = [Status.QUEUED, Status.RUNNING, Status.WAITING, Status.DEPLOYING]
    rows = AcmeOrder.objects.filter(free, status__in=waiting, resume_at__lt=now - _STALE)
    return list(rows.order_by("resume_at").values_list("pk", flat=True)[:_MOST_AT_ONCE])


def uncleaned_orders(now: datetime) -> list[int]:
    """Return the ended orders of which a proof is in place still, though nobody needs it."""
    proofs = AcmeAuthorization.objects.filter(
        is_cleaned_up=False,
        order__status__in=AcmeOrder.FINISHED,
        order__finished_at__range=(now - _CLEANING, now - _STALE),
    ).exclude(token="")
    found = proofs.order_by("order").values_list("order", flat=True).distinct()
    return list(found[:_MOST_AT_ONCE])


def orders_signed_with(account: AcmeAccount) -> QuerySet[AcmeOrder]:
    """Return the orders of the account that are under way and would break with another key.

    One that a worker has taken counts too: it may be about to order.
    """
    begun = ~Q(order_url="") | Q(lease__isnull=False)
    rows = AcmeOrder.objects.filter(begun, account=account, issued_at=None)
    return rows.filter(status__in=AcmeOrder.UNDER_WAY).select_related("acme_certificate")


def orders_without_place() -> QuerySet[AcmeOrder]:
    """Return the newest issued order of each certificate that was not seen served yet."""
    rows = AcmeOrder.objects.filter(
        status__in=[Status.ISSUED, Status.UNPROVEN], certificate__deleted_at=None
    ).exclude(certificate=None)
    newest = rows.filter(acme_certificate__certificate__pk=F("certificate__pk"))
    return newest.select_related("acme_certificate__server", "account", "certificate")


def abandoned_errands(now: datetime) -> list[int]:
    """Return the accounts with an errand that nobody does."""
    rows = AcmeAccount.objects.exclude(errand="").filter(errand_at__lt=now - 4 * _STALE)
    return list(rows.values_list("pk", flat=True)[:_MOST_AT_ONCE])


def abandoned_preflights(now: datetime) -> list[int]:
    """Return the looks that nobody takes."""
    waiting = [AcmePreflight.Status.QUEUED, AcmePreflight.Status.RUNNING]
    rows = AcmePreflight.objects.filter(status__in=waiting, requested_at__lt=now - 4 * _STALE)
    return list(rows.values_list("pk", flat=True)[:_MOST_AT_ONCE])


def due_certificates(now: datetime) -> list[AcmeCertificate]:
    """Return what is to be ordered now: due, renewed by itself, and with no order under way."""
    rows = AcmeCertificate.objects.filter(
        is_renewed_automatically=True, next_attempt_at__lte=now
    ).exclude(orders__status__in=AcmeOrder.UNDER_WAY)
    related = rows.select_related("account", "fallback_account", "certificate", "server")
    return list(related.order_by("next_attempt_at")[:_MOST_AT_ONCE])


def certificates_to_ask_about(now: datetime) -> list[AcmeCertificate]:
    """Return those whose authority should be asked when it wants them renewed (RFC 9773)."""
    rows = AcmeCertificate.objects.filter(
        is_renewed_automatically=True, certificate__not_after__gt=now, account__status="valid"
    )
    related = rows.select_related("account__private_key", "certificate")
    return [row for row in related if row.renewal_info.get("ask_again_at", "") <= now.isoformat()]


def list_wanted() -> QuerySet[AcmeCertificate]:
    """Return all that is had by ACME, with what a list shows of it."""
    return AcmeCertificate.objects.select_related(
        "account", "fallback_account", "certificate", "server", "dns_access"
    )


def list_wanted_with_orders() -> QuerySet[AcmeCertificate]:
    """Return the same with the newest attempts of each, in one query more."""
    recent = AcmeOrder.objects.select_related("account", "deployment")[:_ORDERS_LOOKED_AT]
    return list_wanted().prefetch_related(Prefetch("orders", recent, to_attr="recent_orders"))


def renewals_by_certificate() -> dict[int, AcmeCertificate]:
    """Return what renews, or has renewed already, each certificate that ACME has to do with."""
    rows = {row.pk: row for row in AcmeCertificate.objects.select_related("account")}
    issued = AcmeOrder.objects.exclude(certificate=None)
    pairs = issued.values_list("certificate_id", "acme_certificate_id").distinct()
    found = {certificate: rows[wanted] for certificate, wanted in pairs if wanted in rows}
    newest = {row.certificate_id: row for row in rows.values() if row.certificate_id is not None}
    return found | newest


def list_orders() -> QuerySet[AcmeOrder]:
    """Return the orders with what their page shows."""
    return AcmeOrder.objects.select_related(
        "acme_certificate", "account", "certificate", "previous", "deployment"
    )


def following_order(rehearsal: AcmeOrder) -> AcmeOrder | None:
    """Return the order for real that a rehearsal was for, once there is one."""
    if not rehearsal.followed_by or rehearsal.status != Status.ISSUED:
        return None
    later = AcmeOrder.objects.filter(
        acme_certificate=rehearsal.acme_certificate_id, pk__gt=rehearsal.pk
    )
    return later.exclude(trigger=AcmeOrder.Trigger.REHEARSAL).order_by("pk").first()


def list_accounts() -> QuerySet[AcmeAccount]:
    """Return the accounts, each with how many certificates are had by it."""
    return AcmeAccount.objects.annotate(certificate_count=Count("certificates"))


def last_proofs(wanted: AcmeCertificate) -> list[tuple[str, AcmeAuthorization | None]]:
    """Return for each name the newest attempt to prove it."""
    rows = AcmeAuthorization.objects.filter(order__acme_certificate=wanted).exclude(
        order__trigger=AcmeOrder.Trigger.REHEARSAL
    )
    # Of years of renewals, only the last of each name is read.
    last = rows.order_by().values("name", "is_wildcard").annotate(last=Max("pk"))
    kept = AcmeAuthorization.objects.filter(pk__in=[row["last"] for row in last])
    newest = {row.identifier: row for row in kept.select_related("order")}
    return [(name, newest.get(name)) for name in wanted.names]


def spent_budgets(now: datetime, account: AcmeAccount | None = None) -> list[AccountBudget]:
    """Return how much of each authority's limits was used, as counted here."""
    rows = AcmeAccount.objects.filter(status=AcmeAccount.Status.VALID)
    if account is not None:
        rows = rows.filter(pk=account.pk)
    found = [AccountBudget(row, _budgets(row, now)) for row in rows]
    return [each for each in found if each.budgets]


def read_spent(account: AcmeAccount, now: datetime) -> Spent:
    """Return what was ordered with the account lately, as its limits count it."""
    orders = AcmeOrder.objects.filter(account=account).exclude(trigger=AcmeOrder.Trigger.REHEARSAL)
    recent = orders.filter(requested_at__gt=now - LONGEST_PERIOD).exclude(order_url="")
    issued = orders.filter(issued_at__isnull=False).values_list("issued_at", "names")
    failures, in_a_row = _read_failures(account)
    return Spent(
        orders=tuple(recent.filter(replaces_id="").values_list("requested_at", flat=True)),
        certificates=tuple(
            IssuedEarlier(at, frozenset(names)) for at, names in issued if at is not None
        ),
        failures={name: tuple(times) for name, times in failures.items()},
        failures_in_a_row=in_a_row,
    )


def _read_failures(
    account: AcmeAccount,
) -> tuple[dict[str, list[datetime]], dict[str, int]]:
    """Return for each name when its proof failed, and how often since it last succeeded."""
    rows = AcmeAuthorization.objects.filter(order__account=account).exclude(
        order__trigger=AcmeOrder.Trigger.REHEARSAL
    )
    times: dict[str, list[datetime]] = defaultdict(list)
    in_a_row: dict[str, int] = defaultdict(int)
    told = rows.values_list("name", "status", "order__finished_at", "order__requested_at")
    for name, status, finished_at, requested_at in told.order_by("pk"):
        if status == AcmeAuthorization.Status.INVALID:
            times[name].append(finished_at or requested_at)
            in_a_row[name] += 1
        elif status == AcmeAuthorization.Status.VALID:
            in_a_row[name] = 0
    return times, dict(in_a_row)


def _budgets(account: AcmeAccount, now: datetime) -> tuple[Budget, ...]:
    """Return each limit once, as it is for all that is had with the account."""
    spent = read_spent(account, now)
    found: dict[tuple[str, str], Budget] = {}
    for wanted in account.certificates.all():
        for budget in judge_budget(account.directory_url, spent, wanted.names, now):
            key = (str(budget.kind), budget.subject)
            if key not in found or budget.used > found[key].used:
                found[key] = budget
    return tuple(budget for budget in found.values() if budget.used)
