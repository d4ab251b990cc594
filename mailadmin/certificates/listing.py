"""What the list and the calendar show. Every function costs a fixed number of queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby

from django.db.models import Exists, OuterRef, QuerySet

from mailadmin.certificates.models import Certificate
from mailadmin.certificates.selectors import (
    annotate_uses,
    list_certificates,
    search,
    used_condition,
)

CALENDAR_SPAN = timedelta(days=365)
MOST_IN_CALENDAR = 500


class Shown(StrEnum):
    """Which certificates the list shows."""

    ALL = ""
    IN_USE = "in_use"
    SPARE = "spare"
    EXPIRED = "expired"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class ListFilter:
    """What was asked for in the address bar."""

    text: str = ""
    shown: Shown = Shown.ALL
    tag: str = ""

    @property
    def is_narrow(self) -> bool:
        """Tell whether anything is left out that the plain list has."""
        return bool(self.text or self.shown or self.tag)


@dataclass(frozen=True, slots=True)
class Month:
    """The certificates that expire in one month; ``begin`` is ``None`` for the expired ones."""

    begin: datetime | None
    certificates: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class Calendar:
    """What expires when, how many there was no room for, and how many expire later."""

    months: tuple[Month, ...]
    left_out: int
    later: int


def filter_certificates(wanted: ListFilter, *, now: datetime) -> QuerySet[Certificate]:
    """Return what the list shows, by urgency; deleted ones by when they were deleted."""
    if wanted.shown is Shown.DELETED:
        rows = Certificate.objects.exclude(deleted_at=None).defer(
            "leaf_pem", "chain_pem", "root_pem"
        )
        rows = rows.order_by("-deleted_at", "-pk")
    else:
        rows = list_certificates(now=now)
    if wanted.shown is Shown.IN_USE:
        rows = rows.filter(used_condition())
    elif wanted.shown is Shown.SPARE:
        rows = rows.exclude(used_condition()).filter(not_after__gt=now)
    elif wanted.shown is Shown.EXPIRED:
        rows = rows.filter(not_after__lte=now)
    if wanted.tag:
        rows = rows.filter(tags__icontains=f'"{wanted.tag}"')
    return search(rows, wanted.text)


def find_tags() -> list[str]:
    """Return every tag that a certificate has, in order."""
    tagged = Certificate.objects.exclude(tags=[]).order_by().values_list("tags", flat=True)
    return sorted({tag for tags in tagged for tag in tags})


def read_calendar(*, now: datetime) -> Calendar:
    """Return what expires within a year, month by month, the expired ones first."""
    rows = _calendar_rows()
    near = rows.filter(not_after__lte=now + CALENDAR_SPAN)
    found = list(near[:MOST_IN_CALENDAR])
    left_out = near.count() - len(found) if len(found) == MOST_IN_CALENDAR else 0
    later = rows.filter(not_after__gt=now + CALENDAR_SPAN).count()
    return Calendar(tuple(_by_month(found, now)), left_out, later)


def list_for_export(*, now: datetime) -> list[Certificate]:
    """Return what expires within a year and has not yet, soonest first."""
    rows = _calendar_rows().filter(not_after__gt=now, not_after__lte=now + CALENDAR_SPAN)
    return list(rows[:MOST_IN_CALENDAR])


def _calendar_rows() -> QuerySet[Certificate]:
    heirs = Certificate.objects.filter(replaces=OuterRef("pk"), deleted_at=None)
    rows = annotate_uses(Certificate.objects.filter(deleted_at=None))
    return (
        rows.annotate(has_heir=Exists(heirs))
        .order_by("not_after", "pk")
        .defer("leaf_pem", "chain_pem", "root_pem")
    )


def _by_month(certificates: Iterable[Certificate], now: datetime) -> Iterable[Month]:
    def begin(row: Certificate) -> datetime | None:
        if row.not_after <= now:
            return None
        return row.not_after.replace(day=1, hour=0, minute=0, second=0, microsecond=0)

    for month, rows in groupby(certificates, begin):
        yield Month(month, tuple(rows))
