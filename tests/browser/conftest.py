"""A real Chromium in front of the panel, as somebody with a role."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from mailadmin.accounts.roles import Role
from tests.factories import make_user

CHROMIUM = Path("/usr/bin/chromium")
SessionOf = Callable[..., BrowserContext]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, so that it can be chosen or left out."""
    folder = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(folder):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium once."""
    # Playwright runs an event loop in this thread; Django would refuse its database here.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def session_of(browser: Browser, live_server: LiveServer) -> Iterator[SessionOf]:
    """Return a function that opens a browser session logged in as somebody with the role."""
    contexts: list[BrowserContext] = []

    def open_session(role: Role | str | None = Role.OPERATOR, **options: object) -> BrowserContext:
        context = browser.new_context(base_url=live_server.url, **options)  # type: ignore[arg-type]
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


@pytest.fixture
def page(session_of: SessionOf) -> Page:
    """Return an empty page of an operator's session; it fails the test on a script error."""
    tab = session_of(Role.OPERATOR).new_page()
    tab.on("pageerror", lambda error: pytest.fail(f"script error: {error}"))
    return tab
