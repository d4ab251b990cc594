"""A scripted agent, for tests of what the panel does with what the real one says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mailadmin.agent.protocol import (
    AgentError,
    ApplyReport,
    CheckReport,
    Outcome,
    Piece,
    PieceStatus,
    PlanReport,
    Standing,
    StepEvent,
    StepStatus,
)
from mailadmin.audit.actors import Actor
from mailadmin.deployments import tasks
from mailadmin.deployments.runner import (
    applying,
    confirming,
    drifting,
    foreseeing,
    planning,
    probing,
    recovering,
)
from mailadmin.mailconf.maillog.usage import Usage
from mailadmin.mailconf.proof import Expectation, Seen, expectations
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer
from tests.server_factories import make_server

DIGEST = "d" * 64


def as_wanted(expected: Sequence[Expectation]) -> list[Seen]:
    """Return what ports show that are as they should be."""
    return [
        Seen(
            item.service,
            item.address,
            item.port,
            item.sni_name,
            is_open=item.is_open,
            fingerprint=item.fingerprint,
            tls_version="TLSv1.3" if item.fingerprint else "",
        )
        for item in expected
    ]


def as_applied() -> CheckReport:
    """Return a host on which nobody has changed anything."""
    versions = {"postfix": "3.7.11", "dovecot": "2.3.19.1"}
    piece = Piece("main.cf", PieceStatus.AS_APPLIED, "0" * 64)
    return CheckReport(True, 1, versions, versions, (piece,))


@dataclass
class ScriptedAgent:
    """Answers as told; remembers what it was asked."""

    plans: list[DesiredState] = field(default_factory=list)
    applied: list[tuple[DesiredState, str, str]] = field(default_factory=list)
    outcome: Outcome = Outcome.SUCCEEDED
    problem: Problem | None = None
    plan_problems: tuple[Problem, ...] = ()
    errors: list[AgentError] = field(default_factory=list)
    also_seen: tuple[Seen, ...] = ()
    confirm_within: int | None = None
    standings: list[Standing] = field(default_factory=list)
    decided: list[tuple[str, str]] = field(default_factory=list)
    found: CheckReport = field(default_factory=as_applied)
    check_error: AgentError | None = None
    checks: int = 0
    looked_around: list[int] = field(default_factory=list)
    before_answer: Callable[[], None] = lambda: None
    used: Usage = field(default_factory=lambda: Usage(0, 0, 0, (), 0, 0, True, ()))

    def plan(self, state: DesiredState) -> PlanReport:
        self._fail_if_told()
        self.plans.append(state)
        files = ({"name": "main.cf", "lines": ["-old", "+new"]},)
        return PlanReport(DIGEST, files, self.plan_problems, {"postfix": "3.7.11"})

    def apply(
        self,
        state: DesiredState,
        *,
        digest: str,
        deployment_id: str,
        on_step: Callable[[StepEvent], None],
        confirm_within: int | None = None,
    ) -> ApplyReport:
        self._fail_if_told()
        self.confirm_within = confirm_within
        self.applied.append((state, digest, deployment_id))
        step = StepEvent(0, "planned", "", StepStatus.DONE, "2026-11-24T04:00:00+00:00", 12)
        on_step(step)
        self.before_answer()
        seen = (*as_wanted(expectations(state)), *self.also_seen)
        until = (
            (timezone.now() + timedelta(seconds=confirm_within)).isoformat()
            if confirm_within
            else ""
        )
        report = ApplyReport(self.outcome, (step,), seen, self.problem, 420, 3, until)
        self.standings.append(Standing(confirm_within, report))
        return report

    def confirm(self, deployment_id: str) -> None:
        self._fail_if_told()
        self.decided.append(("confirm", deployment_id))
        self.standings.append(Standing(None, self.standings[-1].report))

    def take_back(self, deployment_id: str, on_step: Callable[[StepEvent], None]) -> ApplyReport:
        self._fail_if_told()
        self.decided.append(("take_back", deployment_id))
        return self.take_it_back("confirm.declined")

    def standing(self, deployment_id: str) -> Standing:
        self._fail_if_told()
        return self.standings[-1]

    def take_it_back(self, code: str, outcome: Outcome = Outcome.ROLLED_BACK) -> ApplyReport:
        """Do what the agent does at the deadline, or when it is told to."""
        step = StepEvent(1, "restored", "", StepStatus.DONE, "2026-11-24T04:05:00+00:00", 9)
        problem = Problem(code, Severity.ERROR, params={"minutes": 5})
        report = ApplyReport(outcome, (step,), (), problem)
        self.standings.append(Standing(None, report))
        return report

    def probe(self, expected: Sequence[Expectation]) -> list[Seen]:
        self._fail_if_told()
        return as_wanted(expected)

    def usage(self, days: int, on_progress: Callable[[dict[str, Any]], None]) -> Usage:
        self._fail_if_told()
        on_progress({"lines": 1000, "source": "/var/log/mail.log"})
        self.before_answer()
        on_progress({"lines": 2000, "source": "/var/log/mail.log"})
        return self.used

    def look_around(self, expected: Sequence[Expectation]) -> list[Problem]:
        self._fail_if_told()
        self.looked_around += [item.port for item in expected]
        return [
            Problem(
                "firewall.closed",
                Severity.WARNING,
                "submissions",
                {"port": 465, "families": "IPv4"},
            )
        ]

    def check(self) -> CheckReport:
        self.checks += 1
        if self.check_error:
            raise self.check_error
        return self.found

    def _fail_if_told(self) -> None:
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> ScriptedAgent:
    scripted = ScriptedAgent()
    for module in (planning, applying, probing, confirming, drifting, foreseeing, recovering):
        monkeypatch.setattr(module, "agent_of", lambda server: scripted)
    monkeypatch.setattr(applying.time, "sleep", lambda seconds: None)
    return scripted


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return the list of messages that would have gone to the workers."""
    messages: list[tuple[str, int]] = []

    def keep(
        task: Any, pk: int, *, countdown: float | None = None, expires: float | None = None
    ) -> bool:
        messages.append((task.name.rpartition(".")[2], pk))
        return True

    monkeypatch.setattr(tasks, "send", keep)
    return messages


@pytest.fixture
def server(db: None) -> MailServer:
    return make_server()


@pytest.fixture
def actor(db: None) -> Actor:
    return Actor(
        user_id=None, name="ada", origin="web", address="192.0.2.7", request_id="req-12345"
    )
