"""The history, one deployment with its steps, and the way back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate
from mailadmin.deployments.models import Deployment
from mailadmin.listeners.selectors import desired_state, pending_changes
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer
from tests.deployment_factories import REFUSAL, make_deployment, make_plan, make_steps
from tests.server_factories import apply_wanted, make_binding, make_certificate

ClientOf = Callable[[str], Client]
Status = Deployment.Status
CLOSED = Problem(
    "probe.closed",
    Severity.ERROR,
    "imaps",
    {"address": "127.0.0.2", "port": 993, "detail": "Connection refused"},
)
ALL_STEPS = (
    "planned",
    ("staged", "7"),
    ("checked", "dovecot"),
    "swapped",
    ("reloaded", "dovecot"),
    "proved",
    "watched",
)


@pytest.fixture
def operator_page(client_of: ClientOf) -> Client:
    return client_of("operator")


def _text(client: Client, deployment: Deployment, part: str = "") -> str:
    answer = client.get(f"/deployments/{deployment.number}/{part}")
    assert answer.status_code == 200
    return answer.content.decode()


def _follow(client: Client, deployment: Deployment, seen: str = "") -> Any:
    address = f"/deployments/{deployment.number}/steps/?seen={seen}"
    return client.get(address, headers={"HX-Request": "true"})


# How it ended


def test_a_swap_that_was_taken_back_says_that_the_old_certificate_is_served(
    changed: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(
        changed, kind=Deployment.Kind.SWAP, status=Status.ROLLED_BACK, failure=CLOSED, plan=None
    )
    make_steps(deployment, *ALL_STEPS, failed_with=CLOSED)
    page = _text(operator_page, deployment)
    assert "the old certificate is served, and is still the one that is wanted" in page
    # Nobody is to review and apply again: what is pending was no part of it.
    assert "Your changes are still pending" not in page


def test_a_swap_that_waits_has_a_page(changed: MailServer, operator_page: Client) -> None:
    deployment = make_deployment(
        changed, kind=Deployment.Kind.SWAP, status=Status.QUEUED, plan=None, plan_digest=""
    )
    assert "Waiting for a worker to take it." in _text(operator_page, deployment)


def test_a_proven_deployment_says_where_and_how_fast(
    changed: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(changed, reason="Nobody uses POP3")
    make_steps(deployment, *ALL_STEPS)
    page = _text(operator_page, deployment)
    assert "Proven on 5 listeners in 0.8 s." in page
    assert "Close POP3 (110)." in page
    assert "will be" not in page
    assert "“Nobody uses POP3”" in page
    assert "Asked for by ada" in page
    assert "smtpd_tls_security_level" in page


def test_the_proof_of_each_port_is_shown(changed: MailServer, operator_page: Client) -> None:
    make_binding(changed, "mail.example.net", make_certificate("mail.example.net"))
    deployment = make_deployment(changed)
    make_steps(deployment, *ALL_STEPS)
    page = _text(operator_page, deployment)
    assert "TLS 1.3" in page
    assert "TLS_AES_256_GCM_SHA384" in page
    assert REFUSAL in page
    assert "mail.example.net" in page
    assert f'data-copy="{deployment.evidence[0]["fingerprint"]}"' in page
    assert "220 mail.example.org ESMTP Postfix" in page
    assert re.search(r"pill-off.*?closed", page, re.DOTALL)


def test_a_deployment_that_was_taken_back_says_why_and_what_stands(
    changed: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(changed, status=Status.ROLLED_BACK, failure=CLOSED)
    make_steps(deployment, "planned", "swapped", "proved", failed_with=CLOSED)
    page = _text(operator_page, deployment)
    assert (
        "Taken back: IMAP with TLS: nothing answers on 127.0.0.2:993 (Connection refused). "
        "Mail runs as before (proven)." in page
    )
    assert "every port shows what it showed before" in page
    assert "Prove every port by handshake" in page


def test_a_refused_deployment_says_that_nothing_was_touched(
    changed: MailServer, operator_page: Client
) -> None:
    words = "postfix: fatal: bad number\nin line 3"
    refusal = Problem("postfix.check_failed", Severity.ERROR, "", {"words": words})
    deployment = make_deployment(changed, status=Status.FAILED, failure=refusal)
    make_steps(deployment, "planned", ("checked", "postfix"), failed_with=refusal)
    page = _text(operator_page, deployment)
    assert "Not applied: Postfix’s own parser refuses the new files: postfix: fatal: bad" in page
    assert "none of its files was touched" in page
    assert "in line 3</pre>" in page


def test_an_unproven_rollback_says_to_look_now(changed: MailServer, operator_page: Client) -> None:
    about: dict[str, str | int | bool] = {"reason": "daemon.died", "problem": "probe.closed"}
    failure = Problem("rollback.not_proven", Severity.ERROR, "imaps", about)
    deployment = make_deployment(changed, status=Status.FAILED, failure=failure)
    make_steps(deployment, "planned", "swapped", "restored")
    page = _text(operator_page, deployment)
    assert "Failed: The change failed" in page
    assert "Whether mail runs as before is not proven." in page


def test_the_page_of_an_unproven_rollback_follows_what_the_agent_tries(
    changed: MailServer, operator_page: Client
) -> None:
    about: dict[str, str | int | bool] = {"reason": "daemon.died", "problem": "agent.fault"}
    failure = Problem("rollback.not_proven", Severity.ERROR, "postfix", about)
    deployment = make_deployment(changed, status=Status.FAILED, failure=failure)
    page = operator_page.get(deployment.get_absolute_url()).content.decode()
    asked = re.search(r'hx-get="([^"]+seen=unproven[^"]*)" hx-trigger="every 5s"', page)
    assert asked is not None
    assert operator_page.get(asked[1]).status_code == 204
    Deployment.objects.filter(pk=deployment.pk).update(
        retry_at=datetime(2026, 11, 24, 4, 5, 6, tzinfo=UTC)
    )
    news = operator_page.get(asked[1]).content.decode()
    assert "next at 04:05:06 UTC" in news
    Deployment.objects.filter(pk=deployment.pk).update(status=Status.ROLLED_BACK, retry_at=None)
    assert "Mail runs as before (proven)." in operator_page.get(asked[1]).content.decode()


def test_a_lost_agent_says_that_it_ends_or_undoes_by_itself(
    changed: MailServer, operator_page: Client
) -> None:
    lost = Problem("agent.silent", Severity.ERROR)
    deployment = make_deployment(changed, status=Status.FAILED, failure=lost)
    page = _text(operator_page, deployment)
    assert "The panel lost sight of the apply." in page


def test_the_state_as_found_says_that_nothing_was_changed(
    server: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(server, kind=Deployment.Kind.BASELINE, proof_ms=None, files=[])
    page = _text(operator_page, deployment)
    assert "Taken over as it was found. Nothing on the mail server was changed." in page


def test_an_unreadable_step_or_evidence_does_not_break_the_page(
    changed: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(changed, proof_ms=None)
    step = make_steps(deployment, "from_tomorrow", "proved")[1]
    step.evidence = {"listeners": [{"service": "gopher"}, {"nothing": 1}, {}], "files": 3}
    step.save()
    unreadable = {"status": Status.FAILED, "state": {"listeners": "?"}}
    Deployment.objects.filter(pk=deployment.pk).update(**unreadable)
    assert "from_tomorrow" in _text(operator_page, deployment)


# While it runs


def test_a_running_deployment_is_followed_and_shows_what_is_to_come(
    changed: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(changed, status=Status.RUNNING)
    make_steps(deployment, "planned", ("staged", "7"), ("checked", "dovecot"))
    page = _text(operator_page, deployment)
    assert 'hx-trigger="every 500ms"' in page
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page
    assert "Let Dovecot’s own parser read them" in page
    assert page.index("Staged as generation 7") < page.index("Swap the files")
    assert "Prove every port by handshake" in page


def test_following_answers_only_when_there_is_news(
    changed: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(changed, status=Status.RUNNING)
    make_steps(deployment, "planned")
    first = _follow(operator_page, deployment)
    seen = first.context["progress"].signature
    assert _follow(operator_page, deployment, seen).status_code == 204
    deployment.steps.update(status="done")
    assert "Planned" in _follow(operator_page, deployment, seen).content.decode()


def test_following_stops_when_it_has_ended(changed: MailServer, operator_page: Client) -> None:
    deployment = make_deployment(changed)
    make_steps(deployment, *ALL_STEPS)
    apply_wanted(changed)
    answer = _follow(operator_page, deployment)
    page = answer.content.decode()
    assert answer.headers["HX-Retarget"] == "#deployment"
    assert "hx-trigger" not in page
    assert 'hx-swap-oob="innerHTML">Proven on 5 listeners in 0.8 s.' in page
    # What was pending is applied now, and the frame must say so too.
    assert '<div id="pending" hx-swap-oob="true"></div>' in page
    assert 'http-equiv="refresh"' not in _text(operator_page, deployment)


def test_a_wait_between_applies_is_told_with_its_seconds(
    changed: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(changed, status=Status.RUNNING)
    step = make_steps(deployment, "waiting")[0]
    step.duration_ms = 2300
    step.save()
    assert "Waiting 3 s: applies are kept 5 s apart" in _text(operator_page, deployment)


def test_a_deployment_nobody_takes_is_explained(changed: MailServer, operator_page: Client) -> None:
    deployment = make_deployment(changed, status=Status.QUEUED, age=timedelta(seconds=12))
    page = _text(operator_page, deployment)
    assert "It has been waiting for 12 s: no worker has taken it" in page


def test_going_back_while_failing_shows_the_last_step_to_come(
    changed: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(changed, status=Status.RUNNING)
    make_steps(deployment, "planned", "swapped", "proved", "restored")
    page = _text(operator_page, deployment)
    assert "Prove that every port shows what it showed before" in page
    assert "Watch for two seconds" not in page


# History


def test_the_list_is_newest_first_with_result_and_proof(
    changed: MailServer, operator_page: Client
) -> None:
    make_deployment(changed, kind=Deployment.Kind.BASELINE, proof_ms=None)
    make_deployment(changed, reason="Nobody uses POP3")
    make_deployment(changed, status=Status.ROLLED_BACK, failure=CLOSED)
    page = operator_page.get("/deployments/").content.decode()
    assert page.index("#2</td>") < page.index("#1</td>") < page.index("#0</td>")
    assert "taken back" in page
    assert "proven" in page
    assert "0.8 s" in page
    assert "Taken over as it was found" in page
    assert "“Nobody uses POP3”" in page
    assert "Close POP3 (110)." in page
    assert "will be" not in page


def test_the_list_has_pages(server: MailServer, operator_page: Client) -> None:
    state = desired_state(server)
    for _ in range(27):
        make_deployment(server, state=state)
    first = operator_page.get("/deployments/").content.decode()
    assert "Page 1 of 2" in first
    assert "#26</td>" in first
    assert "#1</td>" not in first
    second = operator_page.get("/deployments/?page=2").content.decode()
    assert "#1</td>" in second
    assert operator_page.get("/deployments/?page=nonsense").status_code == 200


def test_an_empty_history_says_what_to_do(server: MailServer, operator_page: Client) -> None:
    assert "Nothing was applied yet" in operator_page.get("/deployments/").content.decode()


def test_without_a_server_the_list_says_what_to_do(operator_page: Client) -> None:
    assert "/deployments/adopt/" in operator_page.get("/deployments/").content.decode()


@pytest.mark.parametrize("part", ["", "steps/", "restore/"])
def test_a_number_that_does_not_exist_is_not_found(
    server: MailServer, operator_page: Client, part: str
) -> None:
    assert operator_page.get(f"/deployments/7/{part}").status_code == 404


# Going back


def test_going_back_says_first_what_would_be_wanted(
    server: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(server)
    server.listeners.filter(service="pop3").update(is_enabled=False)
    page = _text(operator_page, deployment, "restore/")
    assert "POP3 (110) will be opened." in page
    assert "1 change is pending now; it is replaced." in page
    assert "Nothing changes on the mail server yet" in page
    assert len(pending_changes(server)) == 1


def test_going_back_makes_that_state_pending_and_leads_to_the_review(
    server: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(server)
    server.listeners.filter(service="pop3").update(is_enabled=False)
    apply_wanted(server)
    answer = operator_page.post(f"/deployments/{deployment.number}/restore/", {"reason": "Oops"})
    assert answer.headers["Location"] == "/deployments/review/"
    assert [change.code for change in pending_changes(server)] == ["listener.opened"]
    assert AuditEvent.objects.get(verb="state.restored").reason == "Oops"


def test_going_back_to_what_is_wanted_changes_nothing(
    server: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(server)
    assert "there is nothing to go back to" in _text(operator_page, deployment, "restore/")
    operator_page.post(f"/deployments/{deployment.number}/restore/")
    assert not AuditEvent.objects.filter(verb="state.restored").exists()


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_unproven_state_cannot_be_gone_back_to(
    changed: MailServer, operator_page: Client, method: str
) -> None:
    deployment = make_deployment(changed, status=Status.ROLLED_BACK, failure=CLOSED)
    address = f"/deployments/{deployment.number}/restore/"
    answer = getattr(operator_page, method)(address)
    assert answer.headers["Location"] == deployment.get_absolute_url()
    said = [str(message) for message in get_messages(answer.wsgi_request)]
    assert said == ["Deployment #0 was never proven, so its state is nothing to go back to."]
    assert "Go back to this state" not in _text(operator_page, deployment)


def test_a_state_whose_certificate_was_deleted_is_refused_in_words(
    server: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(server)
    old = server.default_certificate
    assert old is not None
    server.default_certificate = make_certificate()
    server.save()
    Certificate.objects.filter(pk=old.pk).update(deleted_at=deployment.requested_at)
    answer = operator_page.post(f"/deployments/{deployment.number}/restore/")
    assert answer.headers["Location"] == deployment.get_absolute_url()
    assert "was deleted" in " ".join(map(str, get_messages(answer.wsgi_request)))


def test_the_state_that_is_applied_offers_no_way_back(
    server: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(server)
    assert "Go back" not in _text(operator_page, deployment)
    assert "as applied now" in operator_page.get("/deployments/").content.decode()


def test_a_viewer_reads_the_history_and_has_no_button(
    server: MailServer, client_of: ClientOf
) -> None:
    deployment = make_deployment(server)
    server.listeners.filter(service="pop3").update(is_enabled=False)
    apply_wanted(server)
    viewer = client_of("viewer")
    assert "Proven on 5 listeners" in _text(viewer, deployment)
    for page in (_text(viewer, deployment), viewer.get("/deployments/").content.decode()):
        assert "Go back" not in page
    address = f"/deployments/{deployment.number}/restore/"
    assert viewer.get(address).status_code == 403
    assert viewer.post(address).status_code == 403


# Scripts, secrets, cost


def test_what_ports_said_cannot_become_markup(server: MailServer, operator_page: Client) -> None:
    evil = "<script>alert(1)</script>"
    deployment = make_deployment(server, reason=evil, requested_by=evil)
    step = make_steps(deployment, "proved")[0]
    for row in step.evidence["listeners"]:
        row |= {"cipher": evil, "tls_version": evil, "reply_without_login": evil}
        row |= {"sni_name": evil, "dialogue": [["server", evil], [evil, evil]]}
        row |= {"certificate": {"label": evil, "issuer": evil}}
    step.evidence |= {"files": [evil], "certificates": [evil]}
    step.save()
    page = _text(operator_page, deployment)
    assert evil not in page
    assert "&lt;script&gt;alert(1)" in page


def test_no_key_is_on_any_page(changed: MailServer, operator_page: Client) -> None:
    deployment = make_deployment(changed)
    make_steps(deployment, *ALL_STEPS)
    make_plan(changed)
    for address in ("/deployments/", deployment.get_absolute_url(), "/deployments/review/", "/"):
        assert "PRIVATE KEY" not in operator_page.get(address).content.decode()


def test_queries_do_not_grow_with_the_history(server: MailServer, operator_page: Client) -> None:
    state = desired_state(server)
    make_deployment(server, state=state, restores=make_deployment(server, state=state))
    few = _count_queries(operator_page, "/deployments/")
    for _ in range(9):
        restored = server.deployments.order_by("number")[0]
        make_deployment(server, state=state, restores=restored)
    assert _count_queries(operator_page, "/deployments/") == few


def test_queries_do_not_grow_with_steps_and_ports(
    server: MailServer, operator_page: Client
) -> None:
    small, large = make_deployment(server), make_deployment(server)
    make_steps(small, "planned")
    make_steps(large, *ALL_STEPS, "proved_as_before", "proved", "watched")
    few = _count_queries(operator_page, f"/deployments/{small.number}/")
    assert _count_queries(operator_page, f"/deployments/{large.number}/") == few


def _count_queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)
