"""What the frame of every page says of the mail server, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from mailadmin.accounts.models import User
from mailadmin.dashboard.context import Frame, frame
from mailadmin.deployments.models import ProbeRun
from mailadmin.servers.models import MailServer
from tests.deployment_factories import agent_away, make_look, make_unanswered_look
from tests.server_factories import make_binding, make_certificate, make_server

CLOSED = {"is_open": False, "error": "probe.closed", "error_text": "Connection refused"}


def _request(user: User | AnonymousUser) -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = user
    return request


def _frame(user: User) -> Frame:
    shown = frame(_request(user))["frame"]
    assert isinstance(shown, Frame)
    return shown


@pytest.fixture
def server(db: None) -> MailServer:
    return make_server()


def test_all_ports_proven_is_one_green_word(server: MailServer, operator: User) -> None:
    run = make_look(server)
    health = _frame(operator).health
    assert health is not None
    assert (health.state, health.sentence) == ("proven", "all proven")
    assert health.checked_at == run.finished_at


def test_ports_that_are_not_right_are_counted_once_each(server: MailServer, operator: User) -> None:
    make_binding(server, "a.example.org", make_certificate("a.example.org"))
    MailServer.objects.update(applied_state={})
    make_look(server, changed={"imaps": CLOSED, "smtp": CLOSED})
    health = _frame(operator).health
    assert health is not None
    assert (health.state, health.sentence) == ("broken", "2 ports are not right")


def test_before_the_first_look_nothing_is_claimed(server: MailServer, operator: User) -> None:
    health = _frame(operator).health
    assert health is not None
    assert (health.state, health.checked_at) == ("unknown", None)


def test_a_look_that_failed_makes_the_last_good_one_doubtful(
    server: MailServer, operator: User
) -> None:
    make_look(server)
    make_unanswered_look(server, status=ProbeRun.Status.FAILED, error=agent_away())
    health = _frame(operator).health
    assert health is not None
    assert (health.state, health.sentence) == ("attention", "last seen proven")


def test_a_red_port_stays_red_when_nobody_can_look(server: MailServer, operator: User) -> None:
    make_look(server, changed={"imaps": CLOSED}, age=timedelta(hours=3))
    health = _frame(operator).health
    assert health is not None
    assert health.state == "broken"


def test_pending_changes_are_counted(server: MailServer, operator: User) -> None:
    assert _frame(operator).pending_count == 0
    server.listeners.filter(service="pop3").update(is_enabled=False)
    assert _frame(operator).pending_count == 1


def test_without_a_server_the_frame_is_empty(operator: User) -> None:
    shown = _frame(operator)
    assert (shown.server, shown.pending_count, shown.health) == (None, 0, None)


def test_the_frame_costs_six_queries_at_most(
    server: MailServer,
    operator: User,
) -> None:
    make_look(server)
    with CaptureQueriesContext(connection) as queries:
        shown = _frame(operator)
        assert shown.server is not None
        assert shown.pending_count == 0
        assert shown.health is not None
    assert len(queries) <= 6


def test_nobody_who_is_not_logged_in_is_told_anything(server: MailServer) -> None:
    with CaptureQueriesContext(connection) as queries:
        context = frame(_request(AnonymousUser()))
        shown = context["frame"]
        assert isinstance(shown, Frame)
        assert (shown.server, shown.pending_count, shown.health) == (None, 0, None)
        assert (context["may_change"], context["is_administrator"]) == (False, False)
    assert len(queries) == 0


def test_the_frame_is_on_other_pages_too(
    server: MailServer, client_of: Callable[[str], Client]
) -> None:
    make_look(server)
    page = client_of("viewer").get("/listeners/").content.decode()
    assert "all proven" in page
    assert "2 min ago" in page
