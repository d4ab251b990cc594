"""What a reviewer is told of those who use the server: who would notice, and what nobody used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from mailadmin.mailconf.maillog.foresight import Foreseen, Taking, foresee, takings
from mailadmin.mailconf.maillog.usage import Usage
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem, Severity

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a change would mean for those who used the server from ``since`` to ``until``.

    In seconds since 1970; ``reaches_to`` is the oldest moment the logs tell of, or 0 without one.
    ``unused``: what would go and nobody was seen to use. ``problems``: what could not be read or
    is not logged, so that nobody takes silence for an answer.
    """

    since: int
    until: int
    reaches_to: int
    sources: tuple[str, ...]
    lines: int
    findings: tuple[Foreseen, ...]
    unused: tuple[Taking, ...]
    problems: tuple[Problem, ...]

    @property
    def is_whole(self) -> bool:
        """Tell whether all that was asked about could be read."""
        return not any(item.severity is not Severity.INFO for item in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "since": self.since,
            "until": self.until,
            "reaches_to": self.reaches_to,
            "sources": list(self.sources),
            "lines": self.lines,
            "findings": [item.as_dict() for item in self.findings],
            "unused": [item.as_dict() for item in self.unused],
            "problems": [item.as_dict() for item in self.problems],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        parts = {
            "sources": tuple(value["sources"]),
            "findings": tuple(Foreseen.from_dict(item) for item in value["findings"]),
            "unused": tuple(Taking(**item) for item in value["unused"]),
            "problems": tuple(Problem.from_dict(item) for item in value["problems"]),
        }
        return cls(**{**value, **parts})


def look_ahead(before: DesiredState, after: DesiredState, usage: Usage) -> Outlook:
    """Return what the change would mean for those who used the server."""
    findings = foresee(before, after, usage)
    noticed = {(item.code, item.service) for item in findings}
    noticed |= {
        ("usage.port_goes", service)
        for item in findings
        if item.code == "usage.ports_go"
        for service in (item.service, *item.others)
    }
    noticed |= {
        ("usage.version_goes", item.service)
        for item in findings
        if item.code == "usage.version_untold"
    }
    taken = tuple(takings(before, after))
    problems = (*usage.problems, *_gaps(usage), *_untold(taken, usage))
    is_read = bool(usage.sources)
    return Outlook(
        since=usage.since,
        until=usage.until,
        reaches_to=usage.reaches_to,
        sources=usage.sources,
        lines=usage.lines,
        findings=findings,
        unused=tuple(
            item
            for item in taken
            if is_read and (item.code, item.service) not in noticed and _is_logged(item, usage)
        ),
        problems=problems,
    )


def _is_logged(taken: Taking, usage: Usage) -> bool:
    """Names are asked for by every client and told by few logs: silence says nothing."""
    return bool(taken.service or usage.names)


def _gaps(usage: Usage) -> tuple[Problem, ...]:
    """Return what of the time asked about the logs do not tell."""
    found: list[Problem] = []
    if not usage.is_complete:
        found.append(Problem("usage.incomplete", Severity.WARNING))
    if usage.sources and not usage.reaches_to:
        found.append(Problem("usage.log_empty", Severity.WARNING, ", ".join(usage.sources)))
    elif usage.is_complete and usage.reaches_to > usage.since + _DAY:
        params = {"at": usage.reaches_to}
        found.append(Problem("usage.log_short", Severity.WARNING, params=params))
    return tuple(found)


def _untold(taken: tuple[Taking, ...], usage: Usage) -> tuple[Problem, ...]:
    is_name_gone = any(item.code == "usage.name_goes" for item in taken)
    if is_name_gone and not usage.names and usage.sources:
        return (Problem("usage.names_untold", Severity.INFO),)
    return ()
