"""Hands a message to the SMTP server of the settings, and keeps what that server answered."""

from __future__ import annotations

import smtplib
import ssl
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.smtp import EmailBackend

from mailadmin.notifications.composing import Message
from mailadmin.notifications.models import Delivery
from mailadmin.notifications.runner.results import Result, excerpt


class _ReplyKeeping(smtplib.SMTP):
    """Keeps the answer to DATA, which smtplib reads and forgets: it holds the queue id."""

    last_reply = ""

    def data(self, msg: Any) -> tuple[int, bytes]:
        """Send the message and remember the answer."""
        code, words = super().data(msg)
        self.last_reply = excerpt(f"{code} {words.decode('utf-8', 'replace')}")
        return code, words


class _ReplyKeepingTls(_ReplyKeeping, smtplib.SMTP_SSL):
    """The same with TLS from the first byte."""


class ReplyKeepingBackend(EmailBackend):
    """Django's SMTP backend, with a connection that remembers the last answer."""

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        """Return the connection to make."""
        return _ReplyKeepingTls if self.use_ssl else _ReplyKeeping


def send_mail(delivery: Delivery, address: str, message: Message) -> Result:
    """Send one mail; the result says which server took it, or why none did."""
    # Any: what a backend is depends on the settings; the one of the tests has neither host nor port
    connection: Any = get_connection()
    server = f"{getattr(connection, 'host', settings.EMAIL_HOST)}:{settings.EMAIL_PORT}"
    mail = EmailMessage(
        subject=message.title,
        body=message.text + "\n",
        to=[address],
        headers=_headers(delivery),
        connection=connection,
    )
    try:
        return _send(connection, mail, server)
    except smtplib.SMTPResponseException as error:
        reply = _words(error.smtp_code, error.smtp_error)
        is_login = isinstance(error, smtplib.SMTPAuthenticationError)
        return Result(
            "mail.login_refused" if is_login else "mail.refused",
            {"server": server, "reply": reply},
        )
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
        return Result("mail.refused", {"server": server, "reply": _words(code, words)})
    except ssl.SSLError as error:
        return Result("mail.tls_failed", {"server": server, "detail": excerpt(str(error))})
    except (smtplib.SMTPException, OSError) as error:
        return Result("mail.unreachable", {"server": server, "detail": excerpt(str(error))})


def _send(connection: Any, mail: EmailMessage, server: str) -> Result:
    try:
        connection.open()
        connection.send_messages([mail])
        smtp = getattr(connection, "connection", None)
        reply = getattr(smtp, "last_reply", "")
        greeting = (getattr(smtp, "ehlo_resp", None) or b"").split()
        name = greeting[0].decode("ascii", "replace") if greeting else ""
    finally:
        connection.close()
    return Result("mail.accepted", {"server": server, "name": excerpt(name), "reply": reply})


def _headers(delivery: Delivery) -> dict[str, str]:
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip(" >") or "localhost"
    return {
        # The same for each attempt: a mailbox that got it twice can tell.
        "Message-ID": f"<{delivery.uuid}@{domain}>",
        # RFC 3834: nobody's holiday reply answers.
        "Auto-Submitted": "auto-generated",
    }


def _words(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return excerpt(f"{code} {text}")
