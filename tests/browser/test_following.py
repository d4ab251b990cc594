"""What moves by itself: rows that open, a look, a plan and a deployment that are followed.

Nobody works behind the panel here: the test writes the rows that a worker would.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import Page, expect

from mailadmin.accounts.roles import Role
from mailadmin.deployments.models import Deployment, DeploymentStep, Plan, ProbeRun
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer
from tests.browser.accessibility import violations
from tests.browser.conftest import SessionOf
from tests.deployment_factories import (
    DIFF,
    make_deployment,
    make_look,
    make_plan,
    make_steps,
    step_evidence,
)
from tests.server_factories import apply_wanted, make_binding, make_certificate, make_server

pytestmark = pytest.mark.django_db(transaction=True)

CLOSED = {"is_open": False, "error": "probe.closed", "error_text": "Connection refused"}
REFUSED = Problem(
    "postfix.check_failed", Severity.ERROR, "", {"words": "postfix: fatal: line 1\nline 2"}
)
LOOKS = (
    {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    {"viewport": {"width": 375, "height": 800}, "color_scheme": "dark"},
)


@pytest.fixture
def server(transactional_db: None) -> MailServer:
    server = make_server()
    make_binding(server, "mail.example.net", make_certificate("mail.example.net"))
    server.listeners.filter(service="pop3").update(tls_mode="none")
    return apply_wanted(server)


def _change(server: MailServer) -> None:
    server.listeners.filter(service="submissions").update(is_enabled=True)
    server.listeners.filter(service="pop3").update(is_enabled=False)


# Rows


def test_a_row_opens_closes_and_stays_open_over_a_look(page: Page, server: MailServer) -> None:
    make_look(server)
    page.goto("/")
    link, detail = page.locator("a[data-opens=served-imaps]"), page.locator("#served-imaps")
    expect(link).to_have_attribute("aria-expanded", "false")
    link.click()
    expect(detail).to_contain_text("220 mail.example.org ESMTP Postfix")
    expect(link).to_have_attribute("aria-expanded", "true")
    assert page.url.endswith("/")

    page.get_by_role("button", name="Check now").click()
    expect(page.locator("#served")).to_contain_text("Looking at 8 ports now")
    # At once: a page that saw no look under way would look again only after half a minute.
    with transaction.atomic():
        ProbeRun.objects.filter(status=ProbeRun.Status.QUEUED).delete()
        make_look(server, changed={"imaps": CLOSED})
    expect(page.locator("#row-imaps")).to_contain_text("closed")
    expect(page.locator("#health")).to_contain_text("1 port is not right")
    expect(page.locator("#drift")).to_contain_text("1 port does not show")
    expect(detail).to_contain_text("Connection refused")

    page.locator("a[data-opens=served-imaps]").click()
    expect(detail).to_be_hidden()


def test_a_row_opens_by_keyboard(page: Page, server: MailServer) -> None:
    make_look(server)
    page.goto("/")
    page.locator("a[data-opens=served-smtp]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#served-smtp")).to_contain_text("Asked for no host name")


# A plan


def test_the_review_appears_when_the_agent_has_answered(page: Page, server: MailServer) -> None:
    _change(server)
    page.goto("/deployments/review/")
    expect(page.locator("#plan-wait")).to_contain_text("The mail server is asked")
    expect(page.get_by_role("button", name="Apply 2 changes")).to_be_disabled()
    Plan.objects.update(
        status=Plan.Status.READY,
        digest="d1" * 32,
        files=[{"name": "main.cf", "lines": DIFF}],
        finished_at=timezone.now(),
    )
    expect(page.locator(".diff")).to_contain_text("+smtpd_tls_security_level = may")
    page.get_by_label("Why").fill("Nobody uses POP3")
    page.get_by_role("button", name="Apply 2 changes").click()
    expect(page.locator("#outcome")).to_have_text("Waiting for a worker to take it.")
    expect(page.locator("#progress")).to_contain_text("“Nobody uses POP3”")


def test_a_diff_is_copied_line_by_line(page: Page, server: MailServer) -> None:
    _change(server)
    make_plan(server, finished_at=timezone.now())
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.clock.install()
    page.goto("/deployments/review/")
    # That it was copied is shown for a moment, which lasts until it was seen.
    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    page.get_by_role("button", name="Copy the diff of main.cf").click()
    expect(page.locator(".btn-copy.is-copied")).to_have_count(1)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.splitlines() == DIFF[2:]


# A deployment


def test_a_deployment_is_followed_to_its_end_and_then_left_alone(
    page: Page, server: MailServer
) -> None:
    _change(server)
    deployment = make_deployment(server, status=Deployment.Status.RUNNING)
    make_steps(deployment, "planned", "swapped")
    page.clock.install()
    page.goto(f"/deployments/{deployment.number}/")
    expect(page.locator("#outcome")).to_have_text("Under way.")
    expect(page.locator("#pending")).to_contain_text("2 pending changes")
    expect(page.locator(".step.is-pending")).to_have_text("Swap the files")

    deployment.steps.update(status=DeploymentStep.Status.DONE, duration_ms=9)
    proved = {"code": "proved", "status": "done", "at": timezone.now(), "duration_ms": 210}
    evidence = step_evidence(deployment, "proved")
    DeploymentStep.objects.create(deployment=deployment, position=2, evidence=evidence, **proved)
    expect(page.locator(".ports-seen")).to_contain_text("TLS_AES_256_GCM_SHA384")

    apply_wanted(server)
    Deployment.objects.update(
        status=Deployment.Status.SUCCEEDED, finished_at=timezone.now(), proof_ms=640
    )
    expect(page.locator("#outcome")).to_have_text("Proven on 5 listeners in 0.6 s.")
    expect(page.locator("#said")).to_have_text("Proven on 5 listeners in 0.6 s.")
    expect(page.locator("#pending")).to_be_empty()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for("01:00")
    assert asked == []


# Everybody can use it


@pytest.mark.parametrize("look", LOOKS, ids=["wide light", "narrow dark"])
def test_axe_finds_nothing_in_any_state(
    session_of: SessionOf, server: MailServer, look: dict[str, object]
) -> None:
    make_look(server)
    make_look(server, changed={"imaps": CLOSED})
    tab = session_of(Role.OPERATOR, reduced_motion="reduce", **look).new_page()
    troubles: dict[str, list[str]] = {}

    def look_at(name: str, address: str) -> None:
        tab.goto(address)
        tab.evaluate(
            "document.querySelectorAll('main details').forEach(box => { box.open = true })"
        )
        for link in tab.locator("a[data-opens=served-imaps]").all():
            link.click()
            expect(tab.locator("#served-imaps .port-seen").first).to_be_visible()
        troubles[name] = violations(tab)
        width = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
        if width > 0:
            troubles[name].append(f"{width} pixels too wide")
        # A page that follows something would notice what is written next, and load itself anew.
        tab.goto("about:blank")

    review = "/deployments/review/"
    make_plan(server, files=[])
    look_at("nothing to apply", review)
    _change(server)
    look_at("overview", "/")
    look_at("port", "/served/imaps/")
    look_at("discard", "/deployments/review/discard/")
    make_plan(server, status=Plan.Status.RUNNING)
    look_at("review, waiting", review)
    make_plan(server, status=Plan.Status.FAILED, error=REFUSED.as_dict())
    look_at("review, no plan", review)
    make_plan(server, problems=[REFUSED])
    look_at("review, error", review)
    make_plan(server, finished_at=timezone.now())
    look_at("review, ready", review)
    good = make_deployment(server)
    make_steps(good, "planned", ("staged", "7"), "swapped", "proved", "watched")
    failed = make_deployment(server, status=Deployment.Status.FAILED, failure=REFUSED)
    make_steps(failed, "planned", ("checked", "postfix"), failed_with=REFUSED)
    look_at("proven", good.get_absolute_url())
    look_at("go back", f"{good.get_absolute_url()}restore/")
    look_at("failed", failed.get_absolute_url())
    running = make_deployment(server, status=Deployment.Status.RUNNING)
    make_steps(running, "planned", "swapped")
    look_at("running", running.get_absolute_url())
    look_at("deployments", "/deployments/")
    look_at("review, under way", review)
    assert {name: found for name, found in troubles.items() if found} == {}
