"""Review says who would notice: once the logs are read, and whose names to whom."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from mailadmin.deployments.models import Foresight
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer
from tests.deployment_factories import agent_away, make_foresight, make_plan, make_usage

ClientOf = Callable[[str], Client]
REVIEW = "/deployments/review/"
STATUS = "/deployments/review/foresight/"
SENTENCE = "2 people still read mail on port 110, which would close (41 times, last on "


@pytest.fixture
def operator_page(client_of: ClientOf) -> Client:
    return client_of("operator")


def _text(client: Client, address: str = REVIEW) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_who_would_notice_is_a_sentence_with_the_list_folded_behind_it(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed)
    make_foresight(changed, make_usage())
    page = _text(operator_page)
    assert SENTENCE in page
    assert "1 connection is open now" in page
    behind = page.partition('<details class="people">')[2].partition("</details>")[0]
    assert "anna@example.org\t40 times" in behind
    assert 'data-copy-from="people-1"' in behind
    assert "Counted in 120000 lines of /var/log/mail.log" in page
    # It informs: Apply is as possible as without it.
    assert 'id="apply-form"' in page


def test_names_are_shown_to_those_who_may_apply_only(
    changed: MailServer, client_of: ClientOf
) -> None:
    make_plan(changed)
    make_foresight(changed, make_usage())
    for address in (REVIEW, STATUS):
        page = _text(client_of("viewer"), address)
        assert SENTENCE in page
        assert "anna" not in page
        assert "192.0.2.7" not in page
        assert "Who they are is shown to those who may apply." in page


def test_while_the_logs_are_read_the_page_says_how_far_it_is(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed)
    make_foresight(
        changed, status="running", lines=250_000, source="/var/log/mail.log.1",
        heartbeat_at=timezone.now(),
    )  # fmt: skip
    for page in (_text(operator_page), _text(operator_page, STATUS)):
        assert "250000 lines read, now in /var/log/mail.log.1" in page
        assert f'hx-get="{STATUS}"' in page
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in _text(operator_page)
    assert 'id="apply-form"' in _text(operator_page)


def test_a_wait_that_is_long_is_explained(changed: MailServer, operator_page: Client) -> None:
    make_plan(changed)
    make_foresight(changed, age=timedelta(seconds=12))
    assert "Is the Celery worker running?" in _text(operator_page, STATUS)


def test_the_answer_ends_the_polling(changed: MailServer, operator_page: Client) -> None:
    make_plan(changed)
    make_foresight(changed, make_usage())
    page = _text(operator_page, STATUS)
    assert "hx-get" not in page
    assert "<noscript>" not in _text(operator_page)


def test_nobody_is_said_only_of_what_was_read(changed: MailServer, operator_page: Client) -> None:
    make_plan(changed)
    make_foresight(changed, make_usage(groups=(), live=()))
    assert "Nobody was seen on port 110, which would close." in _text(operator_page)
    Foresight.objects.all().delete()
    unread = Problem(
        "usage.no_log", Severity.WARNING, "/var/log/mail.log", {"detail": "Permission denied"}
    )
    make_foresight(changed, make_usage(groups=(), live=(), sources=(), problems=(unread,)))
    page = _text(operator_page)
    assert "Nobody was seen" not in page
    assert "/var/log/mail.log, nor in a journal" in page


def test_an_agent_that_cannot_tell_forbids_nothing(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed)
    make_foresight(changed, status=Foresight.Status.FAILED, error=agent_away().as_dict())
    page = _text(operator_page)
    assert "So nobody knows who would notice. You can apply without it." in page
    assert 'id="apply-form"' in page


def test_where_nothing_is_taken_away_nobody_is_counted(
    server: MailServer, operator_page: Client
) -> None:
    server.listeners.filter(service="imap").update(tls_mode="none")
    make_plan(server)
    assert "Who would notice" not in _text(operator_page)
    assert not Foresight.objects.exists()


def test_what_opens_is_asked_whether_it_can_be_reached(
    server: MailServer, operator_page: Client
) -> None:
    server.listeners.filter(service="submissions").update(is_enabled=True)
    make_plan(server)
    assert "what stands between the new ports and those who connect" in _text(operator_page)
    Foresight.objects.all().delete()
    closed = Problem(
        "firewall.closed", Severity.WARNING, "submissions", {"port": 465, "families": "IPv4"}
    )
    ready = {"status": Foresight.Status.READY, "surroundings": [closed.as_dict()]}
    make_foresight(server, **ready)
    page = _text(operator_page)
    assert "Whether it can be reached" in page
    assert "refuses connections to port 465 (IPv4)" in page
    assert 'id="apply-form"' in page


def test_a_page_that_waits_for_something_else_is_loaded_again(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed)
    make_foresight(changed, make_usage(), age=timedelta(minutes=11))
    answer = operator_page.get(STATUS)
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (204, "true")


def test_what_a_log_says_is_text_not_markup(changed: MailServer, operator_page: Client) -> None:
    make_plan(changed)
    make_foresight(changed, make_usage(sources=("<script>x",)))
    assert "<script>x" not in _text(operator_page)


def test_one_question_is_asked_however_often_the_page_is_opened(
    changed: MailServer, operator_page: Client
) -> None:
    make_plan(changed)
    for _ in range(3):
        _text(operator_page)
    assert Foresight.objects.count() == 1
