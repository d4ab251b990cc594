"""What people do about who is told: one transaction and one audit event each."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.notifications import selectors, tasks
from mailadmin.notifications.addresses import check_url
from mailadmin.notifications.models import Delivery, Destination
from mailadmin.notifications.runner.evaluating import new_delivery
from mailadmin.notifications.sealing import seal_secret
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError

SHORTEST_SECRET = 16
_MOST_DESTINATIONS = 50


@transaction.atomic
def add_destination(
    *,
    actor: Actor,
    kind: str,
    title: str,
    address: str,
    minimum_severity: str,
    is_enabled: bool = True,
    is_private_allowed: bool = False,
    secret: str = "",
) -> Destination:
    """Tell somebody more. Raises :class:`ChangeRefusedError`, or ``CustodyProblem``."""
    if Destination.objects.count() >= _MOST_DESTINATIONS:
        params = {"limit": _MOST_DESTINATIONS}
        raise ChangeRefusedError(Problem("destination.too_many", params=params))
    row = Destination(
        kind=kind,
        title=title,
        address=address,
        minimum_severity=minimum_severity,
        is_enabled=is_enabled,
        is_private_allowed=is_private_allowed,
        created_by=actor.name,
    )
    _refuse_unusable(row, secret)
    if secret:
        seal_secret(row, secret)
    row.save()
    _record(actor, "destination.added", row, after=snapshot(row))
    return row


@transaction.atomic
def change_destination(
    *,
    actor: Actor,
    destination: Destination,
    title: str,
    address: str,
    minimum_severity: str,
    is_enabled: bool,
    is_private_allowed: bool = False,
    secret: str = "",
) -> Destination:
    """Change who is told; an empty ``secret`` leaves the secret as it is.

    Raises :class:`ChangeRefusedError`, or ``CustodyProblem``.
    """
    row = Destination.objects.select_for_update().get(pk=destination.pk)
    before, address_before = snapshot(row), row.address
    row.title, row.address, row.minimum_severity = title, address, minimum_severity
    row.is_enabled, row.is_private_allowed = is_enabled, is_private_allowed
    _refuse_unusable(row, secret)
    if secret:
        seal_secret(row, secret)
    after = snapshot(row)
    # The path of a URL is not told, but that it is another one is.
    if row.address != address_before and before["address"] == after["address"]:
        after["is_path_changed"] = True
    if secret:
        after["is_secret_replaced"] = True
    changed = [name for name in after if after[name] != before.get(name)]
    if changed:
        row.save()
        _record(
            actor,
            "destination.changed",
            row,
            before={name: before[name] for name in changed if name in before},
            after={name: after[name] for name in changed},
        )
    return row


@transaction.atomic
def set_enabled(*, actor: Actor, destination: Destination, is_enabled: bool) -> Destination:
    """Switch a destination on or off. Does nothing when it is so already."""
    row = Destination.objects.select_for_update().get(pk=destination.pk)
    if row.is_enabled != is_enabled:
        row.is_enabled = is_enabled
        row.save(update_fields=["is_enabled"])
        verb = "destination.switched_on" if is_enabled else "destination.switched_off"
        _record(actor, verb, row)
    return row


@transaction.atomic
def delete_destination(*, actor: Actor, destination: Destination) -> None:
    """Tell them no more; what was sent stays in the log."""
    row = Destination.objects.select_for_update().filter(pk=destination.pk).first()
    if row is not None:
        _record(actor, "destination.deleted", row, before=snapshot(row))
        row.delete()


@transaction.atomic
def request_test(
    *, actor: Actor, destination: Destination, now: datetime, is_queued: bool = True
) -> Delivery:
    """Send a test, also to a destination that is switched off; one under way is shared.

    ``is_queued`` off: the caller delivers it, without a worker.
    """
    row = Destination.objects.select_for_update().get(pk=destination.pk)
    running = selectors.running_test(row)
    if running:
        return running
    delivery = new_delivery(row, now, notice=None, requested_by=actor.name)
    _record(actor, "destination.tested", row)
    if is_queued:
        transaction.on_commit(lambda: tasks.send_all([delivery.pk]))
    return delivery


def snapshot(row: Destination) -> dict[str, object]:
    """Return what an audit event says of it: never the secret, and of a URL only the host."""
    return {
        "title": row.title,
        "kind": row.kind,
        "address": row.recipient,
        "minimum_severity": row.minimum_severity,
        "is_enabled": row.is_enabled,
        "is_private_allowed": row.is_private_allowed,
    }


def _refuse_unusable(row: Destination, secret: str) -> None:
    twins = Destination.objects.filter(kind=row.kind, address=row.address).exclude(pk=row.pk)
    if twins.exists():
        raise ChangeRefusedError(Problem("destination.known", subject="address"))
    if not row.is_webhook:
        return
    problem = check_url(row.address, is_private_allowed=row.is_private_allowed)
    if problem:
        raise ChangeRefusedError(problem)
    if secret and len(secret) < SHORTEST_SECRET:
        params = {"minimum": SHORTEST_SECRET}
        raise ChangeRefusedError(Problem("webhook.secret_short", params=params))
    if not secret and not row.has_secret:
        raise ChangeRefusedError(Problem("webhook.secret_missing"))


def _record(
    actor: Actor,
    verb: str,
    row: Destination,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    record_event(
        actor=actor,
        verb=verb,
        object_type="destination",
        object_id=row.pk,
        object_label=f"{row.title} ({row.recipient})",
        before=before,
        after=after,
    )
