"""What the ACME commands share: finding an authority, following an order, telling how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.core.management.base import CommandError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from mailadmin.acme.models import AcmeAccount, AcmeEvent, AcmeOrder, AcmePreflight
from mailadmin.acme.sentences import say
from mailadmin.acme.sentences.words import ORDERS, say_event
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError

# Exit code of a command that asked and did not wait for the end.
QUEUED = 2
_PAUSE = 0.1
_UNTIL_TAKEN = 40.0
Write = Callable[[str], object]
Status = AcmeOrder.Status
_GOOD = frozenset({Status.ISSUED, Status.PROVEN})


def find_account(title: str) -> AcmeAccount:
    """Return the account to order with. Raises ``CommandError`` if it is not clear which."""
    rows = AcmeAccount.objects.exclude(status=AcmeAccount.Status.DEACTIVATED)
    if title:
        row = rows.filter(title=title).first()
        if row is None:
            known = ", ".join(rows.values_list("title", flat=True)) or _("none")
            raise CommandError(
                _("There is no authority called “%(title)s” here. There are: %(known)s.")
                % {"title": title, "known": known}
            )
        return row
    found = list(rows[:2])
    if len(found) == 1:
        return found[0]
    if not found:
        raise CommandError(_("There is no authority yet: add one on the page Renewals."))
    raise CommandError(_("There are several authorities: name one with --ca."))


def follow_preflight(row: AcmePreflight, write: Write) -> AcmeOrder:
    """Wait for the look to end, and return the order it led to.

    Raises ``CommandError`` with everything that stands against ordering.
    """
    started = time.monotonic()
    while row.finished_at is None:
        _refuse_waiting(row.status == AcmePreflight.Status.QUEUED, started)
        time.sleep(_PAUSE)
        row.refresh_from_db()
    for name, told in row.results.items():
        for item in told["problems"]:
            write(f"{item['severity']}: {name}: {say(Problem.from_dict(item))}")
    for item in row.problems:
        write(f"{item['severity']}: {say(Problem.from_dict(item))}")
    if row.order is None:
        raise CommandError(_("It was not ordered; nothing was sent to the authority."))
    return row.order


def follow_order(order: AcmeOrder, write: Write) -> AcmeOrder:
    """Tell what happens until the order ends, and that of an order it leads to.

    Raises ``CommandError`` unless a certificate was issued and, if it was to be, proven.
    """
    told: set[int] = set()
    started = time.monotonic()
    while True:
        order.refresh_from_db()
        for event in order.events.exclude(pk__in=told).order_by("at", "pk"):
            told.add(event.pk)
            _tell(event, write)
        if order.is_finished:
            break
        _refuse_waiting(order.status == Status.QUEUED, started)
        time.sleep(_PAUSE)
    if order.status not in _GOOD:
        problem = Problem.from_dict(order.problem) if order.problem else None
        raise CommandError(say(problem) if problem else str(ORDERS[order.status]))
    following = _following(order)
    return follow_order(following, write) if following else order


def as_command_error(refused: ChangeRefusedError) -> CommandError:
    """Return the refusal as the command line tells it."""
    return CommandError(" ".join(say(problem) for problem in refused.problems))


def _tell(event: AcmeEvent, write: Write) -> None:
    write(f"  {event.at:%H:%M:%S}  {say_event(event)}")


def _following(order: AcmeOrder) -> AcmeOrder | None:
    """Return the order for real that a rehearsal was for."""
    if not order.followed_by:
        return None
    rows: QuerySet[AcmeOrder] = order.acme_certificate.orders.filter(pk__gt=order.pk)
    return rows.order_by("pk").first()


def _refuse_waiting(is_untouched: bool, started: float) -> None:
    if is_untouched and time.monotonic() - started > _UNTIL_TAKEN:
        raise CommandError(
            _(
                "No worker has taken it. Are the Celery worker and Redis running? It goes on by "
                "itself as soon as they are."
            )
        )
