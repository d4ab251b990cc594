"""How an attempt ended, as a code with parameters; the sentences are in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mailadmin.pki.problems import Param

# No more of an answer is ever kept: it is somebody else's text.
LONGEST_EXCERPT = 200
_DONE = frozenset({"mail.accepted", "webhook.accepted"})


@dataclass(frozen=True, slots=True)
class Result:
    """``mail.accepted`` and ``webhook.accepted`` are good; everything else is tried again."""

    code: str
    params: Mapping[str, Param] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Tell whether it arrived."""
        return self.code in _DONE

    def as_dict(self) -> dict[str, Any]:
        """Return the form that is stored."""
        return {"code": self.code, "params": dict(self.params)}


def excerpt(text: str) -> str:
    """Return at most 200 printable characters of a foreign text, on one line."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:LONGEST_EXCERPT]
