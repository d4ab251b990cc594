"""The page about what was changed outside the panel, and what each of the three choices does."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate
from mailadmin.deployments.drift import Upgrade
from mailadmin.deployments.management.commands import status as status_command
from mailadmin.deployments.models import Deployment, Drift, Plan
from mailadmin.listeners.selectors import desired_state, pending_changes
from mailadmin.notifications.models import Notice
from mailadmin.notifications.runner.evaluating import evaluate
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer
from tests.deployment_factories import make_deployment, make_look, make_plan
from tests.server_factories import apply_wanted, make_binding, make_certificate
from tests.states import Material, make_material
from tests.web.deployments.conftest import Sent

ClientOf = Callable[[str], Client]
PAGE = "/deployments/drift/"
REVIEW = "/deployments/review/"


@pytest.fixture
def page(client_of: ClientOf) -> Client:
    return client_of("operator")


def piece(name: str, material: Material | None = None, **values: Any) -> dict[str, Any]:
    certificate = None
    if material:
        found = material.certificate
        certificate = {
            "fingerprint": found.fingerprint,
            "leaf_pem": found.leaf_pem,
            "chain_pem": found.chain_pem,
        }
    return {
        "name": name,
        "status": "changed",
        "digest": "a" * 64,
        "modified_at": "2026-11-24T04:00:00+00:00",
        "uid": 1001,
        "lines": ["-before", "+smtpd_tls_auth_only = no"],
        "certificate": certificate,
        **values,
    }


def make_drift(server: MailServer, *pieces: dict[str, Any], **values: Any) -> Drift:
    now = timezone.now()
    shown = list(pieces) or [piece("main.cf")]
    return Drift.objects.create(
        server=server, digest="d" * 64, pieces=shown, found_at=now, seen_at=now, **values
    )


def moved(server: MailServer, service: str, **values: Any) -> list[dict[str, Any]]:
    """Return the listeners of the server as found, one of them in another way."""
    return [
        item.as_dict() | (values if item.service == service else {})
        for item in desired_state(server).listeners
    ]


def choose(client: Client, choice: str, **values: Any) -> Any:
    return client.post(f"{PAGE}{choice}/", values, follow=True)


# The page


def test_without_drift_it_says_so_and_before_an_apply_that_nothing_is_known(
    server: MailServer, page: Client
) -> None:
    assert b"Nothing to compare with yet" in page.get(PAGE).content
    MailServer.objects.update(rendered_versions={"postfix": "3.7.11"})
    assert b"No drift" in page.get(PAGE).content


def test_without_a_server_it_says_what_to_do(page: Client) -> None:
    assert page.get(PAGE).status_code == 200


def test_it_shows_what_changed_and_the_three_choices(server: MailServer, page: Client) -> None:
    make_drift(server, piece("main.cf"), piece("99-mailadmin.conf", status="missing", uid=None))
    text = page.get(PAGE).content.decode()
    assert "smtpd_tls_auth_only = no" in text
    assert "owner uid 1001" in text
    assert 'title="2026-11-24 04:00:00 UTC" data-relative' in text
    assert "is gone" in text
    assert "opens or closes no port and names no certificate" in text
    assert all(f"{PAGE}{choice}/" in text for choice in ("restore", "leave"))
    assert f"{PAGE}take-over/" not in text


def test_a_viewer_reads_but_does_not_choose(server: MailServer, client_of: ClientOf) -> None:
    drift = make_drift(server)
    viewer = client_of("viewer")
    text = viewer.get(PAGE).content.decode()
    assert "smtpd_tls_auth_only = no" in text
    assert f"{PAGE}leave/" not in text
    for choice in ("take-over", "restore", "leave"):
        assert viewer.post(f"{PAGE}{choice}/", {"drift": drift.pk}).status_code == 403


def test_the_overview_tells_it_until_somebody_leaves_it(server: MailServer, page: Client) -> None:
    make_look(server)
    make_deployment(server)
    drift = make_drift(server)
    sentence = "main.cf on the mail server is not as it was applied"
    text = page.get("/").content.decode()
    assert sentence in text
    assert "Decide…" in text
    choose(page, "leave", drift=drift.pk, reason="It is mine")
    drift.refresh_from_db()
    assert (drift.is_left, drift.left_reason) == (True, "It is mine")
    assert "It is mine" in page.get(PAGE).content.decode()
    text = page.get("/").content.decode()
    assert "Decide…" not in text
    assert "It was decided to leave it." in text


@pytest.mark.parametrize("value", ["", "x", "0", "99999999999999999999", "4711"])
def test_a_page_that_names_another_drift_decides_nothing(
    server: MailServer, page: Client, value: str
) -> None:
    make_drift(server)
    for choice in ("leave", "take-over"):
        answer = choose(page, choice, drift=value)
        assert b"Nothing was decided" in answer.content
    assert not Drift.objects.get().is_left
    assert pending_changes(server) == ()


# Take over


def test_a_moved_port_becomes_pending_with_one_event(
    server: MailServer, page: Client, sent: Sent
) -> None:
    drift = make_drift(server, piece("master.cf"), listeners=moved(server, "smtp", port=2525))
    assert "2525" in page.get(PAGE).content.decode()
    choose(page, "take-over", drift=drift.pk, reason="moved on purpose")
    assert server.listeners.get(service="smtp").port == 2525
    assert [item.code for item in pending_changes(server)] == ["listener.moved"]
    event = AuditEvent.objects.get(verb="drift.taken_over")
    assert event.reason == "moved on purpose"
    assert event.after["smtp"] == {"port": 2525}


def test_what_else_is_pending_stays_pending(changed: MailServer, page: Client, sent: Sent) -> None:
    found = [
        item if item["service"] != "imap" else item | {"port": 1143}
        for item in changed.applied_state["listeners"]
    ]
    drift = make_drift(changed, piece("99-mailadmin.conf"), listeners=found)
    choose(page, "take-over", drift=drift.pk)
    assert {item.subject for item in pending_changes(changed)} == {"submissions", "pop3", "imap"}


def test_a_port_that_no_listener_can_have_is_refused(
    server: MailServer, page: Client, sent: Sent
) -> None:
    drift = make_drift(
        server, piece("master.cf"), listeners=moved(server, "smtp", address="not an address")
    )
    answer = choose(page, "take-over", drift=drift.pk)
    assert answer.status_code == 200
    assert pending_changes(server) == ()
    assert not AuditEvent.objects.filter(verb="drift.taken_over").exists()


def test_a_swapped_default_certificate_is_wanted_and_its_key_stays_away(
    server: MailServer, page: Client, sent: Sent
) -> None:
    explicit = server.listeners.get(service="imaps")
    explicit.certificate = server.default_certificate
    explicit.save()
    apply_wanted(server)
    new = make_material("new")
    drift = make_drift(server, piece("default.pem", new))
    choose(page, "take-over", drift=drift.pk)
    row = Certificate.objects.get(fingerprint=new.certificate.fingerprint)
    server.refresh_from_db()
    explicit.refresh_from_db()
    assert (row.origin, row.private_key) == (Certificate.Origin.FOUND, None)
    assert server.default_certificate == row
    assert explicit.certificate == row
    assert AuditEvent.objects.filter(verb="certificate.found").count() == 1


def test_each_file_is_taken_over_for_those_served_from_it(
    server: MailServer, page: Client, sent: Sent
) -> None:
    other = make_certificate()
    for service in ("imap", "imaps"):
        server.listeners.filter(service=service).update(certificate=other)
    binding = make_binding(server, "named.example.org", other)
    apply_wanted(server)
    own, named = make_material("own"), make_material("named", ("named.example.org",))
    default = server.default_certificate
    drift = make_drift(server, piece("imap.pem", own), piece("sni-named.example.org.pem", named))
    choose(page, "take-over", drift=drift.pk)
    server.refresh_from_db()
    binding.refresh_from_db()
    wanted = desired_state(server)
    assert server.default_certificate == default
    assert binding.certificate.fingerprint == named.certificate.fingerprint
    by_service = {item.service: item.certificate for item in wanted.listeners}
    assert by_service["imap"] == by_service["imaps"] == own.certificate.fingerprint
    assert by_service["pop3"] == ""


@pytest.mark.parametrize("name", ["default_alt.pem", "main.cf"])
def test_what_is_not_understood_is_not_taken_over(
    server: MailServer, page: Client, sent: Sent, name: str
) -> None:
    found = make_material("new") if name.endswith(".pem") else None
    drift = make_drift(server, piece(name, found), listeners=moved(server, "smtp"))
    answer = choose(page, "take-over", drift=drift.pk)
    assert b"Nothing was taken over" in answer.content
    assert pending_changes(server) == ()


# Restore, and applying over it


def test_restoring_asks_for_a_fresh_plan_and_leads_to_review(
    server: MailServer, page: Client, sent: Sent, django_capture_on_commit_callbacks: Any
) -> None:
    make_drift(server)
    with django_capture_on_commit_callbacks(execute=True):
        answer = page.post(f"{PAGE}restore/")
    assert answer.headers["Location"] == REVIEW
    assert sent == [("make_plan", Plan.objects.get().pk)]


def overwriting(server: MailServer) -> Plan:
    about = {"file": "main.cf"}
    return make_plan(
        server, problems=[Problem("drift.overwritten", Severity.WARNING, "main.cf", about)]
    )


def test_review_warns_of_each_edit_and_apply_needs_the_tick(
    server: MailServer, page: Client, sent: Sent
) -> None:
    plan = overwriting(server)
    text = page.get(REVIEW).content.decode()
    assert "main.cf was changed outside the panel since the last apply" in text
    assert 'name="overwrite"' in text
    values = {"plan": plan.pk, "digest": plan.digest}
    refused = page.post("/deployments/review/apply/", values, follow=True)
    assert b"tick that it may be overwritten" in refused.content
    assert not Deployment.objects.exists()
    page.post("/deployments/review/apply/", values | {"overwrite": "on"})
    assert Deployment.objects.count() == 1


def test_without_edits_there_is_nothing_to_tick(server: MailServer, page: Client) -> None:
    make_plan(server)
    assert 'name="overwrite"' not in page.get(REVIEW).content.decode()


# Upgrades


def test_an_upgrade_is_told_on_overview_drift_and_review(server: MailServer, page: Client) -> None:
    before = {"postfix": "3.7.11", "dovecot": "2.3.19.1"}
    now = before | {"dovecot": "2.4.1"}
    upgrade = Upgrade(before, now, ("99-mailadmin.conf",)).as_dict()
    MailServer.objects.update(upgrade=upgrade)
    make_look(server)
    make_plan(server)
    sentence = (
        "Dovecot was upgraded from 2.3.19.1 to 2.4.1: these files must be rewritten: "
        "99-mailadmin.conf."
    )
    for address in ("/", PAGE, REVIEW):
        assert sentence in page.get(address).content.decode()


# For scripts, and told


def test_status_tells_it(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_look(server)
    monkeypatch.setattr(status_command, "request_probe", lambda **_: run)
    monkeypatch.setattr(status_command, "wait_for_probe", lambda found: found)

    def status(*arguments: str) -> str:
        out = StringIO()
        try:
            call_command("status", *arguments, stdout=out)
        except CommandError as error:
            pytest.fail(str(error))
        return out.getvalue()

    assert json.loads(status("--json"))["drift"] is None
    make_drift(server)
    told = json.loads(status("--json"))["drift"]
    assert (told["is_left"], told["pieces"][0]["name"]) == (False, "main.cf")
    assert "main.cf on the mail server is not as it was applied" in status()


def test_it_is_noticed_once_and_the_notice_closes_when_it_is_left(server: MailServer) -> None:
    now = timezone.now()
    drift = make_drift(server)
    for minutes in (0, 1):
        evaluate(now + timedelta(minutes=minutes))
    notice = Notice.objects.get(code="server.drift")
    assert notice.is_open
    Drift.objects.filter(pk=drift.pk).update(left_at=now)
    evaluate(now + timedelta(minutes=2))
    notice.refresh_from_db()
    assert not notice.is_open
