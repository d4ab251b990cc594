"""A look before ordering, name by name as it is known, so that the page shows how far it is."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils import timezone

from mailadmin.acme import preflight
from mailadmin.acme.models import AcmeCertificate, AcmeOrder, AcmePreflight
from mailadmin.acme.runner.inserting import insert_order
from mailadmin.acme.runner.replacing import replaced_id
from mailadmin.acme.selectors import read_spent
from mailadmin.audit.actors import Actor
from mailadmin.issuance.budgets import budget_problems, judge_budget
from mailadmin.pki.problems import Problem, has_errors

logger = logging.getLogger(__name__)

Status = AcmePreflight.Status
Trigger = AcmeOrder.Trigger


def run_preflight(preflight_id: int) -> int | None:
    """Do a look that waits, or one that was left in the middle.

    Returns the order that was made because nothing stood against it, for a worker to take.
    """
    waiting = [Status.QUEUED, Status.RUNNING]
    rows = AcmePreflight.objects.filter(pk=preflight_id, status__in=waiting)
    if not rows.update(status=Status.RUNNING):
        return None
    row = AcmePreflight.objects.select_related(
        "acme_certificate__account", "acme_certificate__server", "acme_certificate__dns_access"
    ).get(pk=preflight_id)
    results: dict[str, Any] = {}

    def tell(name: str, problems: Sequence[Problem], facts: Mapping[str, Any]) -> None:
        results[name] = {"problems": [item.as_dict() for item in problems], "facts": dict(facts)}
        AcmePreflight.objects.filter(pk=preflight_id).update(results=results)

    try:
        problems = [
            *preflight.run(row.acme_certificate, tell=tell),
            *_limit_problems(row.acme_certificate),
        ]
        status = Status.DONE
    except Exception:
        logger.exception("the look before ordering %s broke", preflight_id)
        problems, status = [Problem("acme.fault")], Status.FAILED
    found = [*problems, *(item for told in results.values() for item in told["problems"])]
    is_clean = status == Status.DONE and not has_errors(
        item if isinstance(item, Problem) else Problem.from_dict(item) for item in found
    )
    order = _order(row) if is_clean and row.is_order_wanted else None
    AcmePreflight.objects.filter(pk=preflight_id).update(
        status=status,
        problems=[item.as_dict() for item in problems],
        order=order,
        finished_at=timezone.now(),
    )
    return order.pk if order else None


def _limit_problems(wanted: AcmeCertificate) -> list[Problem]:
    """Return which limits of the authority are used up, as counted here."""
    now = timezone.now()
    spent = read_spent(wanted.account, now)
    budgets = judge_budget(
        wanted.account.directory_url,
        spent,
        wanted.names,
        now,
        is_replacing=bool(replaced_id(wanted, wanted.account)),
    )
    return budget_problems(budgets)


def _order(row: AcmePreflight) -> AcmeOrder | None:
    """Order what was looked at; ``None`` if an order is under way already."""
    wanted = row.acme_certificate
    trigger = (
        Trigger.FORCED if wanted.orders.filter(issued_at__isnull=False).exists() else Trigger.FIRST
    )
    is_rehearsed = row.is_rehearsal_wanted and bool(wanted.account.staging_url)
    return insert_order(
        actor=Actor(**row.actor),
        acme_certificate=wanted,
        account=wanted.account,
        trigger=Trigger.REHEARSAL if is_rehearsed else trigger,
        followed_by=trigger if is_rehearsed else "",
        names=wanted.names,
    )
