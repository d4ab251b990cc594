"""Asking ``certificate_inspect``, and telling how its answer differs from the expected one."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management import call_command

from tests.corpora.tables import Row

OUTCOMES = {0: "accepted", 1: "refused", 2: "unreadable"}
MOST_SECONDS = 2.0

Inspect = Callable[..., "Answer"]


@dataclass(frozen=True)
class Answer:
    """What the command said, and how long a processor worked on it."""

    outcome: str
    problems: tuple[dict[str, Any], ...]
    seconds: float
    leaf: dict[str, Any] | None = None

    def codes(self, severity: str) -> frozenset[str]:
        """Return the codes of one severity, each once."""
        return frozenset(found["code"] for found in self.problems if found["severity"] == severity)


def inspect(*files: Path, password_file: Path | None = None) -> Answer:
    """Run the command in this process, with the clock of the test."""
    out = io.StringIO()
    options: dict[str, Any] = {"json": True, "stdout": out}
    if password_file:
        options["password_file"] = str(password_file)
    began = time.thread_time()
    code: Any = 0
    try:
        call_command("certificate_inspect", *map(str, files), **options)
    except SystemExit as stop:
        code = stop.code
    seconds = time.thread_time() - began
    verdict = json.loads(out.getvalue())
    assert verdict["accepted"] == (code == 0)
    return Answer(OUTCOMES[code], tuple(verdict["problems"]), seconds, verdict["leaf"])


def differences(row: Row, answer: Answer) -> Iterator[str]:
    """Yield in words what is not as the table has it."""
    if answer.outcome != row.outcome:
        yield f"is {answer.outcome}, not {row.outcome}"
    for severity, expected in (("error", row.errors), ("warning", row.warnings)):
        found = answer.codes(severity)
        if found != expected:
            also, without = sorted(found - expected), sorted(expected - found)
            yield f"{severity}s: also {also}, without {without}"
    yield from faults(answer)


def faults(answer: Answer) -> Iterator[str]:
    """Yield what no answer may have: a code for a sentence, or more than two seconds of work."""
    for problem in answer.problems:
        if not is_sentence(problem["message"], problem["code"]):
            yield f"no sentence for {problem['code']}: {problem['message']!r}"
    if answer.seconds > MOST_SECONDS:
        yield f"took {answer.seconds:.1f} s"


def is_sentence(text: str, code: str) -> bool:
    """Tell whether a text is a sentence for people.

    It begins with a word and is long enough, holds neither its code nor an unfilled parameter, and
    ends with a full stop, or with a command to type.
    """
    begins_well = re.match(r"[“\"(*]?\w", text) is not None
    ends_well = text.endswith(".") or re.search(r"(example with|access away): \S.*$", text)
    holds_rest = code in text or re.search(r"%\(|\{\w+\}|\bNone\b|Traceback", text)
    return begins_well and bool(ends_well) and not holds_rest and len(text.split()) >= 5
