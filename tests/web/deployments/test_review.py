"""The Review page: what is pending, what speaks against it, and every way a plan can stand."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from mailadmin.deployments.models import Deployment, Foresight, Plan
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer
from tests.deployment_factories import agent_away, make_deployment, make_plan
from tests.elapsed import tells_seconds
from tests.server_factories import make_binding, make_certificate
from tests.web.deployments.conftest import Sent

ClientOf = Callable[[str], Client]
REVIEW = "/deployments/review/"
STATUS = "/deployments/review/plan/status/"
TAKEN = Problem(
    "port.taken",
    Severity.ERROR,
    "submissions",
    {"address": "127.0.0.2", "port": 465, "program": "nginx", "pid": 812},
)


@pytest.fixture
def operator_page(client_of: ClientOf) -> Client:
    return client_of("operator")


def _text(client: Client, address: str = REVIEW, **options: Any) -> str:
    answer = client.get(address, **options)
    assert answer.status_code == 200
    return answer.content.decode()


# What is pending


def test_changes_are_sentences_grouped_by_effect(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed)
    page = _text(operator_page)
    assert "2 changes are saved and not applied yet." in page
    assert "Submission with TLS (465) will be opened." in page
    assert "POP3 (110) will be closed." in page
    assert page.index("Opens") < page.index("Submission with TLS (465)") < page.index("Closes")


def test_each_change_can_be_undone_and_leads_back_to_the_review(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed)
    assert _text(operator_page).count('name="subject"') == 2
    answer = operator_page.post(
        reverse("listeners:undo"), {"subject": "pop3", "code": "listener.closed", "next": REVIEW}
    )
    assert answer.headers["Location"] == REVIEW
    assert "POP3 (110)" not in _text(operator_page)


def test_a_chain_that_was_added_offers_no_undo_that_would_do_nothing(
    operator_page: Client, server: MailServer
) -> None:
    certificate = server.default_certificate
    assert certificate is not None
    certificate.chain_pem += certificate.chain_pem
    certificate.save()
    make_plan(server)
    text = _text(operator_page)
    assert "What will change" in text
    assert "certificate.chain_changed" not in text
    assert 'class="btn-undo"' not in text


def test_the_diff_of_each_file_is_shown_with_its_colours(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed)
    page = _text(operator_page)
    assert '<span class="del">-smtpd_tls_cert_file = ' in page
    assert '<span class="add">+smtpd_tls_security_level = may\n</span>' in page
    assert '<span class="hunk">@@ -12,3 +12,4 @@' in page
    assert 'data-copy-from="diff-1"' in page


def test_a_removed_line_that_looks_like_a_head_is_not_swallowed(
    changed: MailServer, operator_page: Client
) -> None:
    lines = ["--- main.cf\tnow", "+++ main.cf\twanted", "@@ -1 +1 @@", "--- odd", "+++ odd too"]
    make_plan(changed, files=[{"name": "main.cf", "lines": lines}])
    page = _text(operator_page)
    assert '<span class="del">--- odd\n</span>' in page
    assert '<span class="add">+++ odd too\n</span>' in page
    assert "--- main.cf" not in page


def test_a_long_diff_is_folded_and_a_short_one_is_open(
    changed: MailServer, operator_page: Client
) -> None:
    long = [f"+line {number}" for number in range(200)]
    make_plan(
        changed,
        files=[{"name": "master.cf", "lines": long}, {"name": "main.cf", "lines": ["+short"]}],
    )
    page = _text(operator_page)
    files = page[page.index('id="files"') :]
    assert files.count("<details>") == 1
    assert files.count("<details open>") == 1


def test_the_digest_of_the_plan_can_be_copied(changed: MailServer, operator_page: Client) -> None:
    plan = make_plan(changed)
    assert f'data-copy="{plan.digest}"' in _text(operator_page)


# What speaks against it


def test_a_warning_is_shown_before_the_button_and_needs_no_answer(
    changed: MailServer, operator_page: Client
) -> None:
    warning = Problem("dovecot.reload_ends_sessions", Severity.WARNING, "dovecot")
    make_plan(changed, problems=[warning])
    page = _text(operator_page)
    assert page.index("this reload ends everybody’s open IMAP") < page.index("Apply 2 changes")
    assert 'id="apply-form"' in page


def test_an_error_takes_the_button_away_and_says_why(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed, problems=[TAKEN])
    page = _text(operator_page)
    assert "held by nginx (process 812)" in page
    assert 'id="apply-form"' not in page
    assert re.search(r"<button[^>]* disabled", page)
    assert "1 error has to be put right first" in page


def test_what_rules_and_agent_both_say_is_said_once(
    server: MailServer, operator_page: Client
) -> None:
    server.listeners.filter(service="submission").update(is_enabled=True, is_login_required=False)
    rule = Problem("submission.without_login", Severity.ERROR, "submission", {"port": 587})
    make_plan(server, problems=[rule])
    assert _text(operator_page).count("Anybody could send mail through port 587") == 1


def test_rules_speak_before_the_agent_has_answered(
    server: MailServer, operator_page: Client
) -> None:
    server.listeners.filter(service="submission").update(is_enabled=True, is_login_required=False)
    make_plan(server, status=Plan.Status.QUEUED)
    assert "Anybody could send mail through port 587" in _text(operator_page)


# How a plan can stand


def test_opening_the_page_asks_for_a_plan_once(
    changed: MailServer,
    operator_page: Client,
    sent: Sent,
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assert "The mail server is asked what would change" in _text(operator_page)
        _text(operator_page)
    plan, foresight = Plan.objects.get(), Foresight.objects.get()
    assert sent == [("make_plan", plan.pk), ("foresee", foresight.pk)]


def test_a_fresh_plan_is_not_asked_for_again(changed: MailServer, operator_page: Client) -> None:
    make_plan(changed)
    _text(operator_page)
    assert Plan.objects.count() == 1


def test_an_old_plan_is_not_believed(changed: MailServer, operator_page: Client) -> None:
    make_plan(changed, age=timedelta(minutes=11))
    assert "The mail server is asked" in _text(operator_page)
    assert Plan.objects.count() == 2


def test_a_plan_for_another_state_is_not_shown(changed: MailServer, operator_page: Client) -> None:
    make_plan(changed)
    changed.listeners.filter(service="imap").update(is_enabled=False)
    page = _text(operator_page)
    assert "The mail server is asked" in page
    assert "smtpd_tls_cert_file" not in page


def test_waiting_polls_and_works_without_a_script(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed, status=Plan.Status.RUNNING)
    page = _text(operator_page)
    assert f'hx-get="{STATUS}" hx-trigger="every 500ms"' in page
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page
    assert "Possible when the mail server has answered." in page


def test_a_plan_nobody_takes_is_explained(changed: MailServer, operator_page: Client) -> None:
    make_plan(changed, status=Plan.Status.QUEUED, age=timedelta(seconds=12))
    page = _text(operator_page)
    assert tells_seconds(page, "The plan has been waiting for {} s: no worker has taken it.", 12)
    assert "Is the Celery worker running, and Redis?" in page


def test_an_agent_that_takes_long_is_explained(changed: MailServer, operator_page: Client) -> None:
    make_plan(changed, status=Plan.Status.RUNNING, age=timedelta(seconds=20))
    sentence = "A worker asked the agent {} s ago and has no answer yet."
    assert tells_seconds(_text(operator_page), sentence, 20)


def test_an_unreachable_agent_is_said_and_can_be_asked_again(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed, status=Plan.Status.FAILED, error=agent_away().as_dict())
    page = _text(operator_page)
    assert "There is no plan:" in page
    assert "The agent on the mail server cannot be reached (Connection refused)" in page
    assert "Ask again" in page
    assert "Not possible without a plan." in page
    assert "every 500ms" not in page


def test_a_daemons_own_words_stand_beside_the_sentence(
    changed: MailServer, operator_page: Client
) -> None:
    words = "postconf: fatal: bad line\nsecond <line>"
    error = Problem("postfix.config_broken", Severity.ERROR, "", {"words": words})
    make_plan(changed, status=Plan.Status.FAILED, error=error.as_dict())
    page = _text(operator_page)
    assert "Postfix cannot read its own files as they are now: postconf: fatal: bad line…" in page
    assert "second &lt;line&gt;</pre>" in page


def test_polling_answers_with_the_wait_until_the_plan_is_there(
    changed: MailServer, operator_page: Client
) -> None:
    plan = make_plan(changed, status=Plan.Status.RUNNING)
    waiting = operator_page.get(STATUS, headers={"HX-Request": "true"})
    assert 'id="plan-wait"' in waiting.content.decode()
    assert "HX-Retarget" not in waiting.headers
    Plan.objects.filter(pk=plan.pk).update(
        status=Plan.Status.READY, digest="ab" * 32, finished_at=timezone.now()
    )
    ready = operator_page.get(STATUS, headers={"HX-Request": "true"})
    page = ready.content.decode()
    assert ready.headers["HX-Retarget"] == "#review"
    assert 'id="apply-form"' in page
    assert "hx-trigger" not in page


def test_polling_reloads_the_page_when_something_else_is_wanted(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed, status=Plan.Status.RUNNING)
    changed.listeners.filter(service="imap").update(is_enabled=False)
    answer = operator_page.get(STATUS, headers={"HX-Request": "true"})
    assert answer.headers["HX-Refresh"] == "true"


def test_asking_anew_makes_another_plan(
    changed: MailServer,
    operator_page: Client,
    sent: Sent,
    django_capture_on_commit_callbacks: Any,
) -> None:
    make_plan(changed, status=Plan.Status.FAILED, error=agent_away().as_dict())
    with django_capture_on_commit_callbacks(execute=True):
        answer = operator_page.post("/deployments/review/plan/")
    assert answer.headers["Location"] == REVIEW
    plan, foresight = Plan.objects.latest("pk"), Foresight.objects.get()
    assert sent == [("make_plan", plan.pk), ("foresee", foresight.pk)]


# Nothing pending


def test_nothing_to_apply_is_said_when_the_files_agree(
    server: MailServer, operator_page: Client
) -> None:
    make_plan(server, files=[])
    page = _text(operator_page)
    assert "Nothing to apply" in page
    assert "action-bar" not in page


def test_files_edited_by_hand_are_told_and_can_be_put_right(
    server: MailServer, operator_page: Client
) -> None:
    make_deployment(server, age=timedelta(hours=1))
    make_plan(server)
    page = _text(operator_page)
    assert "Nothing is pending, yet the files are not what was applied." in page
    assert 'id="apply-form"' in page


def test_before_the_first_apply_the_files_are_told_to_be_the_admins_own(
    server: MailServer, operator_page: Client
) -> None:
    make_deployment(server, kind=Deployment.Kind.BASELINE, age=timedelta(hours=1))
    make_plan(server)
    assert "the panel has not written these files yet" in _text(operator_page)


def test_changes_that_touch_no_file_can_still_be_applied(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed, files=[])
    page = _text(operator_page)
    assert "None of them changes a file on the mail server." in page
    assert "Apply 2 changes" in page


def test_without_a_server_the_page_says_what_to_do(operator_page: Client) -> None:
    assert "/deployments/adopt/" in _text(operator_page)
    assert operator_page.get(STATUS).status_code == 404


def test_while_a_deployment_is_under_way_nothing_is_asked_or_applied(
    changed: MailServer, operator_page: Client
) -> None:
    deployment = make_deployment(changed, status=Deployment.Status.RUNNING)
    page = _text(operator_page)
    assert f"Deployment #{deployment.number} is under way." in page
    assert "Not possible while another deployment is under way." in page
    assert not Plan.objects.exists()
    operator_page.post("/deployments/review/plan/")
    assert not Plan.objects.exists()


# People, secrets, scripts, cost


def test_a_viewer_reads_all_of_it_and_has_no_button(
    changed: MailServer, client_of: ClientOf
) -> None:
    make_plan(changed)
    page = _text(client_of("viewer"))
    assert "POP3 (110) will be closed." in page
    assert "smtpd_tls_security_level" in page
    for button in ("Undo", "Apply 2 changes", "Discard", "Look at the files again"):
        assert button not in page


def test_names_diffs_and_daemons_words_cannot_become_markup(
    server: MailServer, operator_page: Client
) -> None:
    evil = '<img src=x onerror="alert(1)">'
    certificate = make_certificate(evil)
    make_binding(server, "a.example.org", certificate)
    words = Problem("postfix.check_failed", Severity.ERROR, "", {"words": f"{evil}\n{evil}"})
    make_plan(
        server,
        problems=[words],
        files=[{"name": evil, "lines": [f"+{evil}", f"-{evil}", evil]}],
    )
    page = _text(operator_page)
    assert "<img" not in page
    assert page.count("&lt;img src=x") >= 6


def test_queries_do_not_grow_with_changes_names_and_files(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed)
    few = _count_queries(operator_page)
    for number in range(12):
        certificate = make_certificate(f"n{number}.example.org")
        make_binding(changed, f"n{number}.example.org", certificate)
    changed.listeners.update(address="127.0.0.9")
    problem = Problem("dovecot.reload_ends_sessions", Severity.WARNING, "dovecot")
    make_plan(
        changed,
        problems=[problem] * 5,
        files=[{"name": f"f{number}", "lines": ["+x"] * 50} for number in range(9)],
    )
    assert _count_queries(operator_page) == few


def _count_queries(client: Client) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        _text(client)
    return len(queries)
