"""List, calendar, detail and export of certificates in a browser: accessible, and they work."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from playwright.sync_api import expect
from pytest_django import Settings

from mailadmin.accounts.roles import Role
from mailadmin.certificates.models import Certificate
from tests.browser.accessibility import violations
from tests.browser.conftest import SessionOf
from tests.factories import PASSWORD
from tests.server_factories import make_certificate, make_server
from tests.throwaway_pki import ThrowawayCa
from tests.web.certificates.conftest import store

pytestmark = pytest.mark.django_db(transaction=True)
FILE_PASSWORD = "seven-lamps-under-water"
_PHONE = {"width": 380, "height": 800}
_DESK = {"width": 1280, "height": 900}
# Where to keep pictures of what was looked at; nowhere by default.
_PICTURES = os.environ.get("MAILADMIN_PICTURES", "")


@pytest.fixture
def row(tmp_path: Path, settings: Settings) -> Certificate:
    """Store one that is in use, its successor, and some around them."""
    settings.MASTER_KEY_FILE = tmp_path / "secrets" / "master.key"
    now = datetime.now(UTC)
    ca = ThrowawayCa("Test Authority")
    used = store(ca.issue(["mail.example.org", "imap.example.org"], days=20))
    heir = store(ca.issue(["mail.example.org", "imap.example.org"], days=90))
    Certificate.objects.filter(pk=heir.pk).update(replaces=used)
    Certificate.objects.filter(pk=used.pk).update(tags=["edge", "front-desk"])
    make_server(default_certificate=used)
    make_certificate("old.example.org", not_after=now - timedelta(days=3), tags=["edge"])
    make_certificate("gone.example.org", deleted_at=now)
    return used


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [_DESK, _PHONE], ids=["desk", "phone"])
def test_every_page_is_accessible_and_fits(
    scheme: str, size: dict[str, int], session_of: SessionOf, row: Certificate
) -> None:
    page = session_of(Role.ADMINISTRATOR, color_scheme=scheme, viewport=size).new_page()
    addresses = {
        "list": "/certificates/?tag=edge",
        "deleted": "/certificates/?show=deleted",
        "calendar": "/certificates/calendar/",
        "detail": row.get_absolute_url(),
        "predecessor": f"{row.get_absolute_url()}replaces/",
        "export": f"{row.get_absolute_url()}export/",
    }
    for name, address in addresses.items():
        page.goto(address)
        if _PICTURES:
            picture = Path(_PICTURES) / f"{name}-{scheme}-{size['width']}.png"
            page.screenshot(path=picture, full_page=True)
        assert violations(page) == [], name
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], name


def test_a_key_is_exported_and_opens(
    session_of: SessionOf, row: Certificate, tmp_path: Path
) -> None:
    page = session_of(Role.ADMINISTRATOR).new_page()
    page.goto(row.get_absolute_url())
    page.get_by_role("link", name="Export the key").click()
    page.get_by_label("What is the key needed for?").fill("Moves to the load balancer")
    page.get_by_label("Password for the file").fill(FILE_PASSWORD)
    page.get_by_label("The same again").fill(FILE_PASSWORD)
    page.get_by_label("Your own password").fill(PASSWORD)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export the key").click()
    kept = tmp_path / "kept.p12"
    download.value.save_as(kept)
    assert load_pkcs12(kept.read_bytes(), FILE_PASSWORD.encode()).key is not None
    page.goto(row.get_absolute_url())
    expect(page.get_by_text("exported the private key of certificate")).to_be_visible()


def test_tags_are_added_followed_and_taken_away(session_of: SessionOf, row: Certificate) -> None:
    page = session_of(Role.OPERATOR).new_page()
    page.goto(row.get_absolute_url())
    page.get_by_label("Add a tag").fill("Berlin")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("link", name="berlin").click()
    expect(page.locator(".row-link")).to_have_count(1)
    page.goto(row.get_absolute_url())
    page.get_by_role("button", name="Take the tag berlin away").click()
    expect(page.get_by_role("link", name="berlin")).to_have_count(0)
