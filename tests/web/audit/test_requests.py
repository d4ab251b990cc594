"""Each request has an id and an author."""

from __future__ import annotations

import logging

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings

from mailadmin.accounts.models import User
from mailadmin.audit.actors import Actor
from mailadmin.audit.middleware import RequestContextMiddleware, RequestIdFilter
from mailadmin.audit.request_id import current_request_id, request_id_set


def _serve(**headers: str) -> tuple[str, HttpResponse]:
    seen: list[str] = []

    def view(_request: HttpRequest) -> HttpResponse:
        seen.append(current_request_id())
        return HttpResponse()

    response = RequestContextMiddleware(view)(RequestFactory().get("/", headers=headers))
    assert isinstance(response, HttpResponse)
    return seen[0], response


def test_a_request_gets_an_id_of_its_own() -> None:
    first, response = _serve()
    second, _ = _serve()
    assert response.headers["X-Request-ID"] == first
    assert len(first) == 16
    assert first != second
    assert current_request_id() == ""


def test_an_id_from_a_proxy_is_kept() -> None:
    assert _serve(x_request_id="proxy-1234:abcd")[0] == "proxy-1234:abcd"


@pytest.mark.parametrize(
    "bad", ["short", "x" * 65, "with space in it", "line\nbreak-12345", "<script>alert"]
)
def test_an_id_that_could_harm_a_log_line_is_replaced(bad: str) -> None:
    request_id, _ = _serve(x_request_id=bad)
    assert request_id != bad
    assert len(request_id) == 16


def test_log_lines_carry_the_id() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "text", None, None)
    assert RequestIdFilter().filter(record)
    assert record.request_id == "-"
    with request_id_set("0123456789abcdef"):
        RequestIdFilter().filter(record)
    assert record.request_id == "0123456789abcdef"


@pytest.mark.django_db
def test_a_line_logged_after_the_middleware_carries_the_id_too(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    response = client.get("/no/such/page/", headers={"x-request-id": "proxy-12345678"})
    record = next(record for record in caplog.records if "Not Found" in record.getMessage())
    RequestIdFilter().filter(record)
    assert response.headers["X-Request-ID"] == "proxy-12345678"
    assert record.request_id == "proxy-12345678"


def _request(user: User | AnonymousUser, **extra: str) -> HttpRequest:
    request = RequestFactory(REMOTE_ADDR="192.0.2.1").get("/", **extra)  # type: ignore[arg-type]
    request.user = user
    return request


def test_a_stranger_is_called_anonymous() -> None:
    actor = Actor.from_request(_request(AnonymousUser()))
    assert (actor.user_id, actor.name, actor.origin) == (None, "anonymous", "web")


@pytest.mark.django_db
def test_a_person_is_known_by_user_name(operator: User) -> None:
    request = _request(operator, HTTP_USER_AGENT="Firefox " + "x" * 500)
    with request_id_set("0123456789abcdef"):
        actor = Actor.from_request(request)
    assert (actor.user_id, actor.name) == (operator.pk, "otto")
    assert actor.request_id == "0123456789abcdef"
    assert len(actor.user_agent) == 300


def test_a_forwarded_address_is_believed_only_behind_our_own_proxies() -> None:
    request = _request(AnonymousUser(), HTTP_X_FORWARDED_FOR="203.0.113.9, 198.51.100.7")
    assert Actor.from_request(request).address == "192.0.2.1"
    with override_settings(TRUSTED_PROXY_COUNT=1):
        assert Actor.from_request(request).address == "198.51.100.7"
    with override_settings(TRUSTED_PROXY_COUNT=2):
        assert Actor.from_request(request).address == "203.0.113.9"
    with override_settings(TRUSTED_PROXY_COUNT=3):
        assert Actor.from_request(request).address == "192.0.2.1"


def test_the_command_line_names_the_shell_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    actor = Actor.command_line()
    assert (actor.name, actor.origin, actor.user_id) == ("grace", "cli", None)


def test_a_shell_user_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", fail)
    assert Actor.command_line().name == "unknown"


def test_the_panel_itself_acts_under_a_name() -> None:
    assert Actor.system("beat") == Actor(user_id=None, name="beat", origin="system")
