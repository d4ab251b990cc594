"""One certificate alone takes the place of another; whatever else is pending stays so."""

from __future__ import annotations

from typing import Any

import pytest

from mailadmin.agent.protocol import AgentError, Outcome
from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate
from mailadmin.deployments import runner, selectors, services, tasks
from mailadmin.deployments.models import Deployment, Plan
from mailadmin.deployments.sentences.outcomes import say_outcome
from mailadmin.listeners.selectors import applied_state, desired_state, pending_changes
from mailadmin.listeners.services import bind_name, change_listener, disable_listener
from mailadmin.mailconf.exchanging import exchange_certificate
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import set_default_certificate
from tests.server_factories import (
    HOST_NAME,
    apply_wanted,
    make_binding,
    make_certificate,
    make_pair,
    make_server,
)
from tests.unit.deployments.conftest import DIGEST, ScriptedAgent

pytestmark = pytest.mark.django_db
Sent = list[tuple[str, int]]
RENEWAL = Actor.system("renewal")


@pytest.fixture
def old() -> Certificate:
    return make_certificate()


@pytest.fixture
def new() -> Certificate:
    return make_certificate()


@pytest.fixture
def server(old: Certificate) -> MailServer:
    """Serves the old one by default, on a port of its own, and for a name; all applied."""
    row = make_server(default_certificate=old)
    row.listeners.filter(service="imaps").update(certificate=old)
    make_binding(row, "imap.example.org", old)
    return apply_wanted(row)


def request(server: MailServer, old: Certificate, new: Certificate, **values: Any) -> Deployment:
    return services.request_certificate_swap(
        actor=RENEWAL, server=server, old=old, new=new, **({"reason": "renewed"} | values)
    )


def swap(server: MailServer, old: Certificate, new: Certificate, **values: Any) -> Deployment:
    deployment = request(server, old, new, **values)
    assert runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    server.refresh_from_db()
    return deployment


def know_keys() -> None:
    """Let the key of every certificate be known, as it must be of two side by side."""
    Certificate.objects.update(origin=Certificate.Origin.FOUND)


def refusal(server: MailServer, old: Certificate, new: Certificate) -> Problem:
    with pytest.raises(ChangeRefusedError) as raised:
        request(server, old, new)
    assert not server.deployments.exists()
    return raised.value.problems[0]


def edit(server: MailServer, actor: Actor) -> None:
    """Let a port, a TLS profile and a name be pending."""
    change_listener(actor=actor, listener=server.listeners.get(service="submission"), port=5870)
    disable_listener(actor=actor, listener=server.listeners.get(service="pop3"))
    bind_name(
        actor=actor, server=server, host_name="new.example.org", certificate=make_certificate()
    )
    MailServer.objects.filter(pk=server.pk).update(tls_profile="modern")
    server.refresh_from_db()


# Put in place


def test_the_new_one_is_applied_everywhere_and_nothing_is_pending(
    server: MailServer, old: Certificate, new: Certificate, agent: ScriptedAgent, sent: Sent
) -> None:
    deployment = swap(server, old, new)
    assert deployment.status == Deployment.Status.SUCCEEDED
    ((state, digest, _),) = agent.applied
    assert digest == DIGEST
    assert state.used_fingerprints == (new.fingerprint,)
    assert server.default_certificate == new
    assert server.listeners.get(service="imaps").certificate == new
    assert server.listeners.get(service="smtp").certificate is None
    assert server.sni_bindings.get().certificate == new
    assert pending_changes(server) == ()
    assert desired_state(server).as_dict() == server.applied_state


def test_what_is_pending_is_not_applied_and_stays_to_the_letter(
    server: MailServer,
    old: Certificate,
    new: Certificate,
    actor: Actor,
    agent: ScriptedAgent,
    sent: Sent,
) -> None:
    applied = applied_state(server)
    assert applied is not None
    edit(server, actor)
    wanted, pending = desired_state(server), pending_changes(server)
    swap(server, old, new)
    ((state, _, _),) = agent.applied
    assert exchange_certificate(state, new.fingerprint, old.fingerprint).listeners == (
        applied.listeners
    )
    assert state.tls_profile == applied.tls_profile
    assert len(state.sni_bindings) == 1
    assert pending_changes(server) == pending
    back = exchange_certificate(desired_state(server), new.fingerprint, old.fingerprint)
    for name in ("host_name", "tls_profile", "default_certificate", "listeners", "sni_bindings"):
        assert getattr(back, name) == getattr(wanted, name)


def test_what_was_edited_to_another_certificate_stays_as_edited(
    server: MailServer,
    old: Certificate,
    new: Certificate,
    actor: Actor,
    agent: ScriptedAgent,
    sent: Sent,
) -> None:
    another = make_certificate()
    set_default_certificate(actor=actor, server=server, certificate=another)
    imaps = server.listeners.get(service="imaps")
    deployment = request(server, old, new)
    # Between asking and doing.
    change_listener(actor=actor, listener=imaps, certificate=another)
    assert runner.run_deployment(deployment.pk)
    server.refresh_from_db()
    assert server.default_certificate == another
    assert server.listeners.get(service="imaps").certificate == another
    assert server.sni_bindings.get().certificate == new
    applied = applied_state(server)
    assert applied is not None
    assert applied.default_certificate == new.fingerprint
    assert {change.code for change in pending_changes(server)} == {
        "default_certificate.changed",
        "listener.certificate_changed",
    }


def test_names_that_the_new_one_lost_keep_the_old_one(
    server: MailServer, old: Certificate, new: Certificate, agent: ScriptedAgent, sent: Sent
) -> None:
    lost = ["imap.example.org", "pop.example.org"]
    swap(server, old, new, keeps_old_for=lost)
    bound = {item.host_name: item.certificate for item in server.sni_bindings.all()}
    assert bound == {"imap.example.org": old, "pop.example.org": old}
    assert server.default_certificate == new
    assert pending_changes(server) == ()
    assert desired_state(server).as_dict() == server.applied_state


def test_the_events_name_the_renewal(
    server: MailServer, old: Certificate, new: Certificate, agent: ScriptedAgent, sent: Sent
) -> None:
    swap(server, old, new)
    events = AuditEvent.objects.order_by("pk")
    assert [(item.verb, item.actor_name) for item in events] == [
        ("deployment.requested", "renewal"),
        ("certificate.took_place", "renewal"),
        ("deployment.succeeded", "renewal"),
    ]


# Pairs


def test_the_companion_of_the_old_one_stands_beside_the_new_one(
    agent: ScriptedAgent, sent: Sent
) -> None:
    rsa, ecdsa = make_pair()
    new = make_certificate(key_description="RSA 2048")
    server = make_server(default_certificate=rsa)
    know_keys()
    swap(server, rsa, new)
    ((state, _, _),) = agent.applied
    assert state.pair_of(new.fingerprint) == (new.fingerprint, ecdsa.fingerprint)
    new.refresh_from_db()
    rsa.refresh_from_db()
    assert (new.companion, rsa.companion) == (ecdsa, None)
    assert desired_state(server).as_dict() == server.applied_state


def test_the_companion_itself_is_exchanged(agent: ScriptedAgent, sent: Sent) -> None:
    rsa, ecdsa = make_pair()
    new = make_certificate()
    server = make_server(default_certificate=rsa)
    know_keys()
    swap(server, ecdsa, new)
    assert server.default_certificate == rsa
    ((state, _, _),) = agent.applied
    assert state.pair_of(rsa.fingerprint) == (rsa.fingerprint, new.fingerprint)
    assert desired_state(server).as_dict() == server.applied_state


def test_a_companion_that_cannot_stand_beside_the_new_one_is_left(
    agent: ScriptedAgent, sent: Sent
) -> None:
    rsa, _ = make_pair()
    new = make_certificate()  # ECDSA, as the companion
    server = make_server(default_certificate=rsa)
    know_keys()
    swap(server, rsa, new)
    ((state, _, _),) = agent.applied
    assert state.used_fingerprints == (new.fingerprint,)
    assert pending_changes(server) == ()


def test_the_companion_may_be_what_comes(agent: ScriptedAgent, sent: Sent) -> None:
    rsa, ecdsa = make_pair()
    server = make_server(default_certificate=rsa)
    know_keys()
    swap(server, rsa, ecdsa)
    assert server.default_certificate == ecdsa
    assert pending_changes(server) == ()


def test_a_mere_companion_is_not_dropped_for_one_that_cannot_be_it(sent: Sent) -> None:
    rsa, ecdsa = make_pair()
    server = make_server(default_certificate=rsa)
    new = make_certificate(key_description="RSA 2048")
    assert refusal(server, ecdsa, new).code == "pairing.same_algorithm"


# Not put in place


@pytest.mark.parametrize("outcome", [Outcome.ROLLED_BACK, Outcome.FAILED])
def test_without_proof_the_old_one_is_wanted_still(
    server: MailServer,
    old: Certificate,
    new: Certificate,
    actor: Actor,
    agent: ScriptedAgent,
    sent: Sent,
    outcome: Outcome,
) -> None:
    edit(server, actor)
    applied, wanted = server.applied_state, desired_state(server)
    agent.outcome, agent.problem = outcome, Problem("daemon.died", subject="dovecot")
    deployment = swap(server, old, new)
    assert deployment.status == str(outcome)
    assert (server.applied_state, desired_state(server)) == (applied, wanted)
    if outcome is Outcome.ROLLED_BACK:
        stands = say_outcome(deployment, is_changed=True).stands
        assert "the old certificate is served" in stands


def test_an_error_of_the_plan_ends_it_before_anything_is_touched(
    server: MailServer, old: Certificate, new: Certificate, agent: ScriptedAgent, sent: Sent
) -> None:
    agent.plan_problems = (
        Problem("certificate.no_names", Severity.WARNING),
        Problem("port.taken", Severity.ERROR, "imaps"),
    )
    before = desired_state(server)
    deployment = swap(server, old, new)
    assert deployment.status == Deployment.Status.FAILED
    assert deployment.failure is not None
    assert deployment.failure["code"] == "port.taken"
    assert agent.applied == []
    assert desired_state(server) == before


def test_what_somebody_edited_on_the_host_is_not_overwritten_by_a_swap(
    server: MailServer, old: Certificate, new: Certificate, agent: ScriptedAgent, sent: Sent
) -> None:
    about = {"file": "main.cf"}
    agent.plan_problems = (Problem("drift.overwritten", Severity.WARNING, "main.cf", about),)
    deployment = swap(server, old, new)
    assert deployment.status == Deployment.Status.FAILED
    assert deployment.failure is not None
    assert deployment.failure["code"] == "drift.would_overwrite"
    assert deployment.failure["params"] == {"files": "main.cf"}
    assert agent.applied == []


def test_a_plan_that_cannot_be_made_says_why(
    server: MailServer, old: Certificate, new: Certificate, agent: ScriptedAgent, sent: Sent
) -> None:
    agent.errors = [AgentError.because("postfix.config_broken", words="missing '='")]
    deployment = swap(server, old, new)
    assert deployment.failure is not None
    assert deployment.failure["code"] == "postfix.config_broken"


def test_an_agent_that_is_away_for_a_moment_is_asked_again(
    server: MailServer, old: Certificate, new: Certificate, agent: ScriptedAgent, sent: Sent
) -> None:
    agent.errors = [AgentError.because("agent.unreachable", detail="gone")] * 2
    assert swap(server, old, new).status == Deployment.Status.SUCCEEDED


def test_what_is_not_served_is_not_replaced(
    server: MailServer, new: Certificate, sent: Sent
) -> None:
    assert refusal(server, make_certificate(), new).code == "deployment.old_not_served"
    nowhere = make_server(is_applied=False)
    assert nowhere.default_certificate is not None
    problem = refusal(nowhere, nowhere.default_certificate, new)
    assert problem.code == "deployment.old_not_served"


def test_a_deleted_certificate_is_not_put_in_place(
    server: MailServer, old: Certificate, new: Certificate, sent: Sent
) -> None:
    Certificate.objects.filter(pk=new.pk).update(deleted_at=new.created_at)
    assert refusal(server, old, new).code == "certificate.deleted"


# Its turn


def test_it_waits_for_a_deployment_under_way_and_builds_on_it(
    server: MailServer,
    old: Certificate,
    new: Certificate,
    actor: Actor,
    agent: ScriptedAgent,
    sent: Sent,
) -> None:
    change_listener(actor=actor, listener=server.listeners.get(service="submission"), port=5870)
    plan = services.request_plan(actor=actor, server=server)
    runner.run_plan(plan.pk)
    plan.refresh_from_db()
    first = services.request_deployment(actor=actor, server=server, plan=plan)
    second = request(server, old, new)
    tasks.run_deployment(second.pk)
    second.refresh_from_db()
    assert second.status == Deployment.Status.QUEUED
    sent.clear()
    tasks.run_deployment(first.pk)
    assert sent == [("run_deployment", second.pk)]
    runner.run_deployment(second.pk)
    server.refresh_from_db()
    applied = applied_state(server)
    assert applied is not None
    submission = applied.listener("submission")
    assert submission is not None
    assert (submission.port, applied.default_certificate) == (5870, new.fingerprint)
    assert pending_changes(server) == ()


def test_nobody_applies_beside_it(
    server: MailServer, old: Certificate, new: Certificate, actor: Actor, agent: ScriptedAgent,
    sent: Sent,
) -> None:  # fmt: skip
    plan = services.request_plan(actor=actor, server=server)
    runner.run_plan(plan.pk)
    plan.refresh_from_db()
    request(server, old, new)
    with pytest.raises(ChangeRefusedError) as raised:
        services.request_deployment(actor=actor, server=server, plan=plan)
    assert raised.value.problems[0].code == "deployment.under_way"


def test_what_an_earlier_deployment_took_away_is_not_replaced(
    server: MailServer, old: Certificate, new: Certificate, agent: ScriptedAgent, sent: Sent
) -> None:
    deployment = request(server, old, new)
    another = make_certificate()
    server.default_certificate = another
    server.save()
    server.listeners.update(certificate=None)
    server.sni_bindings.all().delete()
    apply_wanted(server)
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.failure is not None
    assert deployment.failure["code"] == "deployment.old_not_served"
    assert agent.applied == []


def test_asking_twice_is_asking_once(
    server: MailServer,
    old: Certificate,
    new: Certificate,
    sent: Sent,
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        _ask_twice(server, old, new)
    assert [name for name, _ in sent] == ["run_deployment"] * 2


def _ask_twice(server: MailServer, old: Certificate, new: Certificate) -> None:
    first = request(server, old, new, keeps_old_for=["b.example.org", "a.example.org"])
    assert request(server, old, new, keeps_old_for=["a.example.org", "b.example.org"]) == first
    assert request(server, old, make_certificate()) != first


def test_a_worker_that_died_after_planning_is_followed_with_the_same_plan(
    server: MailServer, old: Certificate, new: Certificate, agent: ScriptedAgent, sent: Sent
) -> None:
    deployment = request(server, old, new)

    class KilledError(BaseException):
        pass

    def die() -> None:
        raise KilledError

    agent.before_answer = die
    with pytest.raises(KilledError):
        runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert (deployment.status, deployment.plan_digest) == (Deployment.Status.RUNNING, DIGEST)
    agent.before_answer = lambda: None
    runner.run_deployment(deployment.pk)
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.SUCCEEDED
    assert Plan.objects.count() == 1
    assert {item[1:] for item in agent.applied} == {(DIGEST, str(deployment.uuid))}
    assert AuditEvent.objects.filter(verb="certificate.took_place").count() == 1


def test_its_plan_is_no_reviewers_plan(
    server: MailServer, old: Certificate, new: Certificate, agent: ScriptedAgent, sent: Sent
) -> None:
    swap(server, old, new)
    assert selectors.latest_plan(server, desired_state(server).digest) is None
    assert HOST_NAME in server.host_name
