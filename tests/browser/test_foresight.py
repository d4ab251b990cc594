"""Who would notice appears on the open page once the logs are read, with the list behind it."""

from __future__ import annotations

import pytest
from django.db import transaction
from playwright.sync_api import Page, expect

from mailadmin.deployments.models import Foresight
from tests.browser.accessibility import violations
from tests.deployment_factories import make_foresight, make_plan, make_usage
from tests.server_factories import make_server

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_answer_appears_and_the_list_unfolds(page: Page) -> None:
    server = make_server()
    server.listeners.filter(service="pop3").update(is_enabled=False)
    make_plan(server)
    waiting = make_foresight(server, status="running", lines=1_000_000, source="mail.log.1")
    page.goto("/deployments/review/")
    section = page.locator("#foresight")
    expect(section).to_contain_text("1000000 lines read, now in mail.log.1")
    with transaction.atomic():
        answer = make_foresight(server, make_usage()).outlook
        Foresight.objects.exclude(pk=waiting.pk).delete()
        Foresight.objects.update(status=Foresight.Status.READY, outlook=answer)
    expect(section).to_contain_text("2 people still read mail on port 110")
    people = section.locator("#people-1")
    expect(people).to_be_hidden()
    section.get_by_text("Who", exact=True).click()
    expect(people).to_contain_text("anna@example.org")
    expect(section.get_by_role("button", name="Copy the list")).to_be_visible()
    assert violations(page) == []
