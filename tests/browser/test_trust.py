"""Completing a chain and trusting an authority in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from playwright.sync_api import Page, expect
from pytest_django import Settings

from mailadmin.accounts.roles import Role
from mailadmin.certificates.models import TrustedAuthority
from tests.browser.accessibility import violations
from tests.browser.conftest import SessionOf
from tests.loopback_web import OfferedFile, offering
from tests.server_factories import make_server
from tests.throwaway_pki import ThrowawayCa

pytestmark = pytest.mark.django_db(transaction=True)
UPLOAD = "/certificates/upload/"
AUTHORITIES = "/certificates/authorities/"


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> ThrowawayCa:
    settings.MASTER_KEY_FILE = tmp_path / "secrets" / "master.key"
    settings.IS_PRIVATE_FETCH_ALLOWED = True
    return ThrowawayCa("Example Office Authority")


@pytest.fixture
def offered(own: ThrowawayCa) -> Iterator[OfferedFile]:
    with offering(own.intermediates[0].certificate.public_bytes(Encoding.DER)) as file:
        yield file


def paste(page: Page, text: bytes) -> None:
    page.goto(UPLOAD)
    page.get_by_label("Or paste here").fill(text.decode())
    page.get_by_role("button", name="Check").click()


def test_a_chain_is_completed_and_its_root_trusted_by_keyboard(
    page: Page, own: ThrowawayCa, offered: OfferedFile
) -> None:
    make_server()
    issued = own.issue(["mail.example.org"], ca_issuers=[offered.address])
    paste(page, issued.cert_pem + issued.key_pem + own.root_pem)
    expect(page.get_by_text(offered.address, exact=True)).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Fetch it from there").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Its signature fits.")).to_be_visible()
    trust = page.get_by_role("button", name="Trust this authority")
    expect(trust).to_be_visible()
    assert violations(page) == []
    trust.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("is trusted from now on.")).to_be_visible()
    expect(page.get_by_text("Root, trusted here as an authority of your own")).to_be_visible()
    assert violations(page) == []
    assert TrustedAuthority.objects.get().title == "Example Office Authority"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_authorities_work_on_a_phone_without_javascript(
    session_of: SessionOf, own: ThrowawayCa, scheme: str
) -> None:
    context = session_of(
        Role.OPERATOR,
        color_scheme=scheme,
        viewport={"width": 380, "height": 800},
        java_script_enabled=False,
    )
    page = context.new_page()
    page.goto(AUTHORITIES)
    page.get_by_role("link", name="Add an authority").click()
    page.get_by_label("Or paste here").fill(own.root_pem.decode())
    page.get_by_label("Note").fill("The office's own, since 2024")
    page.get_by_role("button", name="Trust it").click()
    expect(page.get_by_text("The office's own, since 2024")).to_be_visible()
    scrolls = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(scrolls) == 0
    page.get_by_role("link", name="Remove Example Office Authority").click()
    page.get_by_role("button", name="Stop trusting it").click()
    expect(page.get_by_text("is not trusted any more.")).to_be_visible()
    assert not TrustedAuthority.objects.exists()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_authorities_are_accessible(
    session_of: SessionOf, own: ThrowawayCa, scheme: str
) -> None:
    page = session_of(Role.OPERATOR, color_scheme=scheme).new_page()
    page.goto(AUTHORITIES)
    assert violations(page) == []
    page.get_by_role("link", name="Add an authority").click()
    pasted = page.get_by_label("Or paste here")
    expect(pasted).to_be_visible()
    assert violations(page) == []
    pasted.fill(own.root_pem.decode())
    page.get_by_role("button", name="Trust it").click()
    remove = page.get_by_role("link", name="Remove Example Office Authority")
    expect(remove).to_be_visible()
    assert violations(page) == []
    remove.click()
    expect(page.get_by_role("button", name="Stop trusting it")).to_be_visible()
    assert violations(page) == []
