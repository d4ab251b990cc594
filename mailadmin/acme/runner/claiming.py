"""Who has an order in hand: one worker at a time, by a lease in the row that runs out by itself."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from mailadmin.acme.models import AcmeOrder

# Longer than any single question to an authority or a DNS provider takes, with its time limits.
LEASE = timedelta(seconds=90)
# With less left than this the lease is written anew before the next question.
_RENEWED_BEFORE = timedelta(seconds=75)

Status = AcmeOrder.Status


class OrderLostError(Exception):
    """The lease ran out and another worker has the order, or somebody gave it up."""


@contextmanager
def claimed(order_id: int, now: datetime) -> Iterator[AcmeOrder | None]:
    """Give the order to this worker until the block ends; ``None`` if it cannot have it."""
    lease = uuid.uuid4()
    free = Q(lease=None) | Q(leased_until__lt=now)
    # A message that came twice must not ask before it is time: each would send another one.
    is_time = Q(resume_at=None) | Q(resume_at__lte=now)
    rows = AcmeOrder.objects.filter(free, is_time, pk=order_id, status__in=AcmeOrder.UNDER_WAY)
    taken = rows.update(lease=lease, leased_until=now + LEASE)
    if not taken:
        yield None
        return
    related = AcmeOrder.objects.select_related("acme_certificate__server", "account", "csr")
    try:
        yield related.get(pk=order_id)
    finally:
        AcmeOrder.objects.filter(pk=order_id, lease=lease).update(lease=None, leased_until=None)


def keep(order: AcmeOrder, **changes: object) -> None:
    """Write the changes, and the lease anew, if the order is still this worker's.

    Raises :class:`OrderLostError`; nothing is written then.
    """
    until = timezone.now() + LEASE
    rows = AcmeOrder.objects.filter(pk=order.pk, lease=order.lease).exclude(status=Status.CANCELLED)
    if not rows.update(leased_until=until, **changes):
        raise OrderLostError
    order.leased_until = until
    for name, value in changes.items():
        setattr(order, name, value)


def hold(order: AcmeOrder) -> None:
    """Keep the lease while many questions are asked; written only when it becomes short.

    Raises :class:`OrderLostError`.
    """
    if order.leased_until is None or order.leased_until - timezone.now() < _RENEWED_BEFORE:
        keep(order)
