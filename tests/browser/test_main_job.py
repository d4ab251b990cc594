"""The main job as an admin does it: from the login to a proven handshake and the audit log.

Every page on the way is looked at by axe-core, wide and narrow, light and dark.
"""

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
from tests.throwaway_pki import Issued, ThrowawayCa

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("stack"),
]

HOST_NAME = "mail.example.test"
_LOOKS = (
    {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    {"viewport": {"width": 375, "height": 800}, "color_scheme": "dark"},
)


@pytest.fixture(scope="module")
def panel() -> Iterator[RunningStack]:
    with run_stack() as running:
        yield running


@pytest.fixture(scope="module")
def authority() -> ThrowawayCa:
    return ThrowawayCa("Browser Root")


@pytest.fixture
def tab(browser: Browser, panel: RunningStack) -> Iterator[Page]:
    context = open_context(browser, panel.url, viewport=_LOOKS[0]["viewport"])
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
    page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
    yield page
    context.close()
    assert troubles == []


def _log_in(page: Page, panel: RunningStack) -> None:
    page.goto("/")
    page.locator("input[name=login]").fill(USERNAME)
    page.locator("input[name=password]").fill(panel.password)
    page.get_by_role("button", name=re.compile("Log in|Sign in", re.IGNORECASE)).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def _served(panel: RunningStack, service: str) -> str:
    settings = panel.sandbox.settings
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((settings.address, settings.ports[service])) as plain,
        context.wrap_socket(plain) as secured,
    ):
        return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()


def _look_well(page: Page) -> None:
    """Fail on what axe-core finds, and on a page that is wider than the screen."""
    for look in _LOOKS:
        page.set_viewport_size(look["viewport"])  # type: ignore[arg-type]
        page.emulate_media(color_scheme=look["color_scheme"])  # type: ignore[arg-type]
        assert violations(page) == [], (page.url, look)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= page.viewport_size["width"], (page.url, width)  # type: ignore[index]
    page.set_viewport_size(_LOOKS[0]["viewport"])  # type: ignore[arg-type]
    page.emulate_media(color_scheme="light")


def _pem(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode()


def _request_certificate(page: Page, authority: ThrowawayCa) -> Issued:
    """Make a CSR in the panel, read it off the page, and have it signed."""
    page.get_by_role("link", name="Certificates").first.click()
    page.get_by_role("link", name="Add a certificate").first.click()
    _look_well(page)
    page.locator("a[href$='/requests/new/']").first.click()
    page.get_by_label("Main host name").fill(HOST_NAME)
    _look_well(page)
    page.get_by_role("button", name=re.compile("Create|Make")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(HOST_NAME)
    _look_well(page)
    csr_pem = page.locator("#csr-text").inner_text()
    assert "BEGIN CERTIFICATE REQUEST" in csr_pem
    return authority.issue([HOST_NAME], csr_pem=csr_pem.encode())


def test_from_the_login_to_the_proven_handshake_and_the_audit_log(
    tab: Page, panel: RunningStack, authority: ThrowawayCa
) -> None:
    _log_in(tab, panel)
    _look_well(tab)
    issued = _request_certificate(tab, authority)
    leaf = ssl.PEM_cert_to_DER_cert(_pem(issued.cert_pem))
    fingerprint = hashlib.sha256(leaf).hexdigest()

    # The authority has answered: paste the chain, the key waits here.
    tab.get_by_label(re.compile("paste", re.IGNORECASE)).fill(_pem(issued.fullchain_pem))
    tab.get_by_role("button", name="Check", exact=True).click()
    expect(tab.locator(".lead-sentence")).to_contain_text("can be saved")
    _look_well(tab)
    tab.get_by_role("button", name="Save").click()

    # Use it as the default, which leads to Review.
    expect(tab.get_by_role("heading", level=1)).to_contain_text("What to use")
    _look_well(tab)
    tab.get_by_label(re.compile("default", re.IGNORECASE)).first.check()
    tab.get_by_role("button", name="Save and review").click()
    expect(tab.get_by_text("will serve").first).to_be_visible()

    # Open submission with TLS.
    tab.get_by_role("link", name="Listeners").first.click()
    _look_well(tab)
    row = tab.locator("tr", has_text="Submission with TLS")
    row.get_by_role("button").or_(row.get_by_role("switch")).first.click()
    expect(tab.get_by_text("2 pending changes").first).to_be_visible()

    # Review: sentences, diff, and what a click will do.
    tab.get_by_role("link", name="Review").first.click()
    apply = tab.get_by_role("button", name=re.compile("^Apply"))
    expect(apply).to_be_enabled()
    expect(tab.get_by_text("Submission with TLS (465) will be opened").first).to_be_visible()
    expect(tab.get_by_text("smtpd_tls_chain_files").first).to_be_attached()
    assert "PRIVATE KEY" not in tab.content()
    _look_well(tab)
    apply.click()

    # The deployment fills live and ends proven.
    expect(tab.get_by_text(re.compile(r"Proven on \d+ ")).first).to_be_visible()
    _look_well(tab)
    assert _served(panel, "submissions") == fingerprint
    assert _served(panel, "imaps") == fingerprint
    expect(tab.get_by_text("530 5.7.0").first).to_be_attached()

    # Overview and certificate say the same; the log says who.
    tab.get_by_role("link", name="Overview").first.click()
    expect(tab.get_by_text("Browser Root").first).to_be_visible()
    _look_well(tab)
    tab.get_by_role("link", name="Audit").first.click()
    for verb in (
        "applied and proved",
        "switched on",
        "assigned certificate",
        "created certificate",
    ):
        line = tab.locator("tbody tr", has_text=verb).first
        expect(line).to_contain_text(USERNAME)
    _look_well(tab)
    tab.locator("tbody tr", has_text="applied and proved").get_by_role("link").first.click()
    expect(tab.get_by_text(fingerprint[:16]).first).to_be_attached()
    assert "PRIVATE KEY" not in tab.content()
    _look_well(tab)


def test_every_page_is_accessible_and_fits_a_phone(tab: Page, panel: RunningStack) -> None:
    _log_in(tab, panel)
    for path in (
        "/", "/listeners/", "/listeners/server/", "/listeners/imaps/edit/", "/certificates/",
        "/certificates/upload/", "/certificates/self-signed/", "/certificates/requests/1/",
        "/certificates/1/", "/certificates/1/delete/", "/deployments/", "/deployments/0/",
        "/deployments/0/restore/", "/deployments/review/", "/served/imaps/", "/audit/",
        "/account/password/", "/account/two-factor/",
    ):  # fmt: skip
        answer = tab.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        _look_well(tab)


def _review_on_trial(page: Page) -> None:
    """Apply what is pending, to be kept only if it is confirmed."""
    page.get_by_role("link", name="Review").first.click()
    apply = page.get_by_role("button", name=re.compile("^Apply"))
    expect(apply).to_be_enabled()
    page.get_by_label("Keep it only if I confirm within").select_option(label="5 minutes")
    apply.click()
    expect(page.locator("#awaiting").get_by_role("timer")).to_be_visible()


def _is_open(panel: RunningStack, service: str) -> bool:
    settings = panel.sandbox.settings
    with socket.socket() as client:
        client.settimeout(10)
        return client.connect_ex((settings.address, settings.ports[service])) == 0


def test_a_trial_counts_down_on_every_page_until_it_is_decided(
    tab: Page, panel: RunningStack
) -> None:
    _log_in(tab, panel)
    tab.get_by_role("link", name="Listeners").first.click()
    tab.locator("form[action$='/pop3/switch/'] button").click()
    expect(tab.locator("#pending")).to_contain_text("1 pending change")
    _review_on_trial(tab)
    _look_well(tab)
    assert not _is_open(panel, "pop3")
    tab.get_by_role("link", name="Overview").first.click()
    strip = tab.locator("#awaiting")
    timer = strip.get_by_role("timer")
    expect(timer).not_to_have_text(timer.inner_text())
    _look_well(tab)

    strip.get_by_role("button", name="Take it back now").click()
    outcome = tab.locator("#outcome")
    expect(outcome).to_contain_text("Taken back: It was taken back on request")
    expect(strip).to_be_empty()
    _look_well(tab)
    assert _is_open(panel, "pop3")
    expect(tab.locator("#pending")).to_contain_text("1 pending change")

    _review_on_trial(tab)
    strip.get_by_role("button", name="Keep it").click()
    expect(outcome).to_have_text(
        re.compile(r"^Proven on \d+ listeners in [\d.]+ s\.$"), timeout=30_000
    )
    assert not _is_open(panel, "pop3")


def test_a_hand_edit_is_noticed_shown_and_put_back(tab: Page, panel: RunningStack) -> None:
    assert panel.manage("listener", "sieve", "--disable").returncode == 0
    assert panel.manage("apply", "--wait").returncode == 0
    main_cf = panel.sandbox.postfix_config_directory / "main.cf"
    applied = main_cf.read_text()
    # By a rename, as editors do: half a file would be read by a daemon that starts meanwhile.
    edited = main_cf.with_name("main.cf.edited")
    edited.write_text(
        applied.replace("\nsmtpd_tls_security_level = may", "\nsmtpd_tls_security_level = none")
    )
    edited.replace(main_cf)
    _log_in(tab, panel)
    tab.get_by_role("button", name="Check now").click()
    tab.get_by_role("link", name="Decide").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Drift")
    expect(tab.get_by_text("smtpd_tls_security_level = none").first).to_be_visible()
    _look_well(tab)

    tab.get_by_label("Why").fill("until Monday")
    tab.get_by_role("button", name="Leave").click()
    expect(tab.get_by_text("decided to leave it")).to_be_visible()
    tab.get_by_role("button", name="Review restoring").click()
    apply = tab.get_by_role("button", name=re.compile("^Apply"))
    expect(apply).to_be_enabled()
    _look_well(tab)
    tab.get_by_label("Overwrite what was changed").check()
    apply.click()
    expect(tab.get_by_text(re.compile(r"Proven on \d+ ")).first).to_be_visible()
    assert main_cf.read_text() == applied
    tab.goto("/deployments/drift/")
    expect(tab.get_by_text("No drift")).to_be_visible()
