"""The overview's table sorts by its headers, also after it was fetched anew."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from mailadmin.listeners.models import Listener
from tests.browser.accessibility import violations
from tests.browser.conftest import SessionOf
from tests.deployment_factories import make_look
from tests.server_factories import make_server

DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 380, "height": 800}, "color_scheme": "dark"}


def ports(tab: Page) -> list[int]:
    return [int(text) for text in tab.locator("#served tbody tr td.port-cell").all_inner_texts()]


@pytest.mark.django_db(transaction=True)
def test_the_rows_sort_and_keep_what_belongs_to_them(session_of: SessionOf) -> None:
    server = make_server()
    make_look(server)
    Listener.objects.filter(service="imap").update(is_enabled=False)
    tab = session_of("operator", **DESK).new_page()
    tab.goto("/")
    port = tab.get_by_role("columnheader", name="Port")
    tab.locator("th button", has_text="Port").click()
    expect(port).to_have_attribute("aria-sort", "ascending")
    assert ports(tab) == sorted(ports(tab))
    assert violations(tab) == []
    tab.locator("th button", has_text="Port").click()
    expect(port).to_have_attribute("aria-sort", "descending")
    descending = sorted(ports(tab), reverse=True)
    assert ports(tab) == descending
    # What is said of a port stands below it.
    below = tab.locator("#row-imap + tr.row-said")
    expect(below).to_contain_text("IMAP (143) will be closed.")

    tab.evaluate(
        "document.getElementById('served').dataset.isOld = '';"
        "htmx.ajax('GET', document.getElementById('served').getAttribute('hx-get').split('?')[0],"
        " {target: '#served', swap: 'outerHTML'})"
    )
    expect(tab.locator("#served:not([data-is-old])")).to_be_visible()
    expect(port).to_have_attribute("aria-sort", "descending")
    assert ports(tab) == descending


@pytest.mark.django_db(transaction=True)
def test_the_phone_shows_cards_as_before(session_of: SessionOf) -> None:
    make_look(make_server())
    tab = session_of("operator", **PHONE).new_page()
    tab.goto("/")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(tab) == []
