"""The Listeners page in a real browser: in place with htmx, and without JavaScript."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from mailadmin.accounts.roles import Role
from mailadmin.audit.models import AuditEvent
from mailadmin.servers.models import MailServer
from tests.browser.accessibility import violations
from tests.browser.conftest import SessionOf
from tests.server_factories import make_binding, make_certificate, make_server

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/listeners/"
IDN = "mail.xn--bcher-kva.example"
PENDING = "Submission with TLS (465) will be opened."


@pytest.fixture
def server(transactional_db: None) -> MailServer:
    server = make_server()
    make_binding(server, IDN, make_certificate(IDN))
    return server


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """Return what the browser's console complains of: htmx and the content policy speak there."""
    found: list[str] = []
    page.on("console", lambda told: found.append(told.text) if told.type == "error" else None)
    return found


def test_the_switch_turns_the_row_blue_and_undo_turns_it_back(
    server: MailServer, page: Page, complaints: list[str]
) -> None:
    page.goto(LIST)
    switch = page.get_by_role("switch", name="Submission with TLS (465) wanted open")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.focus()
    page.keyboard.press("Enter")
    row = page.locator("#listener-submissions.is-pending")
    expect(row).to_contain_text(PENDING)
    expect(switch).to_be_focused()
    expect(switch).to_have_attribute("aria-checked", "true")
    expect(page.locator("#pending")).to_contain_text("2 pending changes")
    # What another row was warned of is gone with it.
    expect(page.locator("#listener-submission")).not_to_contain_text("Neither 465 nor 587")
    expect(page.locator("#said")).to_contain_text(PENDING)
    row.get_by_role("button", name="Undo").click()
    expect(page.locator("#listener-submissions")).to_have_class("is-off")
    expect(page.locator("#pending")).to_contain_text("1 pending change")
    assert complaints == []
    verbs = AuditEvent.objects.values_list("verb", flat=True)
    assert list(verbs) == ["change.undone", "listener.enabled"]


def test_editing_in_place_keeps_what_is_typed_while_another_row_changes(
    server: MailServer, page: Page, complaints: list[str]
) -> None:
    page.goto(LIST)
    page.locator("#edit-link-pop3").click()
    form = page.locator("#edit-pop3")
    expect(form.get_by_label("Address")).to_be_focused()
    form.get_by_label("Port").fill("995")
    page.locator("#switch-sieve").click()
    expect(page.locator("#listener-sieve.is-pending")).to_be_visible()
    expect(form.get_by_label("Port")).to_have_value("995")
    form.get_by_role("button", name="Save").click()
    row = page.locator("#listener-pop3.is-pending")
    expect(row).to_contain_text("POP3 will move from *:110 to *:995.")
    expect(page.locator("#edit-link-pop3")).to_be_focused()
    expect(page.locator("#listener-pop3s")).to_contain_text("would both listen on *:995")
    assert page.locator("tr[id^=listener-]").count() == 8
    assert complaints == []


def test_a_field_error_stays_in_the_row_and_cancel_closes_it(
    server: MailServer, page: Page, complaints: list[str]
) -> None:
    page.goto(LIST)
    page.locator("#edit-link-imap").click()
    form = page.locator("#edit-imap")
    form.get_by_label("Address").fill("mail.example.org")
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text("is not an IP address")
    assert violations(page) == []
    form.get_by_role("link", name="Cancel").click()
    expect(page.locator("#listener-imap")).to_be_visible()
    expect(form).to_have_count(0)
    assert complaints == []


def test_a_host_name_is_added_and_removed_in_place(
    server: MailServer, page: Page, complaints: list[str]
) -> None:
    page.goto(LIST)
    page.get_by_role("textbox", name="Host name").fill("imap.bücher.example")
    page.locator("#name-form").get_by_label("Certificate").select_option(index=1)
    page.get_by_role("button", name="Add").click()
    names = page.locator("#name-rows tbody tr")
    expect(names).to_have_count(2)
    expect(names.first).to_contain_text("imap.bücher.example (imap.xn--bcher-kva.example)")
    expect(page.get_by_role("textbox", name="Host name")).to_have_value("")
    names.first.get_by_role("button", name="Remove").click()
    expect(names).to_have_count(1)
    assert page.locator("tr[id^=listener-]").count() == 8
    assert complaints == []


def test_everything_works_without_javascript(server: MailServer, session_of: SessionOf) -> None:
    page = session_of(Role.OPERATOR, java_script_enabled=False).new_page()
    page.goto(LIST)
    page.locator("#switch-submissions").click()
    expect(page.locator("#listener-submissions.is-pending")).to_contain_text(PENDING)
    page.locator("#listener-submissions").get_by_role("button", name="Undo").click()
    expect(page.locator("#listener-submissions.is-off")).to_be_visible()
    page.locator("#edit-link-imap").click()
    page.get_by_label("Port").fill("1143")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#listener-imap")).to_contain_text("*:1143")
    page.get_by_role("textbox", name="Host name").fill("imap.example.org")
    page.locator("#name-form").get_by_label("Certificate").select_option(index=1)
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#name-rows")).to_contain_text("imap.example.org")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_no_page_has_an_accessibility_problem_or_is_wider_than_the_screen(
    server: MailServer, session_of: SessionOf, scheme: str, width: int
) -> None:
    server.listeners.filter(service="pop3").update(port=995)
    server.listeners.filter(service="imap").update(tls_mode="none")
    page = session_of(
        Role.OPERATOR, color_scheme=scheme, viewport={"width": width, "height": 900}
    ).new_page()
    certificate = make_certificate("mail.example.org", "imap.example.org")
    for address in (
        LIST,
        "/listeners/submission/edit/",
        "/listeners/server/",
        f"/listeners/assign/?certificate={certificate.pk}",
    ):
        page.goto(address)
        assert violations(page) == [], address
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
