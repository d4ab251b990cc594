"""The conveniences of the frame in a real browser: keyboard, theme, menu, copying, filters."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.accessibility import violations
from tests.browser.conftest import SessionOf
from tests.factories import PASSWORD, make_event, make_user

pytestmark = pytest.mark.django_db(transaction=True)
AUDIT = "/audit/"


def test_somebody_logs_in_and_out(session_of: SessionOf, live_server: LiveServer) -> None:
    make_user("operator", "otto")
    page = session_of(None).new_page()
    page.goto(AUDIT)
    page.get_by_label("Username").fill("otto")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{live_server.url}{AUDIT}")
    page.get_by_text("otto", exact=True).first.click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out.")).to_be_visible()


def test_slash_goes_to_the_search_and_g_with_a_letter_to_a_page(page: Page) -> None:
    page.clock.install()
    page.goto("/account/password/")
    # The second key counts for a moment after the first, however long this takes.
    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    page.keyboard.press("g")
    page.keyboard.press("a")
    expect(page).to_have_url(re.compile(r"/audit/$"))
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("g a ?")
    expect(page.get_by_role("searchbox")).to_have_value("g a ?")


def test_a_question_mark_opens_the_help_and_escape_closes_it(page: Page) -> None:
    page.goto(AUDIT)
    page.keyboard.press("?")
    help_dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(help_dialog).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(help_dialog).to_be_hidden()


def test_the_account_menu_closes_on_escape_and_on_a_click_elsewhere(page: Page) -> None:
    page.goto(AUDIT)
    summary = page.locator("details[data-menu] > summary")
    item = page.get_by_role("link", name="Two-factor login")
    for close in (lambda: page.keyboard.press("Escape"), lambda: page.locator("h1").click()):
        summary.click()
        expect(item).to_be_visible()
        close()
        expect(item).to_be_hidden()


def test_the_theme_switches_at_once_and_stays(page: Page) -> None:
    page.goto(AUDIT)
    root = page.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "auto")
    for theme in ("light", "dark"):
        page.locator("[data-theme-switch]").click()
        expect(root).to_have_attribute("data-bs-theme", theme)
    page.reload()
    expect(root).to_have_attribute("data-bs-theme", "dark")


def test_the_automatic_theme_follows_the_system(session_of: SessionOf) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        page = session_of("viewer", color_scheme=scheme).new_page()
        page.goto(AUDIT)
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2


def test_everything_needed_works_without_script(session_of: SessionOf) -> None:
    make_event(object_label="the one")
    make_event(object_label="the other", outcome="failed")
    page = session_of("operator", java_script_enabled=False).new_page()
    page.goto(AUDIT)
    page.locator("[data-theme-switch]").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    page.get_by_label("Outcome").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("details[data-menu] > summary").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    expect(page.get_by_role("button", name="Keyboard shortcuts")).to_be_hidden()


def test_an_exact_value_is_copied(session_of: SessionOf) -> None:
    event = make_event()
    context = session_of("operator")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{AUDIT}{event.pk}/")
    page.get_by_role("button", name="Copy the request id").click()
    expect(page.locator("#announcements")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == event.request_id


def test_filters_apply_themselves_and_can_be_shared(page: Page) -> None:
    make_event(object_label="IMAP one")
    make_event(object_label="POP two", outcome="failed")
    page.goto(AUDIT)
    page.get_by_label("Outcome").select_option("failed")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"outcome=failed"))
    page.get_by_role("searchbox").fill("imap")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    page.get_by_role("link", name="Remove the filter Outcome").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_have_value("imap")


def test_leaving_the_search_box_redraws_nothing(page: Page) -> None:
    """Redrawn between press and release, the link under the mouse would lose the click."""
    make_event(object_label="IMAP one")
    page.goto(AUDIT)
    page.get_by_role("searchbox").fill("nobody")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if AUDIT in request.url else None)
    page.get_by_role("searchbox").blur()
    page.evaluate("new Promise(requestAnimationFrame)")
    assert asked == []
    page.get_by_label("Outcome").select_option("failed")
    expect(page).to_have_url(re.compile(r"outcome=failed"))
    assert len(asked) == 1


def test_the_filtered_log_is_downloaded(page: Page) -> None:
    make_event(object_label="IMAP one")
    page.goto(f"{AUDIT}?text=imap")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename.endswith(".csv")


def test_a_message_can_be_dismissed(page: Page) -> None:
    page.goto("/account/logout/")
    page.get_by_role("button", name="Log out").click()
    note = page.get_by_text("You are logged out.")
    expect(note).to_be_visible()
    page.get_by_role("button", name="Dismiss").click()
    expect(note).to_be_hidden()


def test_a_session_that_ended_leads_to_the_login_and_not_into_the_page(page: Page) -> None:
    page.goto(AUDIT)
    page.context.clear_cookies(name="sessionid")
    page.get_by_label("Outcome").select_option("failed")
    expect(page).to_have_url(re.compile(r"/account/login/"))
    expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_a_panel_that_does_not_answer_is_said(page: Page) -> None:
    page.goto(AUDIT)
    note = page.get_by_text("The panel did not answer.")
    page.route("**/audit/?*", lambda route: route.abort())
    page.get_by_label("Outcome").select_option("failed")
    expect(note).to_be_visible()
    page.unroute("**/audit/?*")
    page.get_by_label("Outcome").select_option("")
    expect(note).to_be_hidden()


def test_a_refusal_is_told_on_the_page(page: Page) -> None:
    page.goto(AUDIT)
    page.route(
        "**/audit/?*",
        lambda route: route.fulfill(
            status=403,
            content_type="text/html",
            body="<main><h1>You may look</h1><p>Your role is viewer.</p></main>",
        ),
    )
    page.get_by_label("Outcome").select_option("failed")
    expect(page.get_by_text("You may look. Your role is viewer.")).to_be_visible()
    expect(page.get_by_text("The panel did not answer.")).to_be_hidden()


def test_a_table_sorts_by_its_headers(page: Page) -> None:
    page.goto(AUDIT)
    page.evaluate(
        """document.getElementById("events").innerHTML = `<table data-sortable>
        <thead><tr><th data-sort="number">Port</th><th data-sort="text">Name</th></tr></thead>
        <tbody><tr><td>993</td><td>b</td></tr><tr><td>25</td><td>c</td></tr>
        <tr><td data-value="110">one hundred</td><td>a</td></tr></tbody></table>`;
        htmx.trigger("#events", "htmx:load", {elt: document.getElementById("events")});"""
    )
    names = page.locator("#events tbody tr td:last-child")
    page.get_by_role("button", name="Port").click()
    assert names.all_inner_texts() == ["c", "a", "b"]
    expect(page.get_by_role("columnheader", name="Port")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.get_by_role("button", name="Port").click()
    assert names.all_inner_texts() == ["b", "a", "c"]
    page.get_by_role("button", name="Name").click()
    assert names.all_inner_texts() == ["a", "b", "c"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_no_page_has_a_violation_or_scrolls_sideways(
    session_of: SessionOf, scheme: str, width: int
) -> None:
    event = make_event(
        before={"port": 1}, after={"port": 2}, outcome="failed", evidence={"x": "y\n" * 3}
    )
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    own = session_of("operator", **options).new_page()
    strangers = session_of(None, **options).new_page()
    for page, address in (
        (own, AUDIT),
        (own, f"{AUDIT}?person=nobody"),
        (own, f"{AUDIT}{event.pk}/"),
        (own, "/account/password/"),
        (own, "/account/two-factor/"),
        (own, "/account/reauthenticate/"),
        (own, "/account/logout/"),
        (own, "/no/such/page/"),
        (strangers, "/account/login/"),
        (strangers, "/no/such/page/"),
    ):
        page.goto(address)
        assert violations(page) == [], address
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
