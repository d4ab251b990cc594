"""A real Chromium in front of the panel, as somebody with a role."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.core.signals import request_finished, request_started
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from mailadmin.accounts.roles import Role
from tests.factories import make_user
from tests.stacks import wait_until

CHROMIUM = Path("/usr/bin/chromium")
SessionOf = Callable[..., BrowserContext]
# How long a page may take to show something: only a machine that is busy needs it.
_PATIENCE = 60_000  # milliseconds
_SECONDS = 300  # for a whole test


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, so that it can be chosen or left out, and has time."""
    folder = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(folder):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(_SECONDS))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium once."""
    # Playwright runs an event loop in this thread; Django would refuse its database here.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


def open_context(browser: Browser, url: str, **options: object) -> BrowserContext:
    """Return a browser session of its own, in which nothing moves by itself.

    A colour that is still fading would be measured half-way.
    """
    context = browser.new_context(
        base_url=url,
        **{"reduced_motion": "reduce", **options},  # type: ignore[arg-type]
    )
    context.set_default_timeout(_PATIENCE)
    return context


class _Requests:
    """Counts what the live server is at; what a test asks by itself does not count."""

    def __init__(self) -> None:
        self.under_way = 0
        self._lock = threading.Lock()

    def begin(self, **_signal: object) -> None:
        self._count(1)

    def end(self, **_signal: object) -> None:
        self._count(-1)

    def _count(self, change: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            with self._lock:
                self.under_way += change


@pytest.fixture(scope="session")
def requests() -> Iterator[_Requests]:
    """Watch the live server."""
    counted = _Requests()
    request_started.connect(counted.begin)
    request_finished.connect(counted.end)
    yield counted
    request_started.disconnect(counted.begin)
    request_finished.disconnect(counted.end)


@pytest.fixture
def session_of(
    browser: Browser, live_server: LiveServer, requests: _Requests
) -> Iterator[SessionOf]:
    """Return a function that opens a browser session logged in as somebody with the role."""
    contexts: list[BrowserContext] = []

    def open_session(role: Role | str | None = Role.OPERATOR, **options: object) -> BrowserContext:
        context = open_context(browser, live_server.url, **options)
        contexts.append(context)
        if role is not None:
            client = Client()
            client.force_login(make_user(role))
            cookie = client.cookies["sessionid"]
            context.add_cookies(
                [{"name": "sessionid", "value": cookie.value, "url": live_server.url}]
            )
        return context

    yield open_session
    for context in contexts:
        context.close()
    # A page that follows something may just have asked. What the server has not begun with comes
    # from strangers now, and the rest is waited for: it must not write into the next test's rows.
    Session.objects.all().delete()
    wait_until(lambda: requests.under_way == 0, what="the last requests", seconds=60)


@pytest.fixture
def page(session_of: SessionOf) -> Iterator[Page]:
    """Return an empty page of an operator's session; it fails the test on a script error."""
    tab = session_of(Role.OPERATOR).new_page()
    troubles: list[str] = []
    tab.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
    yield tab
    assert troubles == []
