"""Renewing, tracking and waiting, in a real browser: accessible, and without a page too wide."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import expect
from pytest_django import Settings

from mailadmin.certificates.models import Certificate
from mailadmin.certificates.requesting import create_request_with_kept_key, track_request
from mailadmin.certificates.services import register_found_certificate
from mailadmin.pki.csr import CsrSubject, build_csr, read_foreign_csr
from tests.browser.accessibility import violations
from tests.browser.conftest import SessionOf
from tests.factories import make_actor
from tests.throwaway_pki import ThrowawayCa, draw_key
from tests.web.certificates.conftest import store

pytestmark = pytest.mark.django_db(transaction=True)
LONG = f"{'a' * 60}.example.org"


@pytest.fixture(autouse=True)
def _own_master_key(tmp_path: Path, settings: Settings) -> None:
    settings.MASTER_KEY_FILE = tmp_path / "secrets" / "master.key"


@pytest.fixture
def addresses() -> list[str]:
    """Return the pages to look at, each in a state of its own."""
    ca = ThrowawayCa("Test Authority")
    old = store(ca.issue(["mail.example.org", "xn--bcher-kva.example", LONG]))
    found = register_found_certificate(
        actor=make_actor(), leaf_pem=ca.issue(["found.example.org", "localhost"]).cert_pem.decode()
    )
    kept = create_request_with_kept_key(
        actor=make_actor(), subject=CsrSubject(), names=old.names, renews=old
    )
    csr_pem = build_csr(draw_key(), CsrSubject(common_name=LONG[-64:]), [LONG])
    tracked = track_request(actor=make_actor(), facts=read_foreign_csr(csr_pem))
    assert Certificate.objects.count() == 2
    return [
        reverse("certificates:renew", args=[old.pk]),
        reverse("certificates:renew", args=[found.pk]),
        reverse("certificates:request_track"),
        kept.get_absolute_url(),
        tracked.get_absolute_url(),
        reverse("certificates:request_cancel", args=[kept.pk]),
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (380, "dark")])
def test_the_pages_of_requests_are_accessible_and_fit(
    width: int, scheme: str, addresses: list[str], session_of: SessionOf
) -> None:
    context = session_of(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    for address in addresses:
        page.goto(address)
        assert violations(page) == [], address
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address


def test_the_kind_of_key_is_asked_only_for_a_new_one(
    addresses: list[str], session_of: SessionOf
) -> None:
    page = session_of().new_page()
    page.goto(addresses[0])
    kinds = page.locator("input[name=key_kind]").first
    page.get_by_label("Keep the key").check()
    expect(kinds).to_be_hidden()
    page.get_by_label("New key").check()
    expect(kinds).to_be_visible()
