"""The one shape in which the pure layers and the agent say that something is wrong.

A problem is a stable code with parameters, never a sentence: each Django app has one catalogue
(``<app>/sentences.py``) that turns codes into words for the web, the command line, JSON and e-mail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

Param = str | int | bool


class Severity(StrEnum):
    """How much a problem matters: an error refuses, a warning must be seen, an info explains."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that refuses a change (error), needs a look (warning) or explains (info).

    ``subject`` names what it is about: a service (``submissions``), a host name, a fingerprint.
    """

    code: str
    severity: Severity = Severity.ERROR
    subject: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form, as sent by the agent and stored with a plan."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "subject": self.subject,
            "params": dict(self.params),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Problem:
        """Read the JSON form back.

        Raises ``ValueError``, ``TypeError`` or ``KeyError`` on another shape.
        """
        params = value.get("params", {})
        if not isinstance(params, Mapping):
            raise TypeError("params is not a mapping")
        return cls(
            code=str(value["code"]),
            severity=Severity(str(value["severity"])),
            subject=str(value.get("subject", "")),
            params={str(name): _param(item) for name, item in params.items()},
        )


def _param(value: object) -> Param:
    return value if isinstance(value, str | int | bool) else str(value)


def has_errors(problems: Iterable[Problem]) -> bool:
    """Tell whether any of the problems refuses the change."""
    return any(problem.severity is Severity.ERROR for problem in problems)
