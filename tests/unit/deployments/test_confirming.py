"""What the panel does with a deployment that the agent takes back unless it is confirmed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from mailadmin.agent.protocol import AgentError, Outcome, Standing
from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate
from mailadmin.deployments import runner, selectors, services, tasks, waiting
from mailadmin.deployments.models import Deployment, ProbeRun
from mailadmin.deployments.sentences.outcomes import say_outcome, status_words
from mailadmin.deployments.uses import find_deployment_uses
from mailadmin.listeners.selectors import applied_state, pending_changes
from mailadmin.listeners.services import enable_listener, want_exchanged
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from tests.server_factories import make_certificate
from tests.unit.deployments.conftest import ScriptedAgent

Sent = list[tuple[str, int]]
KEEP, TAKE_BACK = Deployment.Decision.KEEP, Deployment.Decision.TAKE_BACK


def request(server: MailServer, actor: Actor, minutes: int | None = 5) -> Deployment:
    enable_listener(actor=actor, listener=server.listeners.get(service="submissions"))
    plan = services.request_plan(actor=actor, server=server)
    runner.run_plan(plan.pk)
    plan.refresh_from_db()
    return services.request_deployment(
        actor=actor, server=server, plan=plan, confirm_minutes=minutes
    )


@pytest.fixture
def awaiting(server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent) -> Deployment:
    deployment = request(server, actor)
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    return deployment


def settle(deployment: Deployment) -> None:
    tasks.settle_deployment(deployment.pk)
    deployment.refresh_from_db()
    deployment.server.refresh_from_db()


def decide(deployment: Deployment, actor: Actor, decision: str) -> bool:
    return services.decide_deployment(actor=actor, deployment=deployment, decision=decision)


def code_of(raised: pytest.ExceptionInfo[ChangeRefusedError]) -> str:
    return raised.value.problems[0].code


def test_the_agent_is_told_how_long_and_the_new_state_is_what_is_applied(
    server: MailServer, awaiting: Deployment, agent: ScriptedAgent
) -> None:
    assert agent.confirm_within == 300
    assert awaiting.is_awaiting
    assert awaiting.confirm_by is not None
    assert 240 < (awaiting.confirm_by - timezone.now()).total_seconds() <= 300
    assert status_words(awaiting) == "awaiting confirmation"
    assert "unless you confirm" in say_outcome(awaiting, is_changed=True).sentence
    server.refresh_from_db()
    assert pending_changes(server) == ()
    assert selectors.awaiting_deployment(server) == awaiting


def test_without_the_option_nothing_waits(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    deployment = request(server, actor, None)
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert agent.confirm_within is None
    assert not deployment.is_awaiting
    assert selectors.awaiting_deployment(server) is None


@pytest.mark.parametrize("minutes", [0, -1, 61, 10_000])
def test_only_one_to_sixty_minutes(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent, minutes: int
) -> None:
    with pytest.raises(ChangeRefusedError) as raised:
        request(server, actor, minutes)
    assert code_of(raised) == "confirm.minutes"


def test_kept_it_stays_and_is_on_record(
    server: MailServer, awaiting: Deployment, actor: Actor, agent: ScriptedAgent, sent: Sent,
    django_capture_on_commit_callbacks: object,
) -> None:  # fmt: skip
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        assert decide(awaiting, actor, KEEP)
    assert sent[-1] == ("settle_deployment", awaiting.pk)
    settle(awaiting)
    assert agent.decided == [("confirm", str(awaiting.uuid))]
    assert awaiting.confirmed_at is not None
    assert awaiting.status == Deployment.Status.SUCCEEDED
    assert not awaiting.is_awaiting
    event = AuditEvent.objects.get(verb="deployment.confirmed")
    assert (event.actor_name, event.object_label) == ("ada", f"#{awaiting.number}")
    assert not decide(awaiting, actor, KEEP)
    with pytest.raises(ChangeRefusedError) as raised:
        decide(awaiting, actor, TAKE_BACK)
    assert code_of(raised) == "confirm.kept"


def test_what_the_agent_took_back_by_itself_is_pending_again(
    server: MailServer, awaiting: Deployment, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    before = awaiting.state_before
    agent.take_it_back("confirm.expired")
    tasks.resume_interrupted()
    assert ("settle_deployment", awaiting.pk) in sent
    settle(awaiting)
    server.refresh_from_db()
    assert awaiting.status == Deployment.Status.ROLLED_BACK
    assert awaiting.failure is not None
    assert awaiting.failure["code"] == "confirm.expired"
    assert server.applied_state == before
    assert [change.code for change in pending_changes(server)] == ["listener.opened"]
    assert awaiting.steps.filter(code="restored").exists()
    event = AuditEvent.objects.get(verb="deployment.rolled_back")
    assert (event.actor_name, event.origin) == ("agent", "system")
    assert event.evidence["problem"]["code"] == "confirm.expired"
    outcome = say_outcome(awaiting, is_changed=True)
    assert "Nobody confirmed it" in outcome.sentence
    assert "pending again" in outcome.stands
    assert ProbeRun.objects.filter(trigger=ProbeRun.Trigger.BEAT).exists()
    assert selectors.latest_plan(server, awaiting.state_digest) is None
    with pytest.raises(ChangeRefusedError) as raised:
        decide(awaiting, actor, KEEP)
    assert code_of(raised) == "confirm.too_late"


def test_taken_back_on_request(
    server: MailServer, awaiting: Deployment, actor: Actor, agent: ScriptedAgent
) -> None:
    decide(awaiting, actor, TAKE_BACK)
    settle(awaiting)
    assert agent.decided == [("take_back", str(awaiting.uuid))]
    assert awaiting.status == Deployment.Status.ROLLED_BACK
    assert AuditEvent.objects.get(verb="deployment.rolled_back").actor_name == "ada"


def test_kept_too_late_what_the_agent_says_stands(
    awaiting: Deployment, actor: Actor, agent: ScriptedAgent
) -> None:
    decide(awaiting, actor, KEEP)
    agent.take_it_back("confirm.expired")
    agent.errors = [AgentError.because("confirm.too_late")]
    settle(awaiting)
    assert awaiting.status == Deployment.Status.ROLLED_BACK
    assert AuditEvent.objects.get(verb="deployment.rolled_back").actor_name == "agent"


def test_a_way_back_without_proof_is_a_failure(
    server: MailServer, awaiting: Deployment, agent: ScriptedAgent
) -> None:
    before = awaiting.state_before
    agent.take_it_back("rollback.not_proven", Outcome.FAILED)
    settle(awaiting)
    assert awaiting.status == Deployment.Status.FAILED
    assert awaiting.server.applied_state == before


@pytest.mark.parametrize("code", ["agent.unreachable", "confirm.unknown"])
def test_an_agent_that_does_not_say_how_it_stands_is_asked_again(
    awaiting: Deployment, actor: Actor, agent: ScriptedAgent, code: str
) -> None:
    decide(awaiting, actor, KEEP)
    agent.errors = [AgentError.because(code)] * 2
    settle(awaiting)
    assert awaiting.is_awaiting
    agent.errors = []
    settle(awaiting)
    assert awaiting.confirmed_at is not None


def test_one_that_the_agent_knows_nothing_of_does_not_wait_for_ever(
    server: MailServer, awaiting: Deployment, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    server.refresh_from_db()
    applied = server.applied_state
    decide(awaiting, actor, KEEP)
    past = timezone.now() - timedelta(minutes=3)
    Deployment.objects.filter(pk=awaiting.pk).update(confirm_by=past)
    agent.errors = [AgentError.because("agent.unreachable")]
    settle(awaiting)
    assert awaiting.is_awaiting
    agent.errors = [AgentError.because("confirm.unknown")] * 2
    settle(awaiting)
    assert (awaiting.status, awaiting.is_awaiting) == (Deployment.Status.FAILED, False)
    outcome = say_outcome(awaiting, is_changed=True)
    assert "knows nothing of this deployment" in outcome.sentence
    assert "Nobody takes it back any more" in outcome.stands
    server.refresh_from_db()
    assert server.applied_state == applied
    event = AuditEvent.objects.get(verb="deployment.failed")
    assert (event.actor_name, event.evidence["problem"]["code"]) == ("agent", "confirm.unknown")
    assert sent[-1] == ("run_probe", ProbeRun.objects.latest("pk").pk)


def test_while_it_is_being_taken_back_it_waits_on(
    awaiting: Deployment, agent: ScriptedAgent
) -> None:
    agent.standings.append(Standing(None, None))
    settle(awaiting)
    assert awaiting.is_awaiting


def test_the_time_that_is_left_is_the_agents(awaiting: Deployment, agent: ScriptedAgent) -> None:
    agent.standings.append(Standing(100, None))
    settle(awaiting)
    assert awaiting.confirm_by is not None
    left = awaiting.confirm_by - timezone.now()
    assert timedelta(seconds=40) < left <= timedelta(seconds=100)


def test_two_workers_close_it_once(
    awaiting: Deployment, agent: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.take_it_back("confirm.expired")
    inner = agent.standing

    def ask_while_another_closes(deployment_id: str) -> Standing:
        monkeypatch.setattr(agent, "standing", inner)
        assert runner.settle_deployment(awaiting.pk) is not None
        return inner(deployment_id)

    monkeypatch.setattr(agent, "standing", ask_while_another_closes)
    assert runner.settle_deployment(awaiting.pk) is None
    assert runner.settle_deployment(awaiting.pk) is None
    assert AuditEvent.objects.filter(verb="deployment.rolled_back").count() == 1


def test_nothing_else_is_applied_meanwhile(
    server: MailServer, awaiting: Deployment, actor: Actor
) -> None:
    plan = services.request_plan(actor=actor, server=server)
    runner.run_plan(plan.pk)
    plan.refresh_from_db()
    with pytest.raises(ChangeRefusedError) as raised:
        services.request_deployment(actor=actor, server=server, plan=plan)
    assert code_of(raised) == "deployment.awaiting"


def test_a_certificate_alone_waits_its_turn_without_a_flood_of_messages(
    server: MailServer, awaiting: Deployment, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    old, new = server.default_certificate, make_certificate()
    assert old is not None
    swap = services.request_certificate_swap(actor=actor, server=server, old=old, new=new)
    sent.clear()
    tasks.run_deployment(swap.pk)
    swap.refresh_from_db()
    assert swap.status == Deployment.Status.QUEUED
    assert sent == []
    agent.take_it_back("confirm.expired")
    settle(awaiting)
    assert sent[-1] == ("run_deployment", swap.pk)
    tasks.run_deployment(swap.pk)
    swap.refresh_from_db()
    server.refresh_from_db()
    assert swap.status == Deployment.Status.SUCCEEDED
    assert not swap.is_awaiting
    applied = applied_state(server)
    assert applied is not None
    assert applied.default_certificate == new.fingerprint
    assert [change.code for change in pending_changes(server)] == ["listener.opened"]


def test_what_it_replaced_is_needed_until_it_is_confirmed(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    old: Certificate | None = server.default_certificate
    assert old is not None
    want_exchanged(
        actor=actor, server=server, old=old, new=make_certificate(), keeps_old_for=[],
        now=timezone.now(),
    )  # fmt: skip
    deployment = request(server, actor)
    runner.run_deployment(deployment.pk)
    assert [use.where for use in find_deployment_uses(old)] == [f"deployment {deployment.number}"]
    decide(Deployment.objects.get(pk=deployment.pk), actor, KEEP)
    settle(deployment)
    assert find_deployment_uses(old) == []


# The command line


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker do what was asked while the command waits."""

    def work(_: float) -> None:
        for deployment in selectors.awaiting_deployments():
            tasks.settle_deployment(deployment.pk)

    monkeypatch.setattr(waiting, "_PAUSE", 0.0)
    monkeypatch.setattr(waiting.time, "sleep", work)


def test_the_command_line_keeps_it(
    awaiting: Deployment, at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("deployment_confirm", awaiting.number)
    assert capsys.readouterr().out.startswith("Kept. Proven: deployment")
    with pytest.raises(CommandError, match="It does not wait"):
        call_command("deployment_take_back", awaiting.number)


def test_the_command_line_takes_it_back(
    awaiting: Deployment, at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("deployment_take_back", awaiting.number)
    assert "Taken back: It was taken back on request" in capsys.readouterr().out
    with pytest.raises(CommandError, match="too late"):
        call_command("deployment_confirm", awaiting.number)
    with pytest.raises(CommandError, match="There is no deployment #99"):
        call_command("deployment_confirm", 99)


def test_the_command_line_says_when_nobody_could_tell_the_agent(
    awaiting: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_UNTIL_TAKEN", -1.0)
    with pytest.raises(CommandError, match="No worker has taken the work"):
        call_command("deployment_confirm", awaiting.number)
