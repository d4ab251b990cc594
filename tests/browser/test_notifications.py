"""The page Notifications in a real browser: adding, switching, a test that is followed, axe."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from mailadmin.notifications.models import Delivery, Destination
from mailadmin.notifications.runner import deliver, evaluate
from tests.browser.accessibility import violations
from tests.browser.conftest import SessionOf
from tests.deployment_factories import make_look
from tests.notification_factories import make_mailbox, make_webhook
from tests.server_factories import make_certificate, make_server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def told(db: None) -> None:
    """Leave two notices, a spare certificate, and deliveries that went well and badly."""
    now = timezone.now()
    ends = {"not_before": now - timedelta(days=85), "not_after": now + timedelta(days=5)}
    server = make_server(default_certificate=make_certificate(**ends))
    make_certificate("spare.example.org", **ends)
    make_look(server)
    make_mailbox(title="Admins", address="admins@example.net")
    make_webhook("http://127.0.0.1:9/hooks/abc", title="Chat", is_private_allowed=True)
    make_mailbox(title="Night shift", minimum_severity="error", is_enabled=False)
    for pk in evaluate(now):
        deliver(pk, now)


def test_a_mailbox_is_added_and_a_test_is_followed_to_its_end(page: Page) -> None:
    page.goto("/")
    page.locator("details[data-menu] > summary").click()
    page.get_by_role("link", name="Notifications").click()
    page.get_by_role("link", name="Add a mailbox").first.click()
    page.get_by_label("Name").fill("Admins")
    page.get_by_label("Mail address").fill("admins@example.net")
    page.get_by_label("Only what breaks mail").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Send a test, to see that it arrives.")).to_be_visible()
    page.get_by_role("button", name="Send a test to Admins").click()
    expect(page.get_by_text("A worker takes it within seconds.")).to_be_visible()
    deliver(Delivery.objects.get().pk, timezone.now())
    expect(page.get_by_text("Taken by the mail server")).to_be_visible()
    assert violations(page) == []


@pytest.mark.usefixtures("told")
def test_the_switch_switches(page: Page) -> None:
    page.goto("/notifications/")
    switch = page.get_by_role("switch", name="Admins")
    expect(switch).to_have_attribute("aria-checked", "true")
    switch.click()
    expect(page.get_by_role("switch", name="Admins")).to_have_attribute("aria-checked", "false")
    assert not Destination.objects.get(title="Admins").is_enabled


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 380])
def test_every_page_is_accessible_and_fits(session_of: SessionOf, scheme: str, width: int) -> None:
    size = {"width": width, "height": 900}
    page = session_of("operator", color_scheme=scheme, viewport=size).new_page()
    delivery = Delivery.objects.filter(kind="webhook").latest("pk")
    webhook = Destination.objects.get(kind="webhook")
    for address in (
        "/notifications/",
        "/notifications/past/",
        "/notifications/log/",
        delivery.get_absolute_url(),
        "/notifications/destinations/add/email/",
        f"/notifications/destinations/{webhook.pk}/",
        f"/notifications/destinations/{webhook.pk}/delete/",
    ):
        page.goto(address)
        assert violations(page) == [], address
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, address
