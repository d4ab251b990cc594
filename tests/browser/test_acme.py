"""From *Add a certificate* to a certificate by ACME that is served, with a real authority."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.accessibility import violations
from tests.browser.conftest import open_context
from tests.stacks import USERNAME, RunningStack, run_stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("acme-stack"),
]

_LOOKS = (
    {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    {"viewport": {"width": 380, "height": 800}, "color_scheme": "dark"},
)


@pytest.fixture(scope="module")
def panel() -> Iterator[RunningStack]:
    with run_stack() as running:
        yield running


@pytest.fixture
def tab(browser: Browser, panel: RunningStack) -> Iterator[Page]:
    context = open_context(browser, panel.url)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
    page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
    page.goto("/")
    page.locator("input[name=login]").fill(USERNAME)
    page.locator("input[name=password]").fill(panel.password)
    page.get_by_role("button", name=re.compile("Log in|Sign in", re.IGNORECASE)).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    yield page
    context.close()
    assert troubles == []


def _is_fit(page: Page) -> None:
    """Look at the page wide and light, narrow and dark: accessible, and not too wide."""
    for look in _LOOKS:
        page.set_viewport_size(look["viewport"])  # type: ignore[arg-type]
        page.emulate_media(color_scheme=look["color_scheme"])  # type: ignore[arg-type]
        assert violations(page) == [], page.url
        width = look["viewport"]["width"]  # type: ignore[index]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url


def _served(panel: RunningStack) -> str:
    settings = panel.sandbox.settings
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((settings.address, settings.ports["imaps"]), 10) as plain,
        context.wrap_socket(plain) as secured,
    ):
        return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()


def _newest(panel: RunningStack) -> str:
    return panel.shell(
        "from mailadmin.acme.models import AcmeCertificate as A; "
        "print(A.objects.get(names=['mail.example.test']).certificate.fingerprint)"
    )


def test_one_click_gets_a_certificate_that_renews_itself(tab: Page, panel: RunningStack) -> None:
    tab.get_by_role("link", name="Certificates").click()
    tab.get_by_role("link", name="Add a certificate").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Add a certificate")
    _is_fit(tab)
    tab.get_by_role("link", name=re.compile("Get one automatically")).click()
    expect(tab.get_by_role("textbox", name="Names")).to_have_value(re.compile("mail.example.test"))
    expect(tab.get_by_text("Who answers on port 80")).to_be_hidden()
    _is_fit(tab)
    # What follows is the one click: names, authority and all the rest have good answers.
    tab.get_by_role("button", name="Check the names and get it").click()
    expect(tab.locator("#order h2").first).to_contain_text(
        "Issued, but not in place yet", timeout=60_000
    )
    _is_fit(tab)
    fingerprint = _newest(panel)
    assert _served(panel) != fingerprint
    tab.get_by_role("button", name="Put it in place").click()
    expect(tab).to_have_url(re.compile("/deployments/review/"))
    apply = tab.get_by_role("button", name=re.compile("^Apply"))
    expect(apply).to_be_visible()
    _is_fit(tab)
    assert _served(panel) != fingerprint
    apply.click()
    expect(tab.locator("h2#outcome")).to_have_text(re.compile("^Proven on"))
    assert _served(panel) == fingerprint
    tab.get_by_role("link", name="Renewals").click()
    expect(tab.get_by_text("Nobody has to do anything")).to_be_visible()
    _is_fit(tab)

    # A renewal needs nobody: ordered, issued, deployed, proven.
    tab.locator("main .row-link").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("mail.example.test")
    _is_fit(tab)
    tab.get_by_role("button", name="Renew now").click()
    expect(tab.locator("#order h2").first).to_have_text(
        "Issued, deployed, and proven by handshake", timeout=60_000
    )
    _is_fit(tab)
    assert _newest(panel) != fingerprint
    assert _served(panel) == _newest(panel)
    tab.get_by_role("link", name="Certificates").click()
    expect(tab.get_by_role("link", name="by ACME", exact=True)).to_be_visible()
    _is_fit(tab)


def test_a_name_that_leads_elsewhere_is_told_and_the_rest_is_ordered(
    tab: Page, panel: RunningStack
) -> None:
    panel.stack.dns.set_addresses("bad.example.test", "127.0.0.99")
    panel.stack.dns.break_name("broken.example.test")
    tab.goto("/renewals/add/")
    names = "good.example.test\nbad.example.test\nbroken.example.test"
    tab.get_by_role("textbox", name="Names").fill(names)
    tab.get_by_role("button", name="Check the names and get it").click()
    expect(tab.locator("#look [role=status]")).to_contain_text("2 names cannot be ordered now")
    expect(tab.get_by_text(re.compile("Nobody listens on port 80 of 127.0.0.99"))).to_be_visible()
    for summary in tab.locator("summary", has_text="What was seen").all():
        summary.click()
    _is_fit(tab)
    tab.get_by_role("button", name="Order the chosen names").click()
    expect(tab.locator("#order h2").first).to_contain_text(
        "Issued, but not in place yet", timeout=60_000
    )


def test_only_what_belongs_to_the_choice_is_asked(tab: Page) -> None:
    tab.goto("/renewals/add/")
    tab.locator("summary", has_text="Wildcards").click()
    web, dns = tab.get_by_text("Who answers on port 80"), tab.get_by_text("Who writes the DNS")
    expect(web).to_be_visible()
    expect(dns).to_be_hidden()
    tab.locator("input[name=challenge][value=dns-01]").check()
    expect(web).to_be_hidden()
    expect(dns).to_be_visible()
    terms = tab.get_by_label("I agree to its terms of service")
    expect(terms).to_be_hidden()
    tab.locator("input[name=account][value=open-letsencrypt]").check()
    expect(terms).to_be_visible()
    _is_fit(tab)


@pytest.mark.parametrize(
    "address",
    [
        "accounts/",
        "accounts/1/",
        "accounts/1/end/",
        "accounts/add/",
        "dns/",
        "dns/add/rfc2136/",
        "dns/add/lexicon/",
        "dns/add/lexicon/?provider=cloudflare",
    ],
)
def test_the_other_pages_are_accessible_and_fit(address: str, tab: Page) -> None:
    tab.goto(f"/renewals/{address}")
    _is_fit(tab)
