"""Making the row of an order: at most one under way for each certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from mailadmin.acme.models import AcmeAccount, AcmeCertificate, AcmeOrder
from mailadmin.acme.runner.replacing import replaced_id
from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event

_NAMES_IN_EVENT = 100


def insert_order(
    *,
    actor: Actor,
    acme_certificate: AcmeCertificate,
    account: AcmeAccount,
    trigger: AcmeOrder.Trigger,
    names: Sequence[str],
    followed_by: str = "",
) -> AcmeOrder | None:
    """Store an order for a worker to take, with its audit event; ``None`` if one is under way.

    Whoever asks for it, a renewal tells what it replaces: limits do not count it then.
    """
    is_rehearsal = trigger == AcmeOrder.Trigger.REHEARSAL
    try:
        with transaction.atomic():
            row = AcmeOrder.objects.create(
                acme_certificate=acme_certificate,
                account=account,
                trigger=trigger,
                followed_by=followed_by,
                names=list(names),
                profile=acme_certificate.profile,
                replaces_id="" if is_rehearsal else replaced_id(acme_certificate, account),
                previous=acme_certificate.certificate,
                requested_by=actor.name,
                actor=asdict(actor),
                request_id=actor.request_id,
                resume_at=timezone.now(),
            )
            record_event(
                actor=actor,
                verb="acme_order.requested",
                object_type="acme_order",
                object_id=row.pk,
                object_label=acme_certificate.label,
                after=_snapshot(row),
            )
    except IntegrityError:
        # The database's own constraint: whoever came second gets nothing.
        return None
    return row


def _snapshot(row: AcmeOrder) -> dict[str, Any]:
    return {
        "names": row.names[:_NAMES_IN_EVENT],
        "account": row.account.title,
        "trigger": str(row.trigger),
        "profile": row.profile,
    }
