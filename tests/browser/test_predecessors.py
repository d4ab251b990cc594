"""What an upload replaces, on a phone in the dark and on a desk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect
from pytest_django import Settings

from mailadmin.certificates.models import Certificate
from tests.browser.accessibility import violations
from tests.browser.conftest import SessionOf
from tests.server_factories import apply_wanted, make_server
from tests.throwaway_pki import CLIENT_AUTH, SERVER_AUTH, ThrowawayCa
from tests.web.certificates.conftest import store

PHONE = {"viewport": {"width": 380, "height": 800}, "color_scheme": "dark"}
DESK = {"viewport": {"width": 1280, "height": 900}}
NAMES = ("mail.example.org", "imap.example.org")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("options", [PHONE, DESK], ids=["phone", "desk"])
def test_an_upload_says_what_it_replaces_and_can_be_told_otherwise(
    session_of: SessionOf, settings: Settings, tmp_path: Path, options: dict[str, object]
) -> None:
    settings.MASTER_KEY_FILE = tmp_path / "master.key"
    ca = ThrowawayCa("Test Authority")
    before = datetime.now(UTC) - timedelta(days=70)
    uses = (SERVER_AUTH, CLIENT_AUTH)
    old = store(ca.issue(NAMES, not_before=before, days=90, eku=uses))
    apply_wanted(make_server(default_certificate=old))
    issued = ca.issue(["mail.example.org"])
    tab = session_of("operator", **options).new_page()
    tab.goto("/certificates/upload/")
    tab.get_by_label("Or paste here").fill((issued.fullchain_pem + issued.key_pem).decode())
    tab.get_by_role("button", name="Check").click()
    tab.get_by_role("heading", name="What it replaces").wait_for()
    missing = "1 name of the old certificate is missing: imap.example.org."
    expect(tab.get_by_role("main")).to_contain_text(missing)
    tab.get_by_text("It replaces another one, or nothing").click()
    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.get_by_label("no other certificate").check()
    tab.get_by_role("button", name="Show what that changes").click()
    tab.get_by_text("It replaces no certificate that is here.").wait_for()
    tab.get_by_text("It replaces another one, or nothing").click()
    tab.get_by_label("mail.example.org, Test Authority").check()
    tab.get_by_role("button", name="Save", exact=True).click()
    tab.wait_for_url("**/listeners/assign/**")
    assert Certificate.objects.exclude(pk=old.pk).get().replaces == old
