"""How an order ends: issued, or failed; and when the next attempt is made."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from mailadmin.acme.models import AcmeAuthorization, AcmeCertificate, AcmeOrder
from mailadmin.acme.runner.claiming import keep
from mailadmin.acme.runner.events import tell, tell_problem
from mailadmin.acme.runner.inserting import insert_order
from mailadmin.acme.runner.issuing import actor_of, give_up_request
from mailadmin.audit.services import record_event
from mailadmin.certificates.models import Certificate
from mailadmin.issuance.schedule import renew_at, retry_at
from mailadmin.pki.problems import Problem

_RANDOM_STEPS = 1_000_000
_LONGEST_WAIT = 7 * 24 * 3600.0  # seconds; the longest window of a limit

Status = AcmeOrder.Status
Trigger = AcmeOrder.Trigger


def close_issued(order: AcmeOrder, certificate: Certificate) -> None:
    """Note that the certificate is here; what is served is another matter.

    The order goes on: a worker that is killed now must not leave it out of sight of the beat.
    """
    now = timezone.now()
    wanted = order.acme_certificate
    with transaction.atomic():
        keep(order, certificate=certificate, issued_at=now, problem=None)
        AcmeCertificate.objects.filter(pk=wanted.pk).update(
            certificate=certificate,
            failures=0,
            renewal_info={},
            next_attempt_at=renew_at(certificate.not_before, certificate.not_after, jitter=draw()),
        )
        tell(order, "acme.issued", until=certificate.not_after.isoformat(), ca=order.account.title)
        record_event(
            actor=actor_of(order),
            verb="acme_order.issued",
            object_type="acme_order",
            object_id=order.pk,
            object_label=wanted.label,
            after={"fingerprint": certificate.fingerprint, "names": certificate.names[:100]},
        )
    wanted.refresh_from_db()


def close_failed(order: AcmeOrder, problem: Problem, *, retry_after: float | None = None) -> None:
    """Note why it failed and when it is tried again; ``retry_after``: the authority's own word.

    The key that was drawn is destroyed; what is served stays as it is.
    """
    now = timezone.now()
    wanted = order.acme_certificate
    with transaction.atomic():
        keep(order, status=Status.FAILED, problem=problem.as_dict(), finished_at=now)
        give_up_request(order)
        tell_problem(order, problem)
        if order.trigger != Trigger.REHEARSAL or order.followed_by:
            _plan_next(wanted, now, retry_after)
        record_event(
            actor=actor_of(order),
            verb="acme_order.failed",
            object_type="acme_order",
            object_id=order.pk,
            object_label=wanted.label,
            outcome="failed",
            evidence={"problem": problem.as_dict(), "refused_names": _refused_names(order)},
        )


def close_rehearsed(order: AcmeOrder) -> AcmeOrder | None:
    """Note that the staging directory issued one; it and its key are thrown away.

    Returns the order for real that the rehearsal was for.
    """
    now = timezone.now()
    with transaction.atomic():
        keep(order, status=Status.ISSUED, issued_at=now, finished_at=now)
        AcmeCertificate.objects.filter(pk=order.acme_certificate_id).update(rehearsed_at=now)
        tell(order, "acme.rehearsed", ca=order.account.title)
        return _follow(order) if order.followed_by else None


def _follow(order: AcmeOrder) -> AcmeOrder | None:
    return insert_order(
        actor=actor_of(order),
        acme_certificate=order.acme_certificate,
        account=order.account,
        trigger=Trigger(order.followed_by),
        names=order.names,
    )


def draw() -> float:
    """Return a random number from 0 to 1, so that not everybody asks at the same moment."""
    return secrets.randbelow(_RANDOM_STEPS) / _RANDOM_STEPS


def _plan_next(wanted: AcmeCertificate, now: datetime, retry_after: float | None) -> None:
    failures = wanted.failures + 1
    certificate = wanted.certificate
    not_after = certificate.not_after if certificate else None
    asked = now + timedelta(seconds=min(retry_after or 0.0, _LONGEST_WAIT))
    moment = max(retry_at(failures, now, jitter=draw(), not_after=not_after), asked)
    AcmeCertificate.objects.filter(pk=wanted.pk).update(failures=failures, next_attempt_at=moment)


def _refused_names(order: AcmeOrder) -> list[str]:
    rows = order.authorizations.filter(status=AcmeAuthorization.Status.INVALID)
    return sorted(row.identifier for row in rows)
