"""A notice through a real Postfix into a real mailbox, read by IMAP."""

from __future__ import annotations

import time
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from django.utils import timezone
from pytest_django import Settings

from mailadmin.notifications.models import Delivery
from mailadmin.notifications.runner import deliver, evaluate
from mailadmin.sandbox import Sandbox
from tests.integration.mail_clients import connect_imap
from tests.notification_factories import make_mailbox
from tests.server_factories import make_certificate, make_server

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
_DELIVERY_LIMIT = 60.0  # seconds until a message has to be in the mailbox


@pytest.fixture
def through(sandbox: Sandbox, settings: Settings) -> Sandbox:
    """Return a mail server through which the panel sends."""
    settings.EMAIL_BACKEND = "mailadmin.notifications.runner.mailing.ReplyKeepingBackend"
    settings.EMAIL_HOST = sandbox.settings.address
    settings.EMAIL_PORT = sandbox.settings.ports["smtp"]
    settings.DEFAULT_FROM_EMAIL = f"mailadmin@{sandbox.settings.host_name}"
    settings.PANEL_URL = "https://panel.example.test"
    return sandbox


def test_an_expiring_certificate_reaches_a_mailbox(through: Sandbox) -> None:
    now = timezone.now()
    certificate = make_certificate(
        "mail.bücher.example".encode("idna").decode(),
        not_before=now - timedelta(days=88),
        not_after=now + timedelta(days=2),
    )
    make_server(default_certificate=certificate)
    make_mailbox(address=through.settings.mailbox, minimum_severity="error")
    (pk,) = evaluate(now)
    done = deliver(pk, now)
    assert done is not None
    assert done.status == Delivery.Status.SENT
    assert done.result is not None
    assert done.result["params"]["name"] == through.settings.host_name
    assert "queued as" in done.result["params"]["reply"]
    message = read_message(through, str(done.uuid))
    # The header is folded after its name where the subject is long.
    assert message["Subject"].strip() == "mail.bücher.example: the certificate expires in 2 days"
    assert message["From"] == f"mailadmin@{through.settings.host_name}"
    text = message.get_content()
    assert "From then on mail programs refuse to connect." in text
    assert f"https://panel.example.test/certificates/{certificate.pk}/" in text


def test_the_real_server_refuses_a_stranger_and_that_is_told(through: Sandbox) -> None:
    make_server(
        default_certificate=make_certificate(
            not_before=timezone.now() - timedelta(days=88),
            not_after=timezone.now() + timedelta(days=2),
        )
    )
    make_mailbox(address="nobody@elsewhere.example", minimum_severity="error")
    now = timezone.now()
    (pk,) = evaluate(now)
    done = deliver(pk, now)
    assert done is not None
    assert done.status == Delivery.Status.QUEUED
    assert done.result is not None
    assert done.result["code"] == "mail.refused"
    assert "Relay access denied" in done.result["params"]["reply"]


def read_message(sandbox: Sandbox, identity: str) -> EmailMessage:
    """Return the message with this in its Message-ID, as soon as it is in the mailbox."""
    deadline = time.monotonic() + _DELIVERY_LIMIT
    client = connect_imap(sandbox)
    try:
        while time.monotonic() < deadline:
            client.select("INBOX", readonly=True)
            _, found = client.search(None, "HEADER", "Message-ID", identity)
            for number in found[0].split():
                _, parts = client.fetch(number.decode(), "(BODY.PEEK[])")
                assert isinstance(parts[0], tuple)
                return message_from_bytes(parts[0][1], policy=default)
            time.sleep(0.05)
    finally:
        client.logout()
    raise AssertionError(f"no message {identity} arrived")
