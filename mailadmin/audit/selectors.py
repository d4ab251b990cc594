"""Reading the log: filters, search, pages, and what happened around an event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Q

from mailadmin.audit.models import AuditEvent, AuditQuerySet
from mailadmin.audit.sentences import verbs_that_mention

PAGE_SIZE = 50
_AROUND = 4


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What to look for. Empty means anything. Days are whole days in UTC, both included."""

    person: str = ""
    verb: str = ""
    object_type: str = ""
    object_id: str = ""
    outcome: str = ""
    since: date | None = None
    until: date | None = None
    text: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the conditions that are set, ready for JSON."""
        pairs = {name: getattr(self, name) for name in self.__slots__}
        return {name: str(value) for name, value in pairs.items() if value}


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, newest first, and whether there are newer and older ones."""

    events: list[AuditEvent]
    has_newer: bool
    has_older: bool

    @property
    def newest_id(self) -> int:
        """Return the key to page from towards newer events."""
        return self.events[0].pk if self.events else 0

    @property
    def oldest_id(self) -> int:
        """Return the key to page from towards older events."""
        return self.events[-1].pk if self.events else 0


def find_events(wanted: EventFilter) -> AuditQuerySet:
    """Return the events that meet all conditions, newest first."""
    exact = {
        "actor_name": wanted.person,
        "verb": wanted.verb,
        "object_type": wanted.object_type,
        "object_id": wanted.object_id,
        "outcome": wanted.outcome,
    }
    events = AuditEvent.objects.filter(**{name: value for name, value in exact.items() if value})
    if wanted.since:
        events = events.filter(created_at__gte=_midnight(wanted.since))
    if wanted.until:
        events = events.filter(created_at__lt=_midnight(wanted.until) + timedelta(days=1))
    if wanted.text:
        events = events.filter(_mentions(wanted.text))
    return events


def read_page(wanted: EventFilter, *, before: int = 0, after: int = 0) -> EventPage:
    """Return a page of events: the newest, those before a key, or those after a key.

    Keys instead of page numbers: the log grows while somebody reads it, and a page in the middle
    of a million events costs no more than the first.
    """
    events = find_events(wanted)
    if after:
        newer = list(events.filter(pk__gt=after).order_by("pk")[: PAGE_SIZE + 1])
        if len(newer) > PAGE_SIZE:
            return EventPage(newer[:PAGE_SIZE][::-1], has_newer=True, has_older=True)
        before = 0
    if before:
        events = events.filter(pk__lt=before)
    rows = list(events[: PAGE_SIZE + 1])
    return EventPage(rows[:PAGE_SIZE], has_newer=bool(before), has_older=len(rows) > PAGE_SIZE)


def events_around(event: AuditEvent) -> list[AuditEvent]:
    """Return the event with its neighbours in time, newest first."""
    newer = list(AuditEvent.objects.filter(pk__gt=event.pk).order_by("pk")[:_AROUND])
    older = list(AuditEvent.objects.filter(pk__lt=event.pk)[:_AROUND])
    return [*newer[::-1], event, *older]


def known_people() -> list[str]:
    """Return everybody who ever did something, by name."""
    names = AuditEvent.objects.order_by("actor_name").values_list("actor_name", flat=True)
    return list(names.distinct())


def _mentions(text: str) -> Q:
    """Match what the page shows of an event, and its request."""
    fields = ("actor_name", "object_label", "reason", "address", "verb")
    matches = Q(verb__in=verbs_that_mention(text)) | Q(request_id=text) | Q(object_id=text)
    for field in fields:
        matches |= Q(**{f"{field}__icontains": text})
    return matches


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
