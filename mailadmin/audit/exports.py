"""The log as CSV and JSON, line by line, however long it is."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator

from mailadmin.audit.models import AuditEvent
from mailadmin.audit.sentences import verb_words

COLUMNS = (
    "id", "time", "person", "origin", "address", "user_agent", "request_id", "verb", "words",
    "object_type", "object_id", "object_label", "outcome", "reason", "before", "after", "evidence",
)  # fmt: skip
# A spreadsheet takes a cell that starts with one of these for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Line:
    """A file that gives back what is written to it, so that csv.writer can stream."""

    def write(self, line: str) -> str:
        """Return the line."""
        return line


def csv_lines(events: Iterable[AuditEvent]) -> Iterator[str]:
    """Yield the header, then one line per event."""
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for event in events:
        yield writer.writerow([_cell(value) for value in _record(event).values()])


def json_lines(events: Iterable[AuditEvent]) -> Iterator[str]:
    """Yield one JSON array with an object per event, an event a line."""
    yield "["
    separator = "\n"
    for event in events:
        yield separator + json.dumps(_record(event), ensure_ascii=False)
        separator = ",\n"
    yield "\n]\n"


def _record(event: AuditEvent) -> dict[str, object]:
    values = (
        event.pk, event.created_at.isoformat(), event.actor_name, event.origin, event.address,
        event.user_agent, event.request_id, event.verb, verb_words(event.verb), event.object_type,
        event.object_id, event.object_label, event.outcome, event.reason, event.before,
        event.after, event.evidence,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _cell(value: object) -> str:
    """Return the text of a cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
