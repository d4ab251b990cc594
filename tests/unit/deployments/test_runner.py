"""What the workers do with a plan, a deployment and a look."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from mailadmin.agent.protocol import AgentError, Outcome
from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.custody import seal_key
from mailadmin.deployments import runner, services, tasks
from mailadmin.deployments.models import Deployment, Plan, ProbeRun
from mailadmin.listeners.models import Listener
from mailadmin.listeners.services import change_listener, disable_listener, enable_listener
from mailadmin.mailconf.proof import Seen
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.keys import KeyKind, generate_key
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from tests.unit.deployments.conftest import DIGEST, ScriptedAgent

Sent = list[tuple[str, int]]


def _listener(server: MailServer, service: str) -> Listener:
    return server.listeners.get(service=service)


def _ready_plan(server: MailServer, actor: Actor) -> Plan:
    plan = services.request_plan(actor=actor, server=server)
    runner.run_plan(plan.pk)
    plan.refresh_from_db()
    return plan


def _deployment(server: MailServer, actor: Actor, reason: str = "") -> Deployment:
    enable_listener(actor=actor, listener=_listener(server, "submissions"))
    plan = _ready_plan(server, actor)
    return services.request_deployment(actor=actor, server=server, plan=plan, reason=reason)


def test_a_plan_is_answered_with_the_digest_and_the_diff(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    plan = _ready_plan(server, actor)
    assert (plan.status, plan.digest) == (Plan.Status.READY, DIGEST)
    assert plan.files == [{"name": "main.cf", "lines": ["-old", "+new"]}]


def test_a_plan_that_was_answered_is_not_asked_again(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    plan = _ready_plan(server, actor)
    runner.run_plan(plan.pk)
    assert len(agent.plans) == 1


def test_a_plan_says_why_it_failed(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    agent.errors = [AgentError.because("postfix.config_broken", words="missing '='")]
    plan = _ready_plan(server, actor)
    assert plan.status == Plan.Status.FAILED
    assert plan.error is not None
    assert plan.error["code"] == "postfix.config_broken"


def test_keys_are_opened_for_the_agent_and_stay_out_of_the_rows(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    certificate = server.default_certificate
    assert certificate is not None
    certificate.private_key = seal_key(generate_key(KeyKind.ECDSA_P256))
    certificate.save()
    deployment = _deployment(server, actor)
    runner.run_deployment(deployment.pk)
    applied = agent.applied[0][0].certificates[0]
    assert applied.key_pem.startswith("-----BEGIN PRIVATE KEY-----")
    deployment.refresh_from_db()
    stored = str([deployment.state, deployment.files, deployment.evidence, deployment.changes])
    assert "PRIVATE KEY" not in stored
    assert not AuditEvent.objects.filter(evidence__icontains="PRIVATE KEY").exists()


def test_a_proven_deployment_becomes_the_applied_state(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    deployment = _deployment(server, actor, reason="clients ask for 465")
    assert runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    server.refresh_from_db()
    assert (deployment.status, deployment.proof_ms) == (Deployment.Status.SUCCEEDED, 420)
    applied = DesiredState.from_dict(server.applied_state).listener("submissions")
    assert applied is not None
    assert applied.is_enabled
    event = AuditEvent.objects.get(verb="deployment.succeeded")
    assert (event.actor_name, event.address, event.reason) == (
        "ada", "192.0.2.7", "clients ask for 465",
    )  # fmt: skip
    assert event.evidence["listeners"]
    look = ProbeRun.objects.get()
    assert look.trigger == ProbeRun.Trigger.DEPLOYMENT
    assert look.observations.filter(service="submissions", is_open=True).exists()


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.ROLLED_BACK, Deployment.Status.ROLLED_BACK),
        (Outcome.REFUSED, Deployment.Status.FAILED),
        (Outcome.FAILED, Deployment.Status.FAILED),
    ],
)
def test_anything_less_than_proof_leaves_the_applied_state(
    server: MailServer,
    actor: Actor,
    agent: ScriptedAgent,
    sent: Sent,
    outcome: Outcome,
    status: Deployment.Status,
) -> None:
    before = server.applied_state
    agent.outcome, agent.problem = outcome, Problem("daemon.died", subject="dovecot")
    deployment = _deployment(server, actor)
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    server.refresh_from_db()
    assert deployment.status == status
    assert deployment.failure is not None
    assert deployment.failure["code"] == "daemon.died"
    assert server.applied_state == before
    assert AuditEvent.objects.filter(object_type="deployment", outcome="failed").count() == 1


def test_a_port_that_was_left_is_part_of_the_evidence_and_of_no_listener(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    """The agent also looks at the port that a listener moved away from."""
    agent.also_seen = (Seen("pop3", "*", 110),)
    change_listener(actor=actor, listener=_listener(server, "pop3"), port=1110)
    plan = _ready_plan(server, actor)
    deployment = services.request_deployment(actor=actor, server=server, plan=plan)
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.SUCCEEDED
    assert len(deployment.evidence) == server.listeners.count() + 1
    assert ProbeRun.objects.get().observations.count() == server.listeners.count()


def test_a_look_that_cannot_be_kept_does_not_keep_a_deployment_from_ending(
    server: MailServer,
    actor: Actor,
    agent: ScriptedAgent,
    sent: Sent,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(runner.applying, "record_look", fail)
    deployment = _deployment(server, actor)
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.SUCCEEDED
    assert AuditEvent.objects.filter(verb="deployment.succeeded").count() == 1


def test_a_fault_of_our_own_ends_a_deployment_as_failed(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    deployment = _deployment(server, actor)
    Deployment.objects.filter(pk=deployment.pk).update(state={"listeners": "nonsense"})
    assert runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.FAILED
    assert deployment.failure is not None
    assert deployment.failure["code"] == "deployment.fault"


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_database_that_is_away_meanwhile_does_not_end_a_deployment(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent, error: type[Exception]
) -> None:
    deployment = _deployment(server, actor)

    def lose_the_database() -> None:
        agent.before_answer = lambda: None
        raise error("database is locked")

    agent.before_answer = lose_the_database
    assert runner.run_deployment(deployment.pk) is None
    deployment.refresh_from_db()
    assert (deployment.status, deployment.failure) == (Deployment.Status.RUNNING, None)
    assert runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.SUCCEEDED
    assert {asked[2] for asked in agent.applied} == {str(deployment.uuid)}
    assert AuditEvent.objects.filter(verb="deployment.succeeded").count() == 1


def test_a_message_that_comes_twice_closes_the_deployment_once(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    deployment = _deployment(server, actor)
    # The second delivery runs while the first still waits for the agent.
    agent.before_answer = lambda: _run_again(agent, deployment.pk)
    runner.run_deployment(deployment.pk)
    runner.run_deployment(deployment.pk)
    assert AuditEvent.objects.filter(verb="deployment.succeeded").count() == 1
    assert {asked[2] for asked in agent.applied} == {str(deployment.uuid)}
    assert deployment.steps.count() == 1


def _run_again(agent: ScriptedAgent, pk: int) -> None:
    agent.before_answer = lambda: None
    runner.run_deployment(pk)


def test_a_worker_that_died_is_followed_by_another(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    deployment = _deployment(server, actor)
    long_ago = timezone.now() - timedelta(minutes=5)
    Deployment.objects.filter(pk=deployment.pk).update(
        status=Deployment.Status.RUNNING, heartbeat_at=long_ago
    )
    sent.clear()
    tasks.resume_interrupted()
    assert ("run_deployment", deployment.pk) in sent
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.SUCCEEDED


def test_an_agent_that_is_restarted_is_asked_again(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    deployment = _deployment(server, actor)
    agent.errors = [
        AgentError.because("agent.hung_up", verb="apply"),
        AgentError.because("agent.unreachable", detail="refused"),
    ]
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.SUCCEEDED


def test_an_agent_that_stays_away_fails_the_deployment(
    server: MailServer,
    actor: Actor,
    agent: ScriptedAgent,
    sent: Sent,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner.applying, "_PATIENCE", -1.0)
    deployment = _deployment(server, actor)
    agent.errors = [AgentError.because("agent.unreachable", detail="refused")]
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.FAILED
    assert deployment.failure is not None
    assert deployment.failure["code"] == "agent.unreachable"


def test_only_one_deployment_runs_at_a_time(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    first = _deployment(server, actor)
    Deployment.objects.filter(pk=first.pk).update(
        status=Deployment.Status.RUNNING, heartbeat_at=timezone.now()
    )
    second = Deployment.objects.create(
        server=server, number=77, state=first.state, state_digest="x", requested_by="ada"
    )
    assert not runner.run_deployment(second.pk)
    second.refresh_from_db()
    assert second.status == Deployment.Status.QUEUED
    sent.clear()
    tasks.run_deployment(second.pk)
    assert sent == []
    tasks.run_deployment(first.pk)
    assert sent == [("run_deployment", second.pk)]


def test_what_waits_for_its_turn_is_not_sent_again_and_again(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    first = _deployment(server, actor)
    second = Deployment.objects.create(
        server=server, number=77, state=first.state, state_digest="x", requested_by="ada"
    )
    long_ago = timezone.now() - timedelta(minutes=5)
    Deployment.objects.update(requested_at=long_ago)
    sent.clear()
    tasks.resume_interrupted()
    assert sent == [("run_deployment", first.pk)]
    Deployment.objects.filter(pk=first.pk).update(
        status=Deployment.Status.RUNNING, heartbeat_at=timezone.now()
    )
    tasks.resume_interrupted()
    tasks.run_deployment(second.pk)
    tasks.run_deployment(second.pk)
    assert len(sent) == 1


def test_a_message_that_is_sent_again_does_not_outlive_the_next(
    server: MailServer, actor: Actor, agent: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _deployment(server, actor)
    Deployment.objects.update(requested_at=timezone.now() - timedelta(minutes=5))
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(tasks.run_deployment, "apply_async", lambda _, **how: asked.append(how))
    tasks.resume_interrupted()
    every = settings.CELERY_BEAT_SCHEDULE["pick-up-what-was-interrupted"]["schedule"]
    assert [how["expires"] for how in asked] == [every]
    tasks.send(tasks.run_deployment, first.pk)
    assert asked[-1]["expires"] is None


def test_a_deployment_is_refused_while_another_is_under_way(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    _deployment(server, actor)
    plan = _ready_plan(server, actor)
    with pytest.raises(ChangeRefusedError) as refused:
        services.request_deployment(actor=actor, server=server, plan=plan)
    assert refused.value.problems[0].code == "deployment.under_way"


def test_what_was_not_reviewed_is_not_applied(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    plan = _ready_plan(server, actor)
    disable_listener(actor=actor, listener=_listener(server, "pop3"))
    with pytest.raises(ChangeRefusedError) as refused:
        services.request_deployment(actor=actor, server=server, plan=plan)
    assert refused.value.problems[0].code == "plan.outdated"
    assert not Deployment.objects.exists()
    event = AuditEvent.objects.get(verb="deployment.refused")
    assert (event.actor_name, event.outcome) == ("ada", "refused")
    assert event.evidence["problems"][0]["code"] == "plan.outdated"


def test_a_plan_with_errors_is_not_applied(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    agent.plan_problems = (Problem("daemon.down", subject="postfix"),)
    plan = _ready_plan(server, actor)
    with pytest.raises(ChangeRefusedError) as refused:
        services.request_deployment(actor=actor, server=server, plan=plan)
    assert [problem.code for problem in refused.value.problems] == ["daemon.down"]


def test_an_earlier_state_becomes_pending_again(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    first = _deployment(server, actor)
    runner.run_deployment(first.pk)
    disable_listener(actor=actor, listener=_listener(server, "submissions"))
    first.refresh_from_db()
    assert services.restore_deployment(actor=actor, deployment=first)
    assert _listener(server, "submissions").is_enabled
    assert AuditEvent.objects.filter(verb="state.restored").count() == 1


def test_an_unproven_state_is_nothing_to_go_back_to(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    agent.outcome = Outcome.ROLLED_BACK
    deployment = _deployment(server, actor)
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    with pytest.raises(ChangeRefusedError):
        services.restore_deployment(actor=actor, deployment=deployment)


def test_a_look_keeps_one_row_for_each_port(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    run = services.request_probe(actor=actor, server=server)
    runner.run_probe(run.pk)
    run.refresh_from_db()
    assert run.status == ProbeRun.Status.DONE
    assert run.observations.count() == server.listeners.count()
    assert all(row.problems == [] for row in run.observations.all())


def test_a_look_nobody_could_do_says_why(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    agent.errors = [AgentError.because("agent.unreachable", detail="refused")]
    run = services.request_probe(actor=actor, server=server)
    runner.run_probe(run.pk)
    run.refresh_from_db()
    assert run.status == ProbeRun.Status.FAILED
    assert run.error is not None
    assert run.error["code"] == "agent.unreachable"


def test_work_under_way_is_shared(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    assert services.request_plan(actor=actor, server=server) == services.request_plan(
        actor=actor, server=server
    )
    assert services.request_probe(actor=actor, server=server) == services.request_probe(
        actor=actor, server=server
    )


@pytest.mark.usefixtures("agent")
def test_a_message_goes_out_after_the_commit_and_carries_a_number_only(
    server: MailServer,
    actor: Actor,
    sent: Sent,
    django_capture_on_commit_callbacks: object,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        plan = services.request_plan(actor=actor, server=server)
        assert sent == []
    assert sent == [("make_plan", plan.pk)]


def test_old_looks_and_plans_are_forgotten_and_deployments_kept(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    deployment = _deployment(server, actor)
    old = timezone.now() - timedelta(days=400)
    loose = services.request_plan(actor=actor, server=server)
    run = services.request_probe(actor=actor, server=server)
    Plan.objects.update(created_at=old)
    ProbeRun.objects.update(requested_at=old)
    tasks.drop_old_observations()
    assert Plan.objects.filter(pk=deployment.plan_id).exists()
    assert not Plan.objects.filter(pk=loose.pk).exists()
    assert not ProbeRun.objects.filter(pk=run.pk).exists()
