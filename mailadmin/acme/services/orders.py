"""Asking for a look, a rehearsal, a certificate; and giving an order up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.utils import timezone

from mailadmin.acme import tasks
from mailadmin.acme.models import AcmeCertificate, AcmeOrder, AcmePreflight
from mailadmin.acme.runner.closing import draw
from mailadmin.acme.runner.events import tell
from mailadmin.acme.runner.inserting import insert_order
from mailadmin.acme.runner.issuing import give_up_request
from mailadmin.acme.runner.scheduling import order_due
from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.deployments.tasks import send
from mailadmin.issuance.schedule import retry_at
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.errors import ChangeRefusedError

# In the place of failures in a row: so many that the next attempt is a day later.
_A_DAY_LATER = 4

Status = AcmeOrder.Status
Trigger = AcmeOrder.Trigger


@transaction.atomic
def request_preflight(
    *,
    actor: Actor,
    acme_certificate: AcmeCertificate,
    is_order_wanted: bool = False,
    is_rehearsal_wanted: bool = False,
) -> AcmePreflight:
    """Have every name looked at before ordering; a look under way is shared.

    ``is_order_wanted``: order at once if nothing stands against it, and with
    ``is_rehearsal_wanted`` at the staging directory first.
    """
    waiting = [AcmePreflight.Status.QUEUED, AcmePreflight.Status.RUNNING]
    running = acme_certificate.preflights.filter(status__in=waiting).first()
    if running is not None:
        return running
    row = AcmePreflight.objects.create(
        acme_certificate=acme_certificate,
        is_order_wanted=is_order_wanted,
        is_rehearsal_wanted=is_rehearsal_wanted,
        requested_by=actor.name,
        actor=asdict(actor),
        request_id=actor.request_id,
    )
    transaction.on_commit(lambda: send(tasks.run_preflight, row.pk))
    return row


def request_order(
    *,
    actor: Actor,
    acme_certificate: AcmeCertificate,
    trigger: str,
    names: Sequence[str] = (),
    is_rehearsed_first: bool = False,
) -> AcmeOrder:
    """Order the certificate, for all its names or for some of them.

    ``is_rehearsed_first``: at the authority's staging directory, and for real only if that went
    well. Raises :class:`ChangeRefusedError` while another order for it is under way, for names
    that are not its own, and for a rehearsal at an authority that has no place for it.

    To ask for a renewal while the one before waits for the authority to come back is to go on with
    that: its certificate may exist, and a second order is never made beside it.
    """
    chosen = list(names) or list(acme_certificate.names)
    if not set(chosen) <= set(acme_certificate.names) or not chosen:
        raise ChangeRefusedError(Problem("acme.names_not_its_own"))
    is_rehearsal = trigger == Trigger.REHEARSAL or is_rehearsed_first
    if is_rehearsal and not acme_certificate.account.staging_url:
        params = {"title": acme_certificate.account.title}
        raise ChangeRefusedError(Problem("acme.no_staging", params=params))
    row = insert_order(
        actor=actor,
        acme_certificate=acme_certificate,
        account=acme_certificate.account,
        trigger=Trigger.REHEARSAL if is_rehearsed_first else Trigger(trigger),
        followed_by=trigger if is_rehearsed_first else "",
        names=chosen,
    )
    if row is None:
        waiting = _find_put_off(acme_certificate, chosen)
        if waiting is not None and not is_rehearsal:
            return continue_order(actor=actor, order=waiting)
        params = {"name": acme_certificate.label}
        raise ChangeRefusedError(Problem("acme.order_under_way", params=params))
    transaction.on_commit(lambda: send(tasks.advance_order, row.pk))
    return row


def request_due() -> list[AcmeOrder]:
    """Order all whose time has come, as the beat does."""
    made = order_due(timezone.now())
    for order_id in made:
        send(tasks.advance_order, order_id)
    return list(AcmeOrder.objects.filter(pk__in=made))


@transaction.atomic
def cancel_order(*, actor: Actor, order: AcmeOrder) -> AcmeOrder:
    """Give up an order; a worker then takes its records away.

    If its request is handed in, a certificate may exist at the authority: its key is destroyed, and
    whoever orders again orders a second one. Raises :class:`ChangeRefusedError` when it is too
    late, or while a worker has one that is handed in.
    """
    row = AcmeOrder.objects.select_for_update(of=("self",)).select_related("csr").get(pk=order.pk)
    now = timezone.now()
    if not row.is_cancellable(now):
        raise ChangeRefusedError(Problem("acme.order_not_cancellable"))
    is_handed_in = row.is_handed_in
    row.status, row.finished_at = Status.CANCELLED, now
    row.save(update_fields=["status", "finished_at"])
    if is_handed_in:
        give_up_request(row, actor)
        tell(row, "acme.given_up_handed_in", severity=Severity.WARNING)
    _put_off_next(row)
    _record(actor, "acme_order.cancelled", row, evidence={"is_handed_in": is_handed_in})
    transaction.on_commit(lambda: send(tasks.clean_up_order, row.pk))
    return row


def _put_off_next(order: AcmeOrder) -> None:
    """Let the beat not order again within the minute what somebody has just given up."""
    wanted = order.acme_certificate
    now = timezone.now()
    if wanted.next_attempt_at is None or wanted.next_attempt_at > now:
        return
    not_after = wanted.certificate.not_after if wanted.certificate else None
    moment = retry_at(_A_DAY_LATER, now, jitter=draw(), not_after=not_after)
    AcmeCertificate.objects.filter(pk=wanted.pk).update(next_attempt_at=moment)


@transaction.atomic
def continue_order(*, actor: Actor, order: AcmeOrder) -> AcmeOrder:
    """Go on at once with an order that waits: for a DNS record, the authority, the master key."""
    row = AcmeOrder.objects.select_for_update().get(pk=order.pk)
    if row.status == Status.WAITING or row.is_put_off(timezone.now()):
        row.resume_at = timezone.now()
        row.save(update_fields=["resume_at"])
        _record(actor, "acme_order.continued", row)
        transaction.on_commit(lambda: send(tasks.advance_order, row.pk))
    return row


def _find_put_off(wanted: AcmeCertificate, names: Sequence[str]) -> AcmeOrder | None:
    """Return the order for these names whose request is handed in and that waits."""
    row = wanted.orders.filter(status__in=AcmeOrder.UNDER_WAY).first()
    if row is None or set(row.names) != set(names):
        return None
    return row if row.is_handed_in and row.is_put_off(timezone.now()) else None


def _record(actor: Actor, verb: str, row: AcmeOrder, **what: Any) -> None:
    record_event(
        actor=actor,
        verb=verb,
        object_type="acme_order",
        object_id=row.pk,
        object_label=row.acme_certificate.label,
        **what,
    )
