"""Brings the notices in line with what stands now, and queues what is new.

Any number of workers may do this at once: what is opened is guarded by the constraints of
:class:`Notice`, and a notice is stored in one transaction with its deliveries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from mailadmin.audit.request_id import current_request_id
from mailadmin.notifications.facts import read_facts
from mailadmin.notifications.findings import Finding, judge
from mailadmin.notifications.models import Delivery, Destination, Notice

Key = tuple[str, str]
T = TypeVar("T")

# What comes back so soon was never over: it is shown again, but told no second time.
_SOON = timedelta(hours=1)
_BATCH = 500


def evaluate(now: datetime) -> list[int]:
    """Open, refresh and close notices; returns the keys of the deliveries to send."""
    wanted = {(item.code, item.subject): item for item in judge(read_facts(now), now)}
    rows = {(row.code, row.subject): row for row in Notice.objects.filter(closed_at=None)}
    _close([row for key, row in rows.items() if key not in wanted], now)
    _refresh(wanted, rows)
    fresh = [item for key, item in wanted.items() if key not in rows]
    _open_quietly([item for item in fresh if item.is_quiet], now)
    queued: list[int] = []
    for item in fresh:
        if not item.is_quiet:
            queued += _open(item, now)
    return queued


def _close(rows: Sequence[Notice], now: datetime) -> None:
    """Close what is over; what a renewed certificate had to say is not sent any more."""
    for some in _in_batches([row.pk for row in rows]):
        with transaction.atomic():
            Notice.objects.filter(pk__in=some, closed_at=None).update(closed_at=now)
            Delivery.objects.filter(
                notice__in=some,
                notice__code__startswith="certificate.",
                status=Delivery.Status.QUEUED,
            ).update(
                status=Delivery.Status.CANCELLED,
                finished_at=now,
                next_attempt_at=None,
                result={"code": "cancelled.over", "params": {}},
            )


def _refresh(wanted: Mapping[Key, Finding], rows: Mapping[Key, Notice]) -> None:
    """Let what stands still say what is true now: where it is served, what is missing."""
    changed = []
    for key, row in rows.items():
        item = wanted.get(key)
        if item is not None and (row.params, row.severity) != (item.params, str(item.severity)):
            row.params, row.severity = item.params, str(item.severity)
            changed.append(row)
    Notice.objects.bulk_update(changed, ["params", "severity"], batch_size=_BATCH)


def _open_quietly(findings: Sequence[Finding], now: datetime) -> None:
    """Open what is only shown; of these there can be thousands."""
    for some in _in_batches(findings):
        subjects = [item.subject for item in some]
        Notice.objects.filter(
            code__in={item.code for item in some}, subject__in=subjects, closed_at__isnull=False
        ).update(closed_at=None)
        Notice.objects.bulk_create((_row(item, now) for item in some), ignore_conflicts=True)


def _open(item: Finding, now: datetime) -> list[int]:
    """Open a notice and queue it for every destination that wants it, or find it is known."""
    if _reopen(item, now):
        return []
    try:
        with transaction.atomic():
            row = _row(item, now)
            row.save(force_insert=True)
            return _queue(row, now)
    except IntegrityError:
        # Another worker was faster, and queued it.
        return []


def _reopen(item: Finding, now: datetime) -> bool:
    """Open again what is the same occurrence, or was closed only a moment ago."""
    known = Notice.objects.filter(
        Q(occurrence=item.occurrence) | Q(closed_at__gt=now - _SOON),
        code=item.code,
        subject=item.subject,
    )
    row = known.order_by("-opened_at", "-pk").first()
    if row is None:
        return False
    # Another one of the same may be open already: then it is known all the more.
    with contextlib.suppress(IntegrityError), transaction.atomic():
        Notice.objects.filter(pk=row.pk).update(closed_at=None, params=item.params)
    return True


def _queue(row: Notice, now: datetime) -> list[int]:
    destinations = Destination.objects.filter(is_enabled=True)
    return [
        new_delivery(destination, now, notice=row).pk
        for destination in destinations
        if destination.wants(row.severity)
    ]


def new_delivery(
    destination: Destination, now: datetime, *, notice: Notice | None, requested_by: str = ""
) -> Delivery:
    """Queue a notice, or a test, for a destination; due at once."""
    return Delivery.objects.create(
        notice=notice,
        destination=destination,
        title=destination.title,
        kind=destination.kind,
        recipient=destination.recipient,
        created_at=now,
        next_attempt_at=now,
        requested_by=requested_by,
        request_id=current_request_id(),
    )


def drop_old(now: datetime) -> None:
    """Forget notices that are long over, and deliveries; an open notice stays."""
    before = now - timedelta(days=settings.NOTICE_DAYS)
    Notice.objects.filter(closed_at__lt=before).delete()
    Delivery.objects.filter(finished_at__lt=before).delete()


def _row(item: Finding, now: datetime) -> Notice:
    return Notice(
        code=item.code,
        subject=item.subject,
        occurrence=item.occurrence,
        severity=str(item.severity),
        is_quiet=item.is_quiet,
        params=item.params,
        server_id=item.server_id,
        certificate_id=item.certificate_id,
        deployment_id=item.deployment_id,
        opened_at=now,
    )


def _in_batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), _BATCH):
        yield items[at : at + _BATCH]
