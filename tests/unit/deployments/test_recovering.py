"""What the panel learns of a way back that the agent tries again by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from mailadmin.agent.protocol import (
    AgentError,
    ApplyReport,
    Outcome,
    Standing,
    StepEvent,
    StepStatus,
)
from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.deployments import runner, selectors, tasks
from mailadmin.deployments.models import Deployment, ProbeRun
from mailadmin.deployments.sentences.outcomes import say_outcome
from mailadmin.pki.problems import Param, Problem
from mailadmin.servers.models import MailServer
from tests.unit.deployments.conftest import ScriptedAgent
from tests.unit.deployments.test_confirming import request

Sent = list[tuple[str, int]]
ABOUT: dict[str, Param] = {
    "reason": "daemon.died",
    "reason.subject": "postfix",
    "problem": "daemon.halted",
    "problem.subject": "dovecot",
    "problem.pid": 4711,
    "restored": True,
}
FAILED = ApplyReport(
    Outcome.FAILED, (), problem=Problem("rollback.not_proven", subject="dovecot", params=ABOUT)
)


@pytest.fixture
def unproven(server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent) -> Deployment:
    deployment = request(server, actor, None)
    agent.outcome, agent.problem = Outcome.FAILED, FAILED.problem
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    sent.clear()
    return deployment


def follow(deployment: Deployment) -> None:
    tasks.follow_recovery(deployment.pk)
    deployment.refresh_from_db()


def stands(deployment: Deployment) -> str:
    return say_outcome(deployment, is_changed=True).stands


def test_it_is_asked_about_and_says_what_keeps_it_and_when_it_is_tried_next(
    unproven: Deployment, agent: ScriptedAgent, sent: Sent
) -> None:
    tasks.resume_interrupted()
    assert sent == [("follow_recovery", unproven.pk)]
    assert "ever more seldom" in stands(unproven)
    assert "The files are what they were before, byte for byte." in stands(unproven)
    agent.standings.append(Standing(None, FAILED, 60))
    follow(unproven)
    assert unproven.retry_at is not None
    assert abs(unproven.retry_at - timezone.now() - timedelta(seconds=60)) < timedelta(seconds=5)
    at = unproven.retry_at.strftime("%H:%M:%S")
    assert f"next at {at} UTC" in stands(unproven)
    said = say_outcome(unproven, is_changed=True).sentence
    assert "Postfix died after the change." in said
    assert "Dovecot is halted: its main process 4711" in said
    # What is told again, a moment later, is no news.
    known = unproven.retry_at
    agent.standings.append(Standing(None, FAILED, 59))
    follow(unproven)
    assert unproven.retry_at == known


def test_proven_it_is_taken_back_and_told_once(
    unproven: Deployment, agent: ScriptedAgent, sent: Sent
) -> None:
    step = StepEvent(7, "proved_as_before", "", StepStatus.DONE, "2026-11-24T04:05:00+00:00", 9)
    problem = Problem("daemon.died", subject="postfix")
    agent.standings.append(Standing(None, ApplyReport(Outcome.ROLLED_BACK, (step,), (), problem)))
    follow(unproven)
    follow(unproven)
    assert unproven.status == Deployment.Status.ROLLED_BACK
    assert unproven.retry_at is None
    assert unproven.steps.filter(position=7, code="proved_as_before").exists()
    assert AuditEvent.objects.get(verb="deployment.rolled_back").actor_name == "agent"
    assert AuditEvent.objects.filter(verb="deployment.failed").count() == 1
    look = ProbeRun.objects.get()
    assert sent == [("run_probe", look.pk)]
    said = say_outcome(unproven, is_changed=True)
    assert said.sentence.startswith("Taken back: Postfix died after the change.")
    assert "byte for byte" in said.stands
    assert not selectors.unproven_deployments().exists()


@pytest.mark.parametrize("code", ["agent.unreachable", "confirm.unknown"])
def test_an_agent_that_is_away_promises_no_time(
    unproven: Deployment, agent: ScriptedAgent, code: str
) -> None:
    agent.standings.append(Standing(None, FAILED, 60))
    follow(unproven)
    agent.errors = [AgentError.because(code)]
    follow(unproven)
    assert unproven.retry_at is None
    assert unproven.is_left_unproven


def test_what_keeps_it_now_is_said(unproven: Deployment, agent: ScriptedAgent) -> None:
    about = ABOUT | {"problem": "rollback.edited", "problem.subject": "/etc/postfix/main.cf"}
    problem = Problem("rollback.not_proven", subject="/etc/postfix/main.cf", params=about)
    agent.standings.append(Standing(None, ApplyReport(Outcome.FAILED, (), problem=problem), 60))
    follow(unproven)
    said = say_outcome(unproven, is_changed=True).sentence
    assert "/etc/postfix/main.cf was edited since it was put back." in said


def test_one_of_long_ago_is_not_asked_about(unproven: Deployment, sent: Sent) -> None:
    long_ago = timezone.now() - timedelta(days=31)
    Deployment.objects.filter(pk=unproven.pk).update(finished_at=long_ago)
    tasks.resume_interrupted()
    assert sent == []
