"""What is asked for while a deployment still waits becomes part of it; nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.deployments import runner, services, tasks
from mailadmin.deployments.joining import find_joinable, join
from mailadmin.deployments.models import Deployment, Plan
from mailadmin.deployments.reviewing import read_review
from mailadmin.listeners.selectors import desired_state
from mailadmin.listeners.services import disable_listener, enable_listener
from mailadmin.mailconf.state import DesiredState
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from tests.factories import make_actor
from tests.unit.deployments.conftest import ScriptedAgent

Sent = list[tuple[str, int]]
SPACING = 500.0  # seconds; as many as a busy machine does not need for a test


@pytest.fixture
def other() -> Actor:
    """Another admin."""
    return replace(make_actor(), name="grace")


def request(
    server: MailServer,
    actor: Actor,
    service: str,
    *,
    is_open: bool = True,
    reason: str = "",
    minutes: int | None = None,
) -> Deployment:
    """Open or close a port, review it and ask for it to be applied."""
    change = enable_listener if is_open else disable_listener
    change(actor=actor, listener=server.listeners.get(service=service))
    plan = services.request_plan(actor=actor, server=server)
    runner.run_plan(plan.pk)
    plan.refresh_from_db()
    return services.request_deployment(
        actor=actor, server=server, plan=plan, reason=reason, confirm_minutes=minutes
    )


def changed_services(deployment: Deployment) -> set[str]:
    return {str(change["subject"]) for change in deployment.changes}


@pytest.fixture
def distance(settings: Settings) -> None:
    """Keep deployments as far apart as on a real host."""
    settings.APPLY_SPACING = SPACING


def test_two_admins_within_five_seconds_are_one_deployment_with_the_changes_of_both(
    server: MailServer,
    actor: Actor,
    other: Actor,
    agent: ScriptedAgent,
    sent: Sent,
    distance: None,
) -> None:
    assert runner.run_deployment(request(server, actor, "submissions").pk)
    first = request(server, actor, "submission", reason="phones")
    assert not runner.run_deployment(first.pk)
    second = request(server, other, "pop3", is_open=False, reason="nobody uses it")
    assert second.pk == first.pk
    # Neither of the two has begun: the time has not passed.
    assert not runner.run_deployment(first.pk)
    assert len(agent.applied) == 1

    Deployment.objects.exclude(finished_at=None).update(
        finished_at=timezone.now() - timedelta(seconds=SPACING)
    )
    assert runner.run_deployment(first.pk)
    first.refresh_from_db()
    assert first.status == Deployment.Status.SUCCEEDED
    state = agent.applied[-1][0]
    is_open = {item.service: item.is_enabled for item in state.listeners}
    assert (is_open["submission"], is_open["pop3"]) == (True, False)
    assert len(agent.applied) == 2
    assert changed_services(first) == {"submission", "pop3"}
    assert first.requested_by == "ada, grace"
    assert first.reason == "phones / nobody uses it"
    server.refresh_from_db()
    assert server.applied_state == DesiredState.from_dict(first.state).as_dict()
    assert desired_state(server).digest == first.state_digest


def test_both_are_on_record(
    server: MailServer, actor: Actor, other: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    first = request(server, actor, "submission")
    request(server, other, "pop3", is_open=False)
    events = AuditEvent.objects.filter(object_type="deployment").order_by("pk")
    told = [(event.verb, event.actor_name, event.object_id) for event in events]
    number = str(first.number)
    assert told == [
        ("deployment.requested", "ada", number),
        ("deployment.joined", "grace", number),
    ]
    assert {item["subject"] for item in events[1].after["changes"]} == {"submission", "pop3"}


def test_one_that_has_begun_is_not_joined_and_the_change_stays_pending(
    server: MailServer, actor: Actor, other: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    first = request(server, actor, "submission")
    Deployment.objects.filter(pk=first.pk).update(status=Deployment.Status.RUNNING)
    with pytest.raises(ChangeRefusedError) as refused:
        request(server, other, "pop3", is_open=False)
    assert refused.value.problems[0].code == "deployment.under_way"
    assert changed_services(Deployment.objects.get()) == {"submission"}
    assert not server.listeners.get(service="pop3").is_enabled


def test_one_that_begins_at_that_very_moment_is_not_changed_under_its_hands(
    server: MailServer, actor: Actor, other: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    first = request(server, actor, "submission")
    Deployment.objects.filter(pk=first.pk).update(status=Deployment.Status.RUNNING)
    plan = Plan.objects.latest("pk")
    is_joined = join(
        actor=other, waiting=first, plan=plan, wanted={}, reason="", confirm_minutes=None
    )
    assert not is_joined
    assert Deployment.objects.get().requested_by == "ada"


def test_a_plan_that_is_too_old_does_not_take_the_waiting_one_along(
    server: MailServer, actor: Actor, other: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    first = request(server, actor, "submission")
    Deployment.objects.filter(pk=first.pk).update(requested_at=timezone.now() + timedelta(hours=1))
    with pytest.raises(ChangeRefusedError) as refused:
        request(server, other, "pop3", is_open=False)
    assert refused.value.problems[0].code == "plan.outdated"
    assert changed_services(Deployment.objects.get()) == {"submission"}


def test_a_certificate_that_waits_alone_is_not_joined(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    first = request(server, actor, "submission")
    Deployment.objects.filter(pk=first.pk).update(kind=Deployment.Kind.SWAP)
    assert find_joinable(server, "another") is None


@pytest.mark.parametrize(
    ("earlier", "later", "kept"), [(10, None, 10), (None, 5, 5), (30, 5, 5), (None, None, None)]
)
def test_who_wanted_a_chance_to_take_it_back_keeps_it(
    server: MailServer,
    actor: Actor,
    agent: ScriptedAgent,
    sent: Sent,
    earlier: int | None,
    later: int | None,
    kept: int | None,
) -> None:
    request(server, actor, "submission", minutes=earlier)
    joined = request(server, actor, "pop3", is_open=False, minutes=later)
    assert joined.confirm_minutes == kept
    assert joined.requested_by == "ada"


def test_it_comes_back_when_the_time_is_over(
    server: MailServer,
    actor: Actor,
    agent: ScriptedAgent,
    monkeypatch: pytest.MonkeyPatch,
    distance: None,
) -> None:
    again: list[float | None] = []
    monkeypatch.setattr(
        tasks, "send", lambda task, pk, countdown=None: again.append(countdown) is None
    )
    assert runner.run_deployment(request(server, actor, "submission").pk)
    waiting = request(server, actor, "pop3", is_open=False)
    again.clear()
    tasks.run_deployment(waiting.pk)
    assert len(again) == 1
    assert again[0] is not None
    assert SPACING - 60 < again[0] <= SPACING


def test_a_clock_that_was_set_back_holds_nothing_up(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent, distance: None
) -> None:
    assert runner.run_deployment(request(server, actor, "submission").pk)
    Deployment.objects.update(finished_at=timezone.now() + timedelta(days=1))
    assert runner.run_deployment(request(server, actor, "pop3", is_open=False).pk)
    assert len(agent.applied) == 2


def test_the_review_says_that_it_will_be_joined(
    server: MailServer, actor: Actor, agent: ScriptedAgent, sent: Sent
) -> None:
    first = request(server, actor, "submission")
    same = read_review(server, timezone.now())
    assert (same.joined, same.under_way) == (None, first)
    disable_listener(actor=actor, listener=server.listeners.get(service="pop3"))
    runner.run_plan(services.request_plan(actor=actor, server=server).pk)
    review = read_review(server, timezone.now())
    assert (review.joined, review.under_way) == (first, None)
    assert review.may_be_applied
