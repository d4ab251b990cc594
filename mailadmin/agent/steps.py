"""The steps of an apply, told as they happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome, StepEvent, StepStatus

Tell = Callable[[StepEvent], None]


@dataclass(slots=True)
class Steps:
    """Numbers and times the steps, and tells each when it begins and when it is over.

    ``first`` is the number of the first one: steps inside another's go on counting there.
    """

    tell: Tell
    first: int = 0
    events: list[StepEvent] = field(default_factory=list)

    @contextmanager
    def run(self, code: str, subject: str = "") -> Iterator[dict[str, Any]]:
        """Time one step; what the block puts into the mapping becomes its evidence.

        An :class:`AgentError` fails the step and goes on to whoever called.
        """
        index, started = len(self.events), time.monotonic()
        at = datetime.now(UTC).isoformat()
        begun = StepEvent(self.first + index, code, subject, StepStatus.RUNNING, at)
        self.events.append(begun)
        self.tell(begun)
        evidence: dict[str, Any] = {}
        status = StepStatus.FAILED
        try:
            yield evidence
            status = StepStatus.DONE
        except AgentError as error:
            evidence["problem"] = error.problem.as_dict()
            raise
        finally:
            spent = round((time.monotonic() - started) * 1000)
            ended = StepEvent(begun.position, code, subject, status, at, spent, evidence)
            self.events[index] = ended
            self.tell(ended)

    def progress(self, **evidence: int) -> None:
        """Tell how far the step under way is; what it ends with takes the place of that."""
        running = next(item for item in reversed(self.events) if item.status is StepStatus.RUNNING)
        self.tell(replace(running, evidence=evidence))

    def note(self, code: str, subject: str = "", evidence: Mapping[str, Any] | None = None) -> None:
        """Tell a step that took no time of its own."""
        with self.run(code, subject) as noted:
            noted.update(evidence or {})


def are_files_back(told: Iterable[StepEvent]) -> bool:
    """Tell whether every file was put back, whatever became of the daemons."""
    return any(item.code == "restored" and item.status is StepStatus.DONE for item in told)


def joined(known: ApplyReport | None, report: ApplyReport) -> ApplyReport:
    """Return a report with the steps that were told before it.

    Of a second way back only one that was proven adds its own: those that were not look alike, and
    may be many.
    """
    told = known.steps if known else ()
    if known is None or known.outcome is not Outcome.FAILED or report.outcome is not Outcome.FAILED:
        told = (*told, *report.steps)
    return replace(report, steps=tuple(replace(event, position=n) for n, event in enumerate(told)))
