"""The pages of the log. There is none to change or delete anything."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    QueryDict,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from mailadmin.audit.actors import Actor
from mailadmin.audit.comparison import compare
from mailadmin.audit.exports import csv_lines, json_lines
from mailadmin.audit.forms import EventFilterForm
from mailadmin.audit.models import AuditEvent, Outcome
from mailadmin.audit.selectors import (
    EventFilter,
    events_around,
    find_events,
    known_people,
    read_page,
)
from mailadmin.audit.sentences import object_words, verb_words
from mailadmin.audit.services import record_event

_FORMATS = {"csv": (csv_lines, "text/csv"), "json": (json_lines, "application/json")}


@dataclass(frozen=True, slots=True)
class Chip:
    """A condition that is set, in words, and the address without it."""

    label: str
    words: str
    address_without: str


@require_GET
def list_events(request: HttpRequest) -> HttpResponse:
    """Show the log, newest first, filtered by the address bar."""
    form = EventFilterForm(request.GET, people=known_people())
    wanted = form.event_filter()
    page = read_page(
        wanted, before=_key(request.GET.get("before")), after=_key(request.GET.get("after"))
    )
    context = {
        "form": form,
        "page": page,
        "chips": _chips(form, wanted, request.GET),
        "query": _query_without(request.GET),
    }
    is_part = request.htmx and not request.htmx.history_restore_request  # type: ignore[attr-defined]  # set by django-htmx
    return render(request, "audit/_events.html" if is_part else "audit/list.html", context)


@require_GET
def show_event(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one event: before and after, the request, the evidence, its neighbours."""
    event = get_object_or_404(AuditEvent, pk=pk)
    context = {
        "event": event,
        "rows": compare(event.before, event.after),
        "evidence": compare(None, event.evidence),
        "around": events_around(event),
    }
    return render(request, "audit/detail.html", context)


@require_POST
def export_events(request: HttpRequest, file_format: str) -> HttpResponseBase:
    """Stream the filtered log as a file. Reading it all at once is an act worth recording."""
    wanted = EventFilterForm(request.GET, people=[]).event_filter()
    newest = AuditEvent.objects.values_list("pk", flat=True).first() or 0
    events = find_events(wanted).filter(pk__lte=newest)
    with transaction.atomic():
        record_event(
            actor=Actor.from_request(request),
            verb="audit.exported",
            object_type="audit",
            evidence={
                "format": file_format,
                "events": events.count(),
                "filters": wanted.as_dict(),
            },
        )
    write_lines, content_type = _FORMATS[file_format]
    name = f"audit-{timezone.now():%Y%m%d-%H%M%S}.{file_format}"
    return StreamingHttpResponse(
        write_lines(events.iterator(chunk_size=500)),
        content_type=f"{content_type}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _chips(form: EventFilterForm, wanted: EventFilter, query: QueryDict) -> list[Chip]:
    words = {"verb": verb_words, "object_type": object_words, "outcome": _outcome_words}
    return [
        Chip(
            label=str(form.fields[name].label or name),
            words=words.get(name, str)(value),
            address_without=f"{reverse('audit:list')}?{_query_without(query, name)}",
        )
        for name, value in wanted.as_dict().items()
    ]


def _outcome_words(value: str) -> str:
    return str(Outcome(value).label) if value in Outcome.values else value


def _query_without(query: QueryDict, *names: str) -> str:
    """Return the query without these, without the place in the log, and without empty ones."""
    rest = query.copy()
    for name in [*names, "before", "after", *(key for key in query if not query[key])]:
        rest.pop(name, None)
    return rest.urlencode()


def _key(value: str | None) -> int:
    """Return the key, or 0 for anything that is none (SQLite's keys have 63 bits)."""
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 19 else 0
