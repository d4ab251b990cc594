"""The page *Adopt this server* in a real browser, as a host that grew for years is taken over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

from mailadmin.deployments import tasks
from mailadmin.deployments.models import HostReading
from mailadmin.deployments.runner import adopting
from mailadmin.deployments.runner.reading_hosts import run_reading
from tests.browser.accessibility import violations
from tests.browser.conftest import SessionOf
from tests.host_fixtures import InProcessAgent, set_up_host

PHONE = {"viewport": {"width": 380, "height": 800}, "color_scheme": "dark"}
DESK = {"viewport": {"width": 1280, "height": 900}}
PICTURES = os.environ.get("SCREENSHOTS")


def look(tab: Page, step: str, options: dict[str, object]) -> None:
    """Let nothing be wider than the screen or hidden from people who do not see it."""
    width = options["viewport"]["width"]  # type: ignore[index]
    if PICTURES:
        tab.screenshot(path=Path(PICTURES) / f"{step}-{width}.png", full_page=True)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(tab) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("options", [PHONE, DESK], ids=["phone", "desk"])
def test_a_host_is_read_shown_and_taken_over_with_its_keys(
    session_of: SessionOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, object],
) -> None:
    found = set_up_host("lived-in", tmp_path)
    before = found.snapshot()
    answering = InProcessAgent(found)
    monkeypatch.setattr(adopting, "AgentClient", lambda *_: answering)
    monkeypatch.setattr(tasks, "send", lambda *_, **__: True)
    tab = session_of("administrator", **options).new_page()
    tab.goto("/")
    look(tab, "empty", options)
    tab.get_by_role("link", name="Adopt this server").click()
    tab.get_by_label("Name that clients connect to").fill("mail.example.test")
    look(tab, "ask", options)
    tab.get_by_role("button", name="Read the mail server").click()
    tab.get_by_text("Reading the files of Postfix and Dovecot").wait_for()
    look(tab, "reading", options)
    run_reading(HostReading.objects.get().pk)
    tab.get_by_text("its diff is empty").wait_for()
    look(tab, "read", options)
    tab.get_by_role("checkbox").check()
    tab.get_by_role("button", name="Adopt this server").click()
    tab.get_by_text("is being taken over").wait_for()
    run_reading(HostReading.objects.get().pk)
    tab.get_by_text("stored here, encrypted").wait_for()
    look(tab, "adopted", options)
    assert found.snapshot() == before
