"""Handing over a mail: what each answer of an SMTP server comes to."""

from __future__ import annotations

import email
import socket
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from pytest_django import Settings

from mailadmin.notifications.composing import Message
from mailadmin.notifications.models import Delivery
from mailadmin.notifications.runner.mailing import send_mail
from mailadmin.notifications.runner.results import Result
from tests.notification_factories import run_talker

NOW = datetime(2027, 1, 1, tzinfo=UTC)
MESSAGE = Message("mail.example.org: the certificate expires in 10 days", "Grüße, renew.", "")


class Smtp:
    """An SMTP server that answers each command as told, and keeps the message."""

    def __init__(self, **answers: str) -> None:
        self.answers = {
            "EHLO": "250 mx.example.net", "MAIL": "250 ok", "RCPT": "250 ok",
            "DATA": "354 go on", "END": "250 2.0.0 Ok: queued as 4TXyz", "QUIT": "221 bye",
        } | answers  # fmt: skip
        self.message = b""
        self.commands: list[str] = []

    def __call__(self, connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        self._say(connection, self.answers.get("GREETING", "220 mx.example.net ESMTP"))
        for line in lines:
            self.commands.append(line.decode().strip())
            verb = line.split()[0].decode().upper()
            self._say(connection, self.answers.get(verb, "502 no"))
            if verb == "QUIT":
                return
            if verb == "DATA" and self.answers["DATA"].startswith("354"):
                while (line := lines.readline()) != b".\r\n":
                    self.message += line
                self._say(connection, self.answers["END"])

    def _say(self, connection: socket.socket, words: str) -> None:
        connection.sendall(words.encode() + b"\r\n")


@pytest.fixture
def send(settings: Settings) -> Callable[[Smtp], Result]:
    """Return a function that sends the message to a server."""
    settings.EMAIL_BACKEND = "mailadmin.notifications.runner.mailing.ReplyKeepingBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.DEFAULT_FROM_EMAIL = "mailadmin@panel.example.org"
    settings.EMAIL_TIMEOUT = 60

    def hand_over(server: Smtp) -> Result:
        with run_talker(server) as port:
            settings.EMAIL_PORT = port
            return send_mail(Delivery(), "admin@example.net", MESSAGE)

    return hand_over


def test_the_server_that_took_it_is_told_with_its_queue_id(send: Callable[[Smtp], Result]) -> None:
    server = Smtp()
    result = send(server)
    assert result.code == "mail.accepted"
    assert result.params["name"] == "mx.example.net"
    assert result.params["reply"] == "250 2.0.0 Ok: queued as 4TXyz"
    message = email.message_from_bytes(server.message)
    assert message["Subject"] == MESSAGE.title
    assert message["To"] == "admin@example.net"
    assert message["From"] == "mailadmin@panel.example.org"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@panel.example.org>")
    assert message.get_content_type() == "text/plain"
    text = message.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert "Grüße, renew." in text.decode()


@pytest.mark.parametrize(
    ("answers", "code", "reply"),
    [
        ({"RCPT": "550 5.1.1 no such user"}, "mail.refused", "550 5.1.1 no such user"),
        ({"MAIL": "452 4.3.1 full"}, "mail.refused", "452 4.3.1 full"),
        ({"DATA": "554 5.7.1 spam"}, "mail.refused", "554 5.7.1 spam"),
        ({"END": "451 4.7.1 greylisted"}, "mail.refused", "451 4.7.1 greylisted"),
        ({"GREETING": "554 go away"}, "mail.refused", "554 go away"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(
    send: Callable[[Smtp], Result], answers: dict[str, str], code: str, reply: str
) -> None:
    result = send(Smtp(**answers))
    assert result.code == code
    assert result.params["reply"] == reply


def test_a_refused_login_is_told_without_the_password(
    send: Callable[[Smtp], Result], settings: Settings
) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "panel", "very-secret-9921"
    result = send(Smtp(EHLO="250-mx\r\n250 AUTH PLAIN", AUTH="535 5.7.8 no"))
    assert result.code == "mail.login_refused"
    assert "9921" not in str(result.as_dict())


def test_a_server_that_cannot_encrypt_gets_nothing(
    send: Callable[[Smtp], Result], settings: Settings
) -> None:
    settings.EMAIL_USE_TLS = True
    server = Smtp()
    assert send(server).code == "mail.unreachable"
    assert not server.message


def test_nobody_there(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "mailadmin.notifications.runner.mailing.ReplyKeepingBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    # The port stays ours, so that nobody else can begin to listen there.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = taken.getsockname()[1]
        result = send_mail(Delivery(), "admin@example.net", MESSAGE)
    assert result.code == "mail.unreachable"
    assert "Connection refused" in str(result.params["detail"])
