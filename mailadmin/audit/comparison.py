"""Before and after, side by side, with what changed marked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Change = Literal["same", "added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Row:
    """One member of the two mappings, as text."""

    name: str
    before: str
    after: str
    change: Change


def compare(before: Mapping[str, object] | None, after: Mapping[str, object] | None) -> list[Row]:
    """Return every member of either mapping; those that differ first, then by name."""
    old, new = before or {}, after or {}
    rows = [
        Row(
            name=name,
            before=value_words(old[name]) if name in old else "",
            after=value_words(new[name]) if name in new else "",
            change=_change(name, old, new),
        )
        for name in sorted({*old, *new})
    ]
    return sorted(rows, key=lambda row: row.change == "same")


def value_words(value: object) -> str:
    """Return a JSON value as text: plain words for plain values, JSON for the rest."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


def _change(name: str, old: Mapping[str, object], new: Mapping[str, object]) -> Change:
    if name not in old:
        return "added"
    if name not in new:
        return "removed"
    return "same" if old[name] == new[name] else "changed"
