"""From the button to the queued row: what was reviewed is what is applied, once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from mailadmin.audit.models import AuditEvent
from mailadmin.deployments.models import Deployment, DeploymentStep, Plan
from mailadmin.listeners.selectors import pending_changes
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer
from tests.deployment_factories import make_deployment, make_plan, make_steps
from tests.web.deployments.conftest import Sent

ClientOf = Callable[[str], Client]
REVIEW = "/deployments/review/"
APPLY = "/deployments/review/apply/"
DISCARD = "/deployments/review/discard/"


@pytest.fixture
def operator_page(client_of: ClientOf) -> Client:
    return client_of("operator")


def _press_apply(client: Client, plan: Plan, **values: str) -> Any:
    return client.post(APPLY, {"plan": plan.pk, "digest": plan.digest, **values})


def _said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


# Apply


def test_apply_queues_the_reviewed_plan_and_leads_to_its_page(
    changed: MailServer,
    operator_page: Client,
    sent: Sent,
    django_capture_on_commit_callbacks: Any,
) -> None:
    plan = make_plan(changed)
    with django_capture_on_commit_callbacks(execute=True):
        answer = _press_apply(operator_page, plan, reason="Close what nobody uses")
    deployment = Deployment.objects.get()
    assert answer.headers["Location"] == f"/deployments/{deployment.number}/"
    assert sent == [("run_deployment", deployment.pk)]
    assert (deployment.plan_digest, deployment.files) == (plan.digest, plan.files)
    assert [change["code"] for change in deployment.changes] == [
        "listener.opened",
        "listener.closed",
    ]


def test_the_reason_goes_into_the_audit_log(changed: MailServer, operator_page: Client) -> None:
    _press_apply(operator_page, make_plan(changed), reason="Close what nobody uses")
    event = AuditEvent.objects.get(verb="deployment.requested")
    assert event.reason == "Close what nobody uses"


def test_the_button_pressed_twice_queues_one_deployment(
    changed: MailServer,
    operator_page: Client,
    sent: Sent,
    django_capture_on_commit_callbacks: Any,
) -> None:
    plan = make_plan(changed)
    with django_capture_on_commit_callbacks(execute=True):
        first = _press_apply(operator_page, plan)
        second = _press_apply(operator_page, plan)
    assert first.headers["Location"] == second.headers["Location"]
    assert len(sent) == 1
    assert Deployment.objects.count() == 1


def test_a_page_sent_again_after_the_end_applies_nothing_anew(
    changed: MailServer, operator_page: Client
) -> None:
    plan = make_plan(changed)
    _press_apply(operator_page, plan)
    Deployment.objects.update(status=Deployment.Status.ROLLED_BACK)
    answer = _press_apply(operator_page, plan)
    assert answer.headers["Location"] == "/deployments/0/"
    assert Deployment.objects.count() == 1


@pytest.mark.parametrize("digest", ["", "ff" * 32, "x" * 200])
def test_another_digest_than_that_of_the_plan_is_refused(
    changed: MailServer, operator_page: Client, digest: str
) -> None:
    plan = make_plan(changed)
    answer = operator_page.post(APPLY, {"plan": plan.pk, "digest": digest})
    assert answer.headers["Location"] == REVIEW
    assert "was not applied. Review the new plan" in _said(answer)
    assert not Deployment.objects.exists()


@pytest.mark.parametrize("key", ["", "0", "-1", "zero", str(2**63), "9" * 40])
def test_a_key_that_is_none_is_refused(
    changed: MailServer, operator_page: Client, key: str
) -> None:
    answer = operator_page.post(APPLY, {"plan": key, "digest": "d1" * 32})
    assert answer.headers["Location"] == REVIEW
    assert not Deployment.objects.exists()


def test_a_plan_for_what_is_no_longer_wanted_is_refused(
    changed: MailServer, operator_page: Client
) -> None:
    plan = make_plan(changed)
    changed.listeners.filter(service="imap").update(is_enabled=False)
    answer = _press_apply(operator_page, plan)
    assert "What is wanted has changed since this plan was made" in _said(answer)
    assert not Deployment.objects.exists()


def test_a_plan_with_an_error_is_refused_with_its_sentence(
    changed: MailServer, operator_page: Client
) -> None:
    down = Problem("daemon.down", Severity.ERROR, "dovecot")
    answer = _press_apply(operator_page, make_plan(changed, problems=[down]))
    assert "Dovecot is not running, so nothing can be proven." in _said(answer)
    assert not Deployment.objects.exists()


def test_a_plan_without_an_answer_is_refused(changed: MailServer, operator_page: Client) -> None:
    plan = make_plan(changed, status=Plan.Status.QUEUED)
    answer = operator_page.post(APPLY, {"plan": plan.pk, "digest": "d1" * 32})
    assert answer.headers["Location"] == REVIEW
    assert not Deployment.objects.exists()


def test_a_second_deployment_is_refused_while_the_first_is_under_way(
    changed: MailServer, operator_page: Client
) -> None:
    first = make_deployment(changed, status=Deployment.Status.RUNNING)
    answer = _press_apply(operator_page, make_plan(changed))
    assert f"Deployment #{first.number} is still under way." in _said(answer)
    assert Deployment.objects.count() == 1


def test_one_that_waits_is_told_and_joined(changed: MailServer, operator_page: Client) -> None:
    first = make_deployment(changed, status=Deployment.Status.QUEUED, state_digest="e" * 64)
    plan = make_plan(changed)
    page = operator_page.get(REVIEW).content.decode()
    assert f"Deployment #{first.number}, asked for by" in page
    assert "both are put in place as one deployment" in page
    answer = _press_apply(operator_page, plan)
    assert answer.headers["Location"] == first.get_absolute_url()
    joined = Deployment.objects.get()
    assert (joined.plan, joined.plan_digest) == (plan, plan.digest)


@pytest.mark.parametrize("address", [APPLY, DISCARD, "/deployments/review/plan/"])
def test_a_viewer_may_send_nothing(changed: MailServer, client_of: ClientOf, address: str) -> None:
    plan = make_plan(changed)
    answer = client_of("viewer").post(address, {"plan": plan.pk, "digest": plan.digest})
    assert answer.status_code == 403
    assert not Deployment.objects.exists()
    assert len(pending_changes(changed)) == 2


@pytest.mark.parametrize("address", [REVIEW, APPLY, DISCARD, "/deployments/", "/deployments/0/"])
def test_nobody_gets_anywhere_without_a_login(changed: MailServer, address: str) -> None:
    answer = Client().get(address)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/account/login/")


@pytest.mark.parametrize("address", [APPLY, "/deployments/review/plan/"])
def test_what_changes_something_cannot_be_fetched(
    changed: MailServer, operator_page: Client, address: str
) -> None:
    assert operator_page.get(address).status_code == 405


# Discard


def test_discarding_asks_first_and_names_what_is_lost(
    changed: MailServer, operator_page: Client
) -> None:
    for answer in (operator_page.get(DISCARD), operator_page.post(DISCARD)):
        page = answer.content.decode()
        assert "Discard 2 pending changes?" in page
        assert "POP3 (110) will be closed." in page
        assert "The mail server is not touched." in page
    assert len(pending_changes(changed)) == 2


def test_discarding_what_was_shown_makes_the_applied_state_wanted(
    changed: MailServer, operator_page: Client
) -> None:
    digest = operator_page.get(DISCARD).context["digest"]
    answer = operator_page.post(DISCARD, {"digest": digest})
    assert "Discarded 2 changes." in _said(answer)
    assert not pending_changes(changed)
    assert AuditEvent.objects.filter(verb="changes.discarded").count() == 1


def test_discarding_twice_says_that_nothing_is_pending(
    changed: MailServer, operator_page: Client
) -> None:
    digest = operator_page.get(DISCARD).context["digest"]
    operator_page.post(DISCARD, {"digest": digest})
    answer = operator_page.post(DISCARD, {"digest": digest})
    assert "there is nothing to discard" in _said(answer)
    assert AuditEvent.objects.filter(verb="changes.discarded").count() == 1


def test_what_somebody_saved_meanwhile_is_not_discarded_unseen(
    changed: MailServer, operator_page: Client
) -> None:
    digest = operator_page.get(DISCARD).context["digest"]
    changed.listeners.filter(service="imap").update(is_enabled=False)
    page = operator_page.post(DISCARD, {"digest": digest}).content.decode()
    assert "Nothing was discarded: something was saved while this page was open." in page
    assert "Discard 3 pending changes?" in page
    assert len(pending_changes(changed)) == 3


def test_before_the_first_apply_there_is_nothing_to_go_back_to(
    changed: MailServer, operator_page: Client
) -> None:
    MailServer.objects.update(applied_state={})
    page = operator_page.get(DISCARD).content.decode()
    assert "Nothing was applied yet, so there is nothing to go back to." in page
    assert "btn-danger" not in page


# Many names


def test_how_many_names_are_proven_is_told_on_the_way(
    server: MailServer, client_of: ClientOf
) -> None:
    deployment = make_deployment(server, status=Deployment.Status.RUNNING)
    *_, last = make_steps(deployment, "planned", "proved")
    page = f"/deployments/{deployment.number}/"
    client = client_of("viewer")
    seen: list[str] = []
    for names in (213, 214):
        DeploymentStep.objects.filter(pk=last.pk).update(evidence={"names": names, "of": 500})
        drawn = client.get(page).content.decode()
        assert f"{names} of 500 names" in drawn
        seen += re.findall(r"steps/\?seen=([^\"]+)", drawn)
    assert len(set(seen)) == 2


def test_good_names_are_counted_when_they_are_many(server: MailServer, client_of: ClientOf) -> None:
    deployment = make_deployment(server)
    *_, last = make_steps(deployment, "planned", "proved")
    (shown, *_rest) = [item for item in last.evidence["listeners"] if item["is_open"]]
    named = [shown | {"sni_name": f"n{number}.example.test"} for number in range(101)]
    last.evidence["listeners"] += named
    last.save()
    drawn = client_of("viewer").get(f"/deployments/{deployment.number}/").content.decode()
    assert "And 101 handshakes that asked for a host name" in drawn
    assert "n100.example.test" not in drawn
