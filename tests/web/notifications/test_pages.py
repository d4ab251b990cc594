"""The page Notifications: what stands, who is told, the log; by role; never a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from mailadmin.audit.models import AuditEvent
from mailadmin.audit.sentences import VERBS
from mailadmin.notifications import tasks
from mailadmin.notifications.models import Delivery, Destination, Notice
from mailadmin.notifications.runner import deliver, evaluate
from mailadmin.notifications.sealing import open_secret
from mailadmin.servers.models import MailServer
from tests.deployment_factories import make_look
from tests.notification_factories import SECRET, make_mailbox, make_webhook, run_receiver
from tests.server_factories import make_certificate, make_server

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]
TOKEN = "token-77"
WEBHOOK = f"https://chat.example.net/hooks/{TOKEN}"
PAGES = ("list", "past", "log")
FIELDS = {"title": "Chat", "address": WEBHOOK, "minimum_severity": "warning", "is_enabled": "on"}


@pytest.fixture
def server(db: None) -> MailServer:
    """Return a server whose certificate ends in five days."""
    now = timezone.now()
    ends = {"not_before": now - timedelta(days=85), "not_after": now + timedelta(days=5)}
    server = make_server(default_certificate=make_certificate(**ends))
    make_look(server)
    return server


@pytest.fixture
def operator_page(client_of: ClientOf) -> Client:
    return client_of("operator")


def text_of(response: HttpResponse) -> str:
    return " ".join(response.content.decode().split())


def page(client: Client, name: str, *args: object) -> str:
    response = client.get(reverse(f"notifications:{name}", args=args))
    assert response.status_code == 200
    return text_of(response)


def post(client: Client, name: str, *args: object, **fields: Any) -> HttpResponse:
    address = reverse(f"notifications:{name}", args=args)
    response: HttpResponse = client.post(address, fields, follow=True)
    return response


# What stands


def test_before_anything_the_page_says_what_to_do_first(operator_page: Client) -> None:
    seen = page(operator_page, "list")
    assert "Nobody is told: add a mailbox or a webhook" in seen
    assert "Nothing: no certificate in use needs anybody" in seen


def test_what_stands_is_shown_with_what_to_do_and_counted_on_the_overview(
    server: MailServer, operator_page: Client
) -> None:
    evaluate(timezone.now())
    seen = page(operator_page, "list")
    assert "mail.example.org: the certificate expires in 5 days" in seen
    assert "What to do: bring a newer certificate" in seen
    overview = text_of(operator_page.get("/"))
    assert "1 notice stands." in overview
    assert f'href="{reverse("notifications:list")}"' in overview


def test_what_is_over_has_a_page(server: MailServer, operator_page: Client) -> None:
    assert "Nothing is over yet" in page(operator_page, "past")
    evaluate(timezone.now())
    Notice.objects.update(closed_at=timezone.now())
    assert "notice stands" not in text_of(operator_page.get("/"))
    seen = page(operator_page, "past")
    assert "the certificate expires in 5 days" in seen
    assert "What to do" not in seen


def test_spare_certificates_stand_apart(operator_page: Client) -> None:
    now = timezone.now()
    ends = {"not_before": now - timedelta(days=85), "not_after": now + timedelta(days=5)}
    make_certificate("spare.example.org", **ends)
    evaluate(now)
    seen = page(operator_page, "list")
    assert "Only shown here" in seen
    assert "a certificate nobody uses expires in 5 days" in seen
    assert "notice stands" not in text_of(operator_page.get("/"))


# Who is told


def test_a_mailbox_is_added_changed_switched_and_deleted(operator_page: Client) -> None:
    fields = {"title": "Admins", "address": "admin@example.net", "minimum_severity": "info"}
    seen = text_of(post(operator_page, "add", "email", **fields, is_enabled="on"))
    assert "Send a test, to see that it arrives." in seen
    row = Destination.objects.get()
    post(operator_page, "edit", row.pk, **fields | {"title": "Night shift"}, is_enabled="on")
    post(operator_page, "switch", row.pk, is_enabled="0")
    row.refresh_from_db()
    assert (row.title, row.is_enabled) == ("Night shift", False)
    assert "Delete the destination Night shift?" in page(operator_page, "delete", row.pk)
    post(operator_page, "delete", row.pk)
    assert not Destination.objects.exists()
    verbs = list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True))
    assert verbs == [
        f"destination.{verb}" for verb in ("added", "changed", "switched_off", "deleted")
    ]
    assert set(verbs) <= set(VERBS)
    changed = AuditEvent.objects.get(verb="destination.changed")
    assert (changed.before, changed.after) == ({"title": "Admins"}, {"title": "Night shift"})


def test_saving_without_a_change_leaves_no_event(operator_page: Client) -> None:
    row = make_webhook(WEBHOOK, minimum_severity="warning")

    before = AuditEvent.objects.count()
    post(operator_page, "edit", row.pk, **FIELDS)
    assert AuditEvent.objects.count() == before


def test_neither_the_secret_nor_the_path_of_a_webhook_is_told_anywhere(
    operator_page: Client, client_of: ClientOf
) -> None:
    post(operator_page, "add", "webhook", **FIELDS, secret=SECRET)
    row = Destination.objects.get()
    assert open_secret(row) == SECRET
    post(operator_page, "edit", row.pk, **FIELDS | {"address": f"{WEBHOOK}-new"}, secret="y" * 32)
    assert open_secret(Destination.objects.get()) == "y" * 32
    post(operator_page, "test", row.pk)
    delivery = Delivery.objects.get()
    shown = [page(client_of("viewer"), name) for name in PAGES]
    shown.append(page(client_of("viewer"), "delivery", delivery.pk))
    shown += [str(vars(event)) for event in AuditEvent.objects.all()]
    shown += [str(vars(delivery)), _json_list()]
    for text in shown:
        assert TOKEN not in text
    form = page(operator_page, "edit", row.pk)
    assert TOKEN in form
    for text in (*shown, form):
        assert SECRET not in text
        assert "y" * 32 not in text
    changed = AuditEvent.objects.get(verb="destination.changed")
    assert changed.after == {"is_path_changed": True, "is_secret_replaced": True}


def test_an_empty_secret_keeps_the_one_that_is_there(operator_page: Client) -> None:
    row = make_webhook(WEBHOOK)
    post(operator_page, "edit", row.pk, **FIELDS)
    row.refresh_from_db()
    assert row.minimum_severity == "warning"
    assert open_secret(row) == SECRET


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"secret": ""}, "Enter a secret"),
        ({"secret": "short"}, "at least 16 characters"),
        ({"address": "ftp://chat.example.net/"}, "Only http:// and https://"),
        ({"address": "chat"}, "not an address that can be called"),
        ({"address": "https://me:pw@chat.example.net/"}, "user name and password"),
        ({"address": "http://10.0.0.7/"}, "in a private network"),
        (
            {"address": "http://169.254.169.254/", "is_private_allowed": "on"},
            "nothing is ever sent",
        ),
        ({"title": ""}, "This field is required"),
        ({"minimum_severity": "loud"}, "Select a valid choice"),
    ],
)
def test_bad_input_gets_a_sentence_and_stores_nothing(
    operator_page: Client, fields: dict[str, str], sentence: str
) -> None:
    response = post(operator_page, "add", "webhook", **{**FIELDS, "secret": SECRET, **fields})
    assert sentence in text_of(response)
    assert SECRET not in text_of(response)
    assert not Destination.objects.exists()
    assert not AuditEvent.objects.exists()


def test_a_private_address_is_a_choice(operator_page: Client) -> None:
    fields = FIELDS | {"address": "http://10.0.0.7:8065/hooks/x", "is_private_allowed": "on"}
    post(operator_page, "add", "webhook", **fields, secret=SECRET)
    assert Destination.objects.get().is_private_allowed


def test_the_same_destination_twice_is_refused(operator_page: Client) -> None:
    make_mailbox(address="admin@example.net")
    fields = {"title": "Again", "address": "admin@example.net", "minimum_severity": "info"}
    seen = text_of(post(operator_page, "add", "email", **fields))
    assert "This destination is on the list already." in seen


@pytest.mark.parametrize("address", ["nobody", "a@b@c", "a\r\nBcc: x@example.net", "", "x" * 300])
def test_a_mailbox_needs_a_mail_address(operator_page: Client, address: str) -> None:
    fields = {"title": "Bad", "address": address, "minimum_severity": "info"}
    assert post(operator_page, "add", "email", **fields).status_code == 200
    assert not Destination.objects.exists()


# A warning where one fault silences all


@pytest.mark.parametrize(
    ("host", "address", "is_warned"),
    [
        ("localhost", "admin@example.net", True),
        ("127.0.0.1", "admin@example.net", True),
        ("mail.example.org", "admin@example.net", True),
        ("smtp.example.net", "admin@example.org", True),
        ("smtp.example.net", "admin@mail.example.org", True),
        ("smtp.example.net", "admin@example.net", False),
    ],
)
def test_who_depends_on_the_mail_server_itself_is_warned(
    server: MailServer, operator_page: Client, settings: Settings,
    host: str, address: str, is_warned: bool,
) -> None:  # fmt: skip
    settings.EMAIL_HOST = host
    make_mailbox(address=address)
    said = "Every destination depends on mail.example.org itself"
    assert (said in page(operator_page, "list")) is is_warned
    make_webhook()
    assert said not in page(operator_page, "list")


def test_a_missing_address_of_the_panel_is_told(operator_page: Client, settings: Settings) -> None:
    make_mailbox()
    assert "Set MAILADMIN_URL" in page(operator_page, "list")
    settings.PANEL_URL = "https://panel.example.org"
    assert "Set MAILADMIN_URL" not in page(operator_page, "list")


# Tests and the log


def test_a_test_shows_how_it_went(
    operator_page: Client, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(tasks, "send", lambda _task, pk: sent.append(pk) or True)
    with run_receiver(statuses=[418], answer=b"I am a <teapot>") as receiver:
        row = make_webhook(receiver.url, is_private_allowed=True)
        with django_capture_on_commit_callbacks(execute=True):
            waiting = text_of(post(operator_page, "test", row.pk))
        assert "A worker takes it within seconds." in waiting
        assert 'hx-trigger="every 1s"' in waiting
        # Pressed twice while it waits: one test.
        post(operator_page, "test", row.pk)
        (pk,) = sent
        tasks.send_delivery(pk)
    seen = page(operator_page, "delivery", pk)
    assert re.search(r"Refused with HTTP 418 after \d+ ms. It said: I am a &lt;teapot&gt;", seen)
    assert "hx-trigger" not in seen.split('id="delivery"')[1]
    assert "This is a test, asked for by operator" in seen
    part = operator_page.get(
        reverse("notifications:delivery", args=[pk]), headers={"HX-Request": "true"}
    )
    assert b"<html" not in part.content
    assert AuditEvent.objects.filter(verb="destination.tested").count() == 1


def test_the_log_shows_attempts_results_and_the_next_try(
    server: MailServer, operator_page: Client
) -> None:
    assert "Nothing was sent yet" in page(operator_page, "log")
    make_mailbox()
    with run_receiver(statuses=[503]) as receiver:
        make_webhook(receiver.url, is_private_allowed=True)
        now = timezone.now()
        for pk in evaluate(now):
            deliver(pk, now)
    seen = page(operator_page, "log")
    assert "Refused with HTTP 503" in seen
    assert "Taken by the mail server" in seen
    assert "in 1 min" in seen or "in a moment" in seen


def test_the_log_has_pages_and_costs_the_same(server: MailServer, operator_page: Client) -> None:
    mailbox = make_mailbox()
    evaluate(timezone.now())
    address = reverse("notifications:log")
    operator_page.get(address)
    with CaptureQueriesContext(connection) as few:
        operator_page.get(address)
    for number in range(60):
        Delivery.objects.create(
            destination=mailbox, title=f"Mailbox {number}", kind="email", recipient="a@example.net",
            created_at=timezone.now(), status="sent", attempts=1,
        )  # fmt: skip
    with CaptureQueriesContext(connection) as many:
        seen = page(operator_page, "log")
    assert "Page 1 of 2" in seen
    assert len(many) <= len(few)
    second = text_of(operator_page.get(address, {"page": 2}))
    assert "mail.example.org: the certificate expires" in second
    assert operator_page.get(address, {"page": "x"}).status_code == 200


def test_a_destination_that_is_gone_stays_in_the_log(operator_page: Client) -> None:
    row = make_mailbox(title="Old")
    post(operator_page, "test", row.pk)
    post(operator_page, "delete", row.pk)
    delivery = Delivery.objects.get()
    deliver(delivery.pk, timezone.now())
    assert "Old" in page(operator_page, "log")
    assert "the destination was deleted" in page(operator_page, "delivery", delivery.pk)


# Roles


@pytest.fixture
def rows(db: None) -> tuple[Destination, Delivery]:
    row = make_mailbox()
    delivery = Delivery.objects.create(
        destination=row, title=row.title, kind=row.kind, recipient=row.recipient,
        created_at=timezone.now(),
    )  # fmt: skip
    return row, delivery


def addresses(rows: tuple[Destination, Delivery]) -> dict[str, str]:
    args: dict[str, list[object]] = {
        "list": [], "past": [], "log": [], "delivery": [rows[1].pk], "add": ["email"],
        **{name: [rows[0].pk] for name in ("edit", "switch", "test", "delete")},
    }  # fmt: skip
    return {name: reverse(f"notifications:{name}", args=value) for name, value in args.items()}


def test_nobody_sees_anything_before_logging_in(rows: tuple[Destination, Delivery]) -> None:
    for address in addresses(rows).values():
        for method in ("get", "post"):
            response = getattr(Client(), method)(address)
            assert response.status_code == 302
            assert response["Location"].startswith(reverse("account_login"))


def test_a_viewer_reads_and_changes_nothing(
    rows: tuple[Destination, Delivery], client_of: ClientOf
) -> None:
    viewer = client_of("viewer")
    for name, address in addresses(rows).items():
        is_read = name in {"list", "past", "log", "delivery"}
        assert viewer.get(address).status_code == (200 if is_read else 403), name
        assert viewer.post(address).status_code == (405 if is_read else 403), name
    seen = page(viewer, "list")
    for name in ("add", "edit", "switch", "test"):
        assert addresses(rows)[name] not in seen
    assert Destination.objects.get().is_enabled
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize("role", ["operator", "administrator"])
def test_who_may_change_gets_every_form(
    rows: tuple[Destination, Delivery], client_of: ClientOf, role: str
) -> None:
    client = client_of(role)
    for name in ("list", "past", "log", "delivery", "add", "edit", "delete"):
        assert client.get(addresses(rows)[name]).status_code == 200
    for name in ("switch", "test"):
        assert client.get(addresses(rows)[name]).status_code == 405


def test_what_does_not_exist_is_not_found(operator_page: Client) -> None:
    for name, arg in (("edit", 4711), ("delivery", 4711), ("delete", 4711), ("add", "pigeon")):
        assert operator_page.get(reverse(f"notifications:{name}", args=[arg])).status_code == 404


# Command line


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def _json_list() -> str:
    return run("notifications", "--json")


def test_the_command_sends_what_is_due(server: MailServer) -> None:
    make_mailbox()
    said = run("notify", "--due")
    assert said.count("sent. Taken by the mail server") == 1
    assert len(mail.outbox) == 1
    assert run("notify", "--due") == "Nothing is due.\n"


def test_the_command_sends_a_test_and_fails_with_the_reason() -> None:
    row = make_mailbox()
    assert "sent. Taken by" in run("notify", "--test", str(row.pk))
    with run_receiver(statuses=[500]) as receiver:
        webhook = make_webhook(receiver.url, is_private_allowed=True)
        out = StringIO()
        with pytest.raises(CommandError):
            call_command("notify", "--test", str(webhook.pk), stdout=out)
    assert "given up. Refused with HTTP 500" in out.getvalue()
    with pytest.raises(CommandError, match="no destination with the id 4711"):
        run("notify", "--test", "4711")


def test_the_command_lists_everything_for_scripts(server: MailServer) -> None:
    make_mailbox()
    run("notify", "--due")
    told = json.loads(_json_list())
    assert [item["code"] for item in told["notices"]] == ["certificate.ten_days"]
    assert told["destinations"][0]["last"]["status"] == "sent"
    assert len(told["deliveries"]) == 1
    assert told["weaknesses"][0]["code"] == "destinations.only_own_server"
    listed = run("notifications")
    assert "warning: mail.example.org: the certificate expires in 5 days" in listed
