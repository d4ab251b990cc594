"""One delivery from the claim to its end: retries, two workers, dead workers, real receivers."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta

import pytest
from django.core import mail
from pytest_django import Settings

from mailadmin.certificates.models import Certificate
from mailadmin.notifications import runner, selectors, tasks
from mailadmin.notifications.models import Delivery, Destination, Notice
from mailadmin.notifications.runner import deliver, delivering, evaluate, release_abandoned
from mailadmin.notifications.runner.evaluating import new_delivery
from mailadmin.notifications.runner.results import Result
from mailadmin.servers.models import MailServer
from tests.notification_factories import SECRET, make_mailbox, make_webhook, run_receiver
from tests.unit.notifications.conftest import day

pytestmark = pytest.mark.django_db
NOW = day(81)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Let every attempt fail; returns the list of when they were made."""
    made: list[datetime] = []

    def attempt(_delivery: Delivery, _destination: Destination, now: datetime) -> Result:
        made.append(now)
        return Result("webhook.too_slow", {"seconds": 5})

    monkeypatch.setattr(delivering, "_attempt", attempt)
    return made


def queue_one(destination: Destination) -> Delivery:
    notice = Notice.objects.create(
        code="certificate.ten_days",
        subject="ab" * 32,
        severity="warning",
        params={"label": "mail.example.org", "not_after": day(90).isoformat()},
        opened_at=NOW,
    )
    return new_delivery(destination, NOW, notice=notice)


def test_a_mail_says_what_stands_where_and_what_to_do(
    server: MailServer, settings: Settings
) -> None:
    settings.PANEL_URL = "https://panel.example.org"
    make_mailbox(address="admin@example.net")
    for pk in evaluate(NOW):
        sent = deliver(pk, NOW)
        assert sent is not None
        assert sent.status == Delivery.Status.SENT
    message = mail.outbox[0]
    assert message.to == ["admin@example.net"]
    assert message.subject == "mail.example.org: the certificate expires in 9 days"
    certificate = Certificate.objects.get()
    for part in (
        "at 2027-04-01 00:00:00 UTC",
        "It is in use on mail.example.org: 25, 110, 143, 993, 995.",
        "No newer one with its names is here.",
        "What to do: bring a newer certificate",
        certificate.fingerprint,
        f"https://panel.example.org/certificates/{certificate.pk}/",
        "https://panel.example.org/notifications/",
    ):
        assert part in message.body


def test_a_name_in_a_certificate_cannot_add_a_header(server: MailServer) -> None:
    make_mailbox()
    Certificate.objects.update(
        names=["mail.example.org\r\nBcc: x@evil.example"], issuer_name="R\r\n\r\n11"
    )
    for pk in evaluate(NOW):
        sent = deliver(pk, NOW)
        assert sent is not None
        assert sent.status == Delivery.Status.SENT
    message = mail.outbox[0].message()
    assert message["Bcc"] is None
    assert "\n" not in str(message["Subject"])


def test_a_webhook_fails_twice_and_then_arrives_signed(server: MailServer) -> None:
    with run_receiver(statuses=[503, 500, 200], answer=b"thanks") as receiver:
        make_webhook(receiver.url, is_private_allowed=True)
        pk = evaluate(NOW)[0]
        first = deliver(pk, NOW)
        assert first is not None
        assert (first.status, first.next_attempt_at) == ("queued", NOW + MINUTE)
        assert first.result is not None
        assert first.result["code"] == "webhook.refused"
        assert deliver(pk, NOW + MINUTE / 2) is None
        second = deliver(pk, NOW + MINUTE)
        assert second is not None
        assert second.next_attempt_at == NOW + 11 * MINUTE
        third = deliver(pk, NOW + 11 * MINUTE)
        assert third is not None
        assert (third.status, third.attempts, third.next_attempt_at) == ("sent", 3, None)
    assert len(receiver.received) == 3
    assert all(item.is_signed_with(SECRET) for item in receiver.received)
    assert not receiver.received[0].is_signed_with("another-secret-1234")
    payload = json.loads(receiver.received[2].body)
    assert payload["code"] == "certificate.ten_days"
    assert payload["severity"] == "warning"
    assert payload["certificate"]["fingerprint"] == Certificate.objects.get().fingerprint
    assert payload["id"] == receiver.received[0].headers["X-Mailadmin-Delivery"]
    times = [item.headers["X-Mailadmin-Signature"].split(",")[0] for item in receiver.received]
    assert times == [
        f"t={int((NOW + pause).timestamp())}" for pause in (0 * MINUTE, MINUTE, 11 * MINUTE)
    ]


def test_pauses_grow_and_after_a_day_it_is_given_up(refused: list[datetime]) -> None:
    delivery = queue_one(make_mailbox())
    for minute in range(30 * 60):
        now = NOW + minute * MINUTE
        for pk in selectors.due_deliveries(now):
            deliver(pk, now)
    assert [(at - NOW) / HOUR for at in refused] == pytest.approx(
        [0, 1 / 60, 11 / 60, 71 / 60, 7 + 11 / 60, 13 + 11 / 60, 19 + 11 / 60]
    )
    delivery.refresh_from_db()
    assert delivery.status == Delivery.Status.FAILED
    assert delivery.next_attempt_at is None
    assert delivery.finished_at == refused[-1]


def test_a_test_is_tried_once(refused: list[datetime]) -> None:
    delivery = new_delivery(make_mailbox(), NOW, notice=None)
    done = deliver(delivery.pk, NOW)
    assert done is not None
    assert done.status == Delivery.Status.FAILED


def test_a_message_that_comes_twice_sends_once(server: MailServer) -> None:
    make_mailbox()
    pk = evaluate(NOW)[0]
    assert deliver(pk, NOW) is not None
    assert deliver(pk, NOW) is None
    assert len(mail.outbox) == 1


def test_a_worker_that_comes_while_another_sends_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delivery = queue_one(make_mailbox())
    seen: list[object] = []

    def attempt(*_args: object) -> Result:
        seen.append(deliver(delivery.pk, NOW))
        return Result("mail.accepted")

    monkeypatch.setattr(delivering, "_attempt", attempt)
    deliver(delivery.pk, NOW)
    assert seen == [None]


def test_what_a_dead_worker_had_claimed_is_sent_later(monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = queue_one(make_mailbox())

    def die(*_args: object) -> Result:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(delivering, "_attempt", die)
        with pytest.raises(SystemExit):
            deliver(delivery.pk, NOW)
    assert selectors.due_deliveries(NOW + 5 * MINUTE) == []
    release_abandoned(NOW + 5 * MINUTE)
    assert selectors.due_deliveries(NOW + 5 * MINUTE) == []
    release_abandoned(NOW + 7 * MINUTE)
    assert selectors.due_deliveries(NOW + 7 * MINUTE) == [delivery.pk]
    done = deliver(delivery.pk, NOW + 7 * MINUTE)
    assert done is not None
    assert (done.status, done.attempts) == ("sent", 2)


def test_a_worker_thought_dead_does_not_undo_what_came_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delivery = queue_one(make_mailbox())
    slow: list[bool] = []

    def attempt(*_args: object) -> Result:
        if slow:
            return Result("mail.accepted")
        slow.append(True)
        later = NOW + 7 * MINUTE
        release_abandoned(later)
        deliver(delivery.pk, later)
        return Result("webhook.too_slow", {"seconds": 5})

    monkeypatch.setattr(delivering, "_attempt", attempt)
    deliver(delivery.pk, NOW)
    delivery.refresh_from_db()
    assert delivery.status == Delivery.Status.SENT


def test_a_mistake_of_our_own_loses_nothing(
    server: MailServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    delivery = queue_one(make_mailbox())
    monkeypatch.setattr(delivering, "compose", lambda *_args: 1 / 0)
    with caplog.at_level(logging.ERROR):
        done = deliver(delivery.pk, NOW)
    assert done is not None
    assert done.status == Delivery.Status.QUEUED
    assert done.result == {"code": "delivery.fault", "params": {}}
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("is_deleted", [False, True])
def test_nothing_goes_to_a_destination_that_is_off_or_gone(*, is_deleted: bool) -> None:
    mailbox = make_mailbox()
    delivery = queue_one(mailbox)
    if is_deleted:
        mailbox.delete()
    else:
        Destination.objects.update(is_enabled=False)
    done = deliver(delivery.pk, NOW)
    assert done is not None
    assert done.status == Delivery.Status.CANCELLED
    assert not mail.outbox


def test_a_port_that_is_right_again_is_told_late_all_the_same() -> None:
    """The mail server was down: that is why the mail could not leave."""
    notice = Notice.objects.create(
        code="port.not_as_wanted",
        subject="1/imaps",
        severity="error",
        params={
            "host_name": "mail.example.org",
            "service": "imaps",
            "port": 993,
            "problem": {
                "code": "probe.timeout",
                "severity": "error",
                "subject": "imaps",
                "params": {"address": "*", "port": 993},
            },
        },
        opened_at=NOW,
        closed_at=NOW + HOUR,
    )
    delivery = new_delivery(make_mailbox(), NOW, notice=notice)
    done = deliver(delivery.pk, NOW + HOUR)
    assert done is not None
    assert done.status == Delivery.Status.SENT
    assert "This is over since 2027-03-23 01:00:00 UTC." in mail.outbox[0].body


def test_a_secret_that_the_master_key_does_not_open_is_told() -> None:
    webhook = make_webhook()
    Destination.objects.update(secret_ciphertext=b"\x00" * 40)
    done = deliver(queue_one(webhook).pk, NOW)
    assert done is not None
    assert done.result == {"code": "secret.not_opened", "params": {}}


def test_a_dead_redis_loses_nothing(
    server: MailServer, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: object
) -> None:
    make_mailbox()
    make_mailbox()
    asked: list[int] = []

    def send(_task: object, pk: int) -> bool:
        asked.append(pk)
        return False

    monkeypatch.setattr(tasks, "send", send)
    monkeypatch.setattr(tasks.timezone, "now", lambda: NOW)
    tasks.evaluate_notices()
    waiting = Delivery.objects.filter(status=Delivery.Status.QUEUED)
    assert waiting.count() == 2
    # The first refusal is enough to know.
    assert len(asked) == 1
    sent: list[int] = []
    monkeypatch.setattr(tasks, "send", lambda _task, pk: sent.append(pk) or True)
    tasks.send_due()
    assert sorted(sent) == sorted(waiting.values_list("pk", flat=True))
    for pk in sent:
        tasks.send_delivery(pk)
    assert len(mail.outbox) == 2


def test_a_message_to_a_worker_carries_a_key_and_nothing_else(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_webhook()
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(tasks, "send", lambda *args: calls.append(args) or True)
    tasks.send_all(runner.evaluate(NOW))
    assert calls
    assert all(task is tasks.send_delivery and isinstance(pk, int) for task, pk in calls)
