"""A database that is locked or away is told as such, whatever was asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import InterfaceError, OperationalError
from django.test import Client

from mailadmin.listeners import services
from mailadmin.servers.models import MailServer
from tests.server_factories import make_server

LOCKED = OperationalError("database is locked")
AWAY = OperationalError("connection failed: server at 10.0.0.1, user panel")


@pytest.fixture
def server(db: None) -> MailServer:
    return make_server()


@pytest.fixture
def operator_page(client_of: Callable[[str], Client]) -> Client:
    return client_of("operator")


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (LOCKED, "What you just asked for was not saved."),
        (AWAY, "The panel cannot reach its database"),
        (InterfaceError("connection already closed"), "The panel cannot reach its database"),
    ],
)
def test_a_change_that_the_database_does_not_take_is_answered_in_words(
    server: MailServer,
    operator_page: Client,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    sentence: str,
) -> None:
    monkeypatch.setattr(services, "disable_listener", failing(error))
    operator_page.raise_request_exception = False
    response = operator_page.post("/listeners/sieve/switch/", {"is_enabled": "0"})
    page = response.content.decode()
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "10"
    assert sentence in page
    assert response.headers["X-Request-ID"] in page
    assert "10.0.0.1" not in page


def test_a_login_that_cannot_be_looked_up_is_answered_in_words(
    server: MailServer, operator_page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SessionStore, "load", failing(AWAY))
    operator_page.raise_request_exception = False
    response = operator_page.get("/")
    assert response.status_code == 503
    assert "Your mail server is not affected" in response.content.decode()
