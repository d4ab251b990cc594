"""What the panel keeps of a check: one open drift, closed by itself, and what upgrades ask for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from mailadmin.agent.protocol import AgentError, CheckReport, Piece, PieceStatus
from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.deployments import services, tasks
from mailadmin.deployments.drift import open_drift, open_upgrade
from mailadmin.deployments.drift_choices import leave_drift
from mailadmin.deployments.models import Deployment, Drift, Plan, ProbeRun
from mailadmin.deployments.runner import run_deployment, run_probe
from mailadmin.deployments.runner.drifting import check_host
from mailadmin.deployments.sentences.drift import say_drift, say_upgrade
from mailadmin.listeners.selectors import applied_state
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from tests.deployment_factories import make_plan
from tests.unit.deployments.conftest import ScriptedAgent, as_applied

pytestmark = pytest.mark.django_db
Sent = list[tuple[str, int]]


def edited(digest: str = "a" * 64, name: str = "main.cf") -> CheckReport:
    piece = Piece(name, PieceStatus.CHANGED, digest, "2026-11-24T04:00:00+00:00", 0, ("-a", "+b"))
    return replace(as_applied(), pieces=(piece,))


def upgraded(dovecot: str = "2.4.1") -> CheckReport:
    return replace(as_applied(), versions={"postfix": "3.7.11", "dovecot": dovecot})


def look(server: MailServer) -> None:
    run = ProbeRun.objects.create(server=server, trigger="beat", requested_by="beat")
    run_probe(run.pk)
    run.refresh_from_db()
    assert run.status == ProbeRun.Status.DONE
    server.refresh_from_db()


def test_one_look_notices_an_edit_and_the_next_without_it_closes(
    server: MailServer, agent: ScriptedAgent
) -> None:
    agent.found = edited()
    look(server)
    drift = open_drift(server)
    assert drift is not None
    assert drift.names == ["main.cf"]
    assert drift.pieces[0]["lines"] == ["-a", "+b"]
    assert say_drift(drift).startswith("main.cf on the mail server is not as it was applied")
    event = AuditEvent.objects.get(verb="drift.found")
    assert event.after["files"] == ["main.cf"]
    agent.found = as_applied()
    look(server)
    assert open_drift(server) is None
    drift.refresh_from_db()
    assert drift.closed_at is not None


def test_the_same_edit_stays_one_drift_and_is_told_once(
    server: MailServer, agent: ScriptedAgent
) -> None:
    agent.found = edited()
    look(server)
    first = Drift.objects.get()
    look(server)
    again = Drift.objects.get()
    assert again.seen_at > first.seen_at
    assert AuditEvent.objects.filter(verb="drift.found").count() == 1


def test_what_was_left_is_asked_about_again_when_it_changes(
    server: MailServer, agent: ScriptedAgent, actor: Actor
) -> None:
    agent.found = edited()
    look(server)
    left = leave_drift(actor=actor, server=server, drift_id=Drift.objects.get().pk, reason="mine")
    look(server)
    kept = open_drift(server)
    assert kept is not None
    assert (kept.pk, kept.is_left, kept.left_by, kept.left_reason) == (left.pk, True, "ada", "mine")
    agent.found = edited("b" * 64)
    look(server)
    fresh = open_drift(server)
    assert fresh is not None
    assert fresh.pk != left.pk
    assert not fresh.is_left
    event = AuditEvent.objects.get(verb="drift.left")
    assert (event.reason, event.after["files"]) == ("mine", ["main.cf"])


def test_nobody_leaves_a_drift_that_is_another_one_by_now(
    server: MailServer, agent: ScriptedAgent, actor: Actor
) -> None:
    agent.found = edited()
    look(server)
    seen = Drift.objects.get()
    agent.found = edited("b" * 64)
    look(server)
    with pytest.raises(ChangeRefusedError) as refused:
        leave_drift(actor=actor, server=server, drift_id=seen.pk)
    assert refused.value.problems[0].code == "drift.gone"


@pytest.mark.parametrize("code", ["agent.verb_unknown", "drift.apply_under_way"])
def test_an_agent_that_does_not_tell_leaves_everything_as_it_is(
    server: MailServer, agent: ScriptedAgent, code: str
) -> None:
    agent.found = edited()
    look(server)
    agent.check_error = AgentError.because(code)
    look(server)
    assert open_drift(server) is not None


def test_a_proven_apply_closes_the_drift(
    server: MailServer, agent: ScriptedAgent, actor: Actor, sent: Sent
) -> None:
    agent.found = edited()
    look(server)
    plan = make_plan(server)
    deployment = services.request_deployment(actor=actor, server=server, plan=plan)
    run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.SUCCEEDED
    assert open_drift(server) is None


def test_old_drifts_are_forgotten_and_open_ones_never(
    server: MailServer, agent: ScriptedAgent
) -> None:
    long_ago = timezone.now() - timedelta(days=4000)
    values = {"server": server, "found_at": long_ago, "seen_at": long_ago}
    Drift.objects.create(digest="a", closed_at=long_ago, **values)
    kept = Drift.objects.create(digest="b", **values)
    tasks.drop_old_observations()
    assert list(Drift.objects.all()) == [kept]


# Applying over it


def overwriting(server: MailServer) -> Plan:
    about = {"file": "main.cf"}
    problem = Problem("drift.overwritten", Severity.WARNING, "main.cf", about)
    return make_plan(server, problems=[problem])


def test_an_edit_is_overwritten_only_by_somebody_who_said_yes(
    server: MailServer, agent: ScriptedAgent, actor: Actor, sent: Sent
) -> None:
    plan = overwriting(server)
    with pytest.raises(ChangeRefusedError) as refused:
        services.request_deployment(actor=actor, server=server, plan=plan)
    assert refused.value.problems[0].code == "drift.not_accepted"
    assert AuditEvent.objects.filter(verb="deployment.refused").count() == 1
    deployment = services.request_deployment(
        actor=actor, server=server, plan=plan, may_overwrite=True
    )
    event = AuditEvent.objects.get(verb="deployment.requested")
    assert event.object_id == str(deployment.number)
    assert event.after["overwrites"] == ["main.cf"]


# Versions


def test_an_upgrade_is_planned_once_and_said_by_its_files(
    server: MailServer, agent: ScriptedAgent
) -> None:
    agent.found = upgraded()
    look(server)
    upgrade = open_upgrade(server)
    assert upgrade is not None
    assert say_upgrade(upgrade) == (
        "Dovecot was upgraded from 2.3.19.1 to 2.4.1: these files must be rewritten: main.cf."
    )
    assert server.versions["dovecot"] == "2.4.1"
    state = applied_state(server)
    assert state is not None
    assert [asked.digest for asked in agent.plans] == [state.digest]
    look(server)
    assert len(agent.plans) == 1
    agent.found = upgraded("2.4.2")
    look(server)
    assert len(agent.plans) == 2
    agent.found = as_applied()
    look(server)
    assert server.upgrade is None


def test_an_upgrade_for_which_nothing_is_rewritten_is_not_told(
    server: MailServer, agent: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The one file that would change is one that somebody edited: that is told as drift.
    agent.found = replace(upgraded("2.3.20"), pieces=edited().pieces)
    look(server)
    assert server.upgrade is not None
    assert open_upgrade(server) is None


def test_an_upgrade_that_cannot_be_planned_says_why(
    server: MailServer, agent: ScriptedAgent
) -> None:
    agent.found = upgraded()
    agent.errors = [AgentError.because("dovecot.config_broken", words="unknown setting")]
    check_host(server)
    server.refresh_from_db()
    upgrade = open_upgrade(server)
    assert upgrade is not None
    assert "cannot be found out" in say_upgrade(upgrade)


def test_before_the_first_apply_nothing_is_planned(
    server: MailServer, agent: ScriptedAgent
) -> None:
    agent.found = replace(upgraded(), is_noted=False, versions_applied={}, pieces=())
    look(server)
    assert (server.upgrade, agent.plans) == (None, [])
