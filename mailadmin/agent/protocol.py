"""What crosses the agent's Unix socket: one JSON object a line, fixed verbs, codes as errors.

A request is ``{"verb", "params", "request_id"}``. The answer is any number of ``{"event": ...}``
lines and then one ``{"result": ...}`` or ``{"error": ...}``. No exception class crosses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from mailadmin.mailconf.proof import Seen
from mailadmin.pki.problems import Problem, Severity

# A state with a few hundred certificates stays well below; anything larger is not ours.
MAX_MESSAGE = 16 * 1024 * 1024
# PostgreSQL keeps no NUL, and no half of a pair, in a text or in JSON.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Verb(StrEnum):
    """All that the agent can be asked to do."""

    OBSERVE = "observe"
    OBSERVE_AS_LEFT = "observe_as_left"
    HAND_OVER_KEYS = "hand_over_keys"
    PLAN = "plan"
    APPLY = "apply"
    CONFIRM = "confirm"
    TAKE_BACK = "take_back"
    STANDING = "standing"
    PROBE = "probe"
    CHECK = "check"
    USAGE = "usage"
    LOOK_AROUND = "look_around"
    PRESENT_CHALLENGE = "present_challenge"
    WITHDRAW_CHALLENGE = "withdraw_challenge"
    REHEARSE = "rehearse"


class ChallengeWay(StrEnum):
    """Who answers an authority on port 80: the agent itself, or a web server from its folder."""

    LISTENER = "listener"
    WEB_ROOT = "web_root"


class Outcome(StrEnum):
    """How an apply ended. ``FAILED``: neither the new nor the old state is proven."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


class StepStatus(StrEnum):
    """How a step stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class AgentError(Exception):
    """The agent refused, or could not be asked. Carries the problem; no sentence, no secret."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem

    @classmethod
    def because(cls, code: str, subject: str = "", **params: str | int) -> Self:
        """Build the error from a code and its parameters."""
        return cls(Problem(code, Severity.ERROR, subject, params))


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the agent."""

    verb: Verb
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One step of an apply, told when it begins and again when it is over.

    ``position`` is stable: the second telling replaces the first.
    """

    position: int
    code: str
    subject: str
    status: StepStatus
    at: str
    duration_ms: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "position": self.position,
            "code": self.code,
            "subject": self.subject,
            "status": str(self.status),
            "at": self.at,
            "duration_ms": self.duration_ms,
            "evidence": dict(self.evidence),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back."""
        return cls(**{**value, "status": StepStatus(value["status"])})


@dataclass(frozen=True, slots=True)
class PlanReport:
    """What would change on the host. ``files`` are redacted diffs.

    ``is_hosts_own``: nothing of the panel would be left in the daemons' files.
    """

    digest: str
    files: tuple[Mapping[str, Any], ...]
    problems: tuple[Problem, ...]
    versions: Mapping[str, str]
    is_hosts_own: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "digest": self.digest,
            "files": [dict(item) for item in self.files],
            "problems": [item.as_dict() for item in self.problems],
            "versions": dict(self.versions),
            "is_hosts_own": self.is_hosts_own,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back."""
        return cls(
            digest=value["digest"],
            is_hosts_own=value["is_hosts_own"],
            files=tuple(value["files"]),
            problems=tuple(Problem.from_dict(item) for item in value["problems"]),
            versions=value["versions"],
        )


class PieceStatus(StrEnum):
    """How something that an apply left on the host stands now."""

    AS_APPLIED = "as_applied"
    CHANGED = "changed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing the panel answers for: its part of a file, or a file of certificates.

    ``lines`` is a redacted diff from what was applied to what is there; never key bytes.
    ``certificate`` holds leaf and chain of a changed file whose key fits: public parts alone.
    """

    name: str
    status: PieceStatus
    digest: str = ""
    # When the file was written last (ISO 8601) and whose it is; nobody knows who wrote it.
    modified_at: str = ""
    uid: int | None = None
    lines: tuple[str, ...] = ()
    certificate: Mapping[str, str] | None = None

    @property
    def is_drifted(self) -> bool:
        """Tell whether it is not what was applied."""
        return self.status is not PieceStatus.AS_APPLIED

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "status": str(self.status),
            "digest": self.digest,
            "modified_at": self.modified_at,
            "uid": self.uid,
            "lines": list(self.lines),
            "certificate": dict(self.certificate) if self.certificate else None,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back."""
        lines = tuple(value["lines"])
        return cls(**{**value, "status": PieceStatus(value["status"]), "lines": lines})


@dataclass(frozen=True, slots=True)
class CheckReport:
    """How what the last apply left on the host stands now.

    ``is_noted``: whether it is known what that was; agents of before took no note. ``listeners``
    are those that the changed files ask for now, as in a state.
    """

    is_noted: bool
    generation: int
    versions: Mapping[str, str]
    versions_applied: Mapping[str, str]
    pieces: tuple[Piece, ...]
    listeners: tuple[Mapping[str, Any], ...] = ()

    @property
    def drifted(self) -> tuple[Piece, ...]:
        """Return the pieces that are not what was applied."""
        return tuple(item for item in self.pieces if item.is_drifted)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "is_noted": self.is_noted,
            "generation": self.generation,
            "versions": dict(self.versions),
            "versions_applied": dict(self.versions_applied),
            "pieces": [item.as_dict() for item in self.pieces],
            "listeners": [dict(item) for item in self.listeners],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back."""
        pieces = tuple(Piece.from_dict(item) for item in value["pieces"])
        return cls(**{**value, "pieces": pieces, "listeners": tuple(value["listeners"])})


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """How an apply ended, with the evidence. ``proof_ms``: from the request to the first proof.

    ``confirm_by``: when it is taken back unless confirmed (ISO, UTC); empty if it just stays.
    """

    outcome: Outcome
    steps: tuple[StepEvent, ...]
    evidence: tuple[Seen, ...] = ()
    problem: Problem | None = None
    proof_ms: int | None = None
    generation: int = 0
    confirm_by: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, as kept on the host for whoever asks again."""
        return {
            "outcome": str(self.outcome),
            "steps": [item.as_dict() for item in self.steps],
            "evidence": [item.as_dict() for item in self.evidence],
            "problem": self.problem.as_dict() if self.problem else None,
            "proof_ms": self.proof_ms,
            "generation": self.generation,
            "confirm_by": self.confirm_by,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back."""
        return cls(
            outcome=Outcome(value["outcome"]),
            steps=tuple(StepEvent.from_dict(item) for item in value["steps"]),
            evidence=tuple(Seen.from_dict(item) for item in value["evidence"]),
            problem=Problem.from_dict(value["problem"]) if value["problem"] else None,
            proof_ms=value["proof_ms"],
            generation=value["generation"],
            # Reports of before there were trials are kept on the host too.
            confirm_by=value.get("confirm_by", ""),
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a deployment stands that is, or was, to be confirmed.

    With ``seconds_left`` None nothing is awaited any more: it stays, or is being taken back.
    ``report`` says which; None while it is being taken back. ``retry_in``: the seconds until a way
    back that was not proven is tried again; None: it is not.
    """

    seconds_left: int | None
    report: ApplyReport | None
    retry_in: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        report = self.report.as_dict() if self.report else None
        return {"seconds_left": self.seconds_left, "report": report, "retry_in": self.retry_in}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back."""
        report = ApplyReport.from_dict(value["report"]) if value["report"] else None
        return cls(value["seconds_left"], report, value.get("retry_in"))


def encode(message: Mapping[str, Any]) -> bytes:
    """Return one line. Raises :class:`AgentError` if it would be too long."""
    line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_MESSAGE:
        raise AgentError.because("agent.message_too_large", limit=MAX_MESSAGE)
    return line


def decode(line: bytes) -> dict[str, Any]:
    """Return the object of one line. Raises :class:`AgentError` for anything else.

    What a mail server says may hold characters that no database column can; they are replaced.
    """
    if len(line) > MAX_MESSAGE:
        raise AgentError.because("agent.message_too_large", limit=MAX_MESSAGE)
    try:
        message = json.loads(line)
        if _may_be_unstorable(line):
            message = _as_storable(message)
    except (ValueError, RecursionError):
        raise AgentError.because("agent.message_unreadable") from None
    if not isinstance(message, dict):
        raise AgentError.because("agent.message_unreadable")
    return message


def _may_be_unstorable(line: bytes) -> bool:
    """Tell whether the line spells a NUL or one of the halves that pairs are made of."""
    return b"\\u0000" in line or b"\\ud" in line.lower()


def _as_storable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_as_storable(item) for item in value]
    if isinstance(value, dict):
        return {_as_storable(name): _as_storable(item) for name, item in value.items()}
    return value


def read_request(line: bytes) -> Request:
    """Return the request of one line. Raises :class:`AgentError`."""
    message = decode(line)
    params = message.get("params", {})
    request_id = message.get("request_id", "")
    if not isinstance(params, dict) or not isinstance(request_id, str):
        raise AgentError.because("agent.message_unreadable")
    try:
        verb = Verb(str(message.get("verb")))
    except ValueError:
        raise AgentError.because("agent.verb_unknown") from None
    return Request(verb, params, request_id[:64])
