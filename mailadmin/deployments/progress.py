"""A deployment as its page tells it: the steps with their evidence, and what is still to come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mailadmin.deployments.evidence import PortEvidence, as_before, read_seen, set_beside
from mailadmin.deployments.models import Deployment, DeploymentStep
from mailadmin.deployments.sentences.outcomes import Outcome, say_outcome
from mailadmin.mailconf import proof
from mailadmin.mailconf.proof import Expectation
from mailadmin.mailconf.state import DesiredState, StateError
from mailadmin.pki.problems import Problem

# What an apply goes through when nothing stops it; shown grey until it is reached.
_WAY = ("planned", "staged", "checked", "swapped", "reloaded", "proved", "watched")
_SAME = {"reread": "reloaded", "started": "reloaded", "stopped": "reloaded"}
# An instance of Dovecot is started or stopped: other steps wait for a daemon to answer.
_WAIT_FOR_PORTS = frozenset({"started", "stopped"})
_TAKEN_WITHIN = 10.0
_MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class StepView:
    """One step, with what it has to show."""

    step: DeploymentStep
    ports: tuple[PortEvidence, ...] = ()

    @property
    def state(self) -> str:
        """Return the colour of the step."""
        if self.step.status == DeploymentStep.Status.RUNNING:
            return "pending"
        return "broken" if self.step.status == DeploymentStep.Status.FAILED else "proven"

    @property
    def problem(self) -> Problem | None:
        """Return what failed the step."""
        told = self.step.evidence.get("problem")
        return Problem.from_dict(told) if isinstance(told, dict) else None

    @property
    def files(self) -> list[str]:
        """Return the names of the files it is about."""
        return _texts(self.step.evidence.get("files"))

    @property
    def certificates(self) -> list[str]:
        """Return the certificate files that were staged."""
        return _texts(self.step.evidence.get("certificates"))

    @property
    def numbers(self) -> list[tuple[str, int]]:
        """Return what was counted or timed, by what it is."""
        waited = "freed_ms" if self.step.code in _WAIT_FOR_PORTS else "waited_ms"
        names = ("generation", "waited_ms", "proof_ms", "rounds")
        said = ("generation", waited, "proof_ms", "rounds")
        found = zip(said, map(self.step.evidence.get, names), strict=True)
        return [(name, value) for name, value in found if isinstance(value, int)]

    @property
    def names(self) -> tuple[int, int] | None:
        """Return of how many of how many names is known what every port shows, on the way."""
        done, of = self.step.evidence.get("names"), self.step.evidence.get("of")
        return (done, of) if isinstance(done, int) and isinstance(of, int) else None

    @property
    def named_apart(self) -> int:
        """Return how many good looks for host names are counted instead of shown."""
        named = sum(1 for port in self.ports if port.seen.sni_name and not port.problems)
        return named if named > _MOST_SHOWN else 0

    @property
    def ports_shown(self) -> tuple[PortEvidence, ...]:
        """Return the looks that are shown one by one: all, or those that tell more."""
        if not self.named_apart:
            return self.ports
        return tuple(port for port in self.ports if port.problems or not port.seen.sni_name)

    @property
    def has_evidence(self) -> bool:
        """Tell whether there is anything to open."""
        return bool(self.problem or self.ports or self.files or self.certificates or self.numbers)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a deployment is, or how it ended."""

    deployment: Deployment
    steps: tuple[StepView, ...]
    outcome: Outcome
    now: datetime

    @property
    def coming(self) -> list[str]:
        """Return the codes of the steps that are still to come when all goes well."""
        if self.deployment.is_finished:
            return []
        codes = [view.step.code for view in self.steps]
        if "restored" in codes:
            return [code for code in ("proved_as_before",) if code not in codes]
        reached = [
            _WAY.index(_SAME.get(code, code)) for code in codes if _SAME.get(code, code) in _WAY
        ]
        return list(_WAY[max(reached, default=-1) + 1 :])

    @property
    def signature(self) -> str:
        """Return what tells one picture of the progress from the next."""
        last = self.steps[-1].step if self.steps else None
        told = f"{last.position}{last.code}{last.status}" if last else ""
        names = self.steps[-1].names if self.steps else None
        told += f"-{names[0]}" if names else ""
        waited = self.waited_seconds if self.is_waiting_long else 0
        return f"{self.deployment.status}-{told}-{waited}"

    @property
    def waited_seconds(self) -> int:
        """Return for how long nobody has taken it."""
        return int((self.now - self.deployment.requested_at).total_seconds())

    @property
    def is_queued(self) -> bool:
        """Tell whether it waits for a worker."""
        return self.deployment.status == Deployment.Status.QUEUED

    @property
    def is_waiting_long(self) -> bool:
        """Tell whether the wait needs an explanation."""
        return self.is_queued and self.waited_seconds >= _TAKEN_WITHIN


def read_progress(deployment: Deployment, now: datetime) -> Progress:
    """Read the steps and set their evidence beside what was wanted."""
    rows = list(deployment.steps.all())
    expected = _expected(deployment)
    steps = tuple(StepView(row, _ports(row, expected)) for row in rows)
    is_changed = any(row.code == "swapped" for row in rows)
    return Progress(deployment, steps, say_outcome(deployment, is_changed=is_changed), now)


def _ports(step: DeploymentStep, expected: tuple[Expectation, ...]) -> tuple[PortEvidence, ...]:
    rows = step.evidence.get("listeners")
    seen = read_seen(rows) if isinstance(rows, list) else []
    return as_before(seen) if step.code == "proved_as_before" else set_beside(expected, seen)


def _expected(deployment: Deployment) -> tuple[Expectation, ...]:
    try:
        return proof.expectations(DesiredState.from_dict(deployment.state))
    except StateError:
        return ()


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
