"""Speak to a mail server as mail programs do."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
import socket
import ssl
import time
from email.message import EmailMessage
from pathlib import Path

from mailadmin.sandbox import Sandbox

_TIMEOUT = 60.0  # seconds for one answer, on a busy machine
_DELIVERY_LIMIT = 60.0  # seconds until a message has to be in the mailbox


def trust(certificate: Path) -> ssl.SSLContext:
    """Return a client context which trusts this one certificate."""
    return ssl.create_default_context(cafile=str(certificate))


def _context(sandbox: Sandbox, trusted: Path | None) -> ssl.SSLContext:
    """Return a context that trusts ``trusted``, or what the sandbox was born with."""
    context = trust(trusted or sandbox.certificate)
    context.check_hostname = False
    return context


def compose_message(sender: str, recipient: str, subject: str) -> EmailMessage:
    """Return a small message."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, recipient, subject
    message.set_content("Hello.")
    return message


def deliver_on_port_25(sandbox: Sandbox, recipient: str, subject: str) -> None:
    """Hand over one message as another mail server would."""
    settings = sandbox.settings
    with smtplib.SMTP(settings.address, settings.ports["smtp"], timeout=_TIMEOUT) as client:
        client.send_message(compose_message("sender@example.org", recipient, subject))


def submit(
    sandbox: Sandbox, subject: str, *, service: str = "submission", trusted: Path | None = None
) -> None:
    """Send one message to the mailbox by submission with login; TLS is verified."""
    settings = sandbox.settings
    with connect_submission(sandbox, service, trusted) as client:
        client.login(settings.mailbox, settings.mailbox_password)
        client.send_message(compose_message(settings.mailbox, settings.mailbox, subject))


def connect_submission(sandbox: Sandbox, service: str, trusted: Path | None = None) -> smtplib.SMTP:
    """Return an SMTP client inside TLS: at once on submissions, by STARTTLS on submission."""
    settings = sandbox.settings
    context = _context(sandbox, trusted)
    port = settings.ports[service]
    if service == "submissions":
        return smtplib.SMTP_SSL(settings.address, port, timeout=_TIMEOUT, context=context)
    client = smtplib.SMTP(settings.address, port, timeout=_TIMEOUT)
    client.starttls(context=context)
    return client


def connect_imap(
    sandbox: Sandbox, *, service: str = "imaps", trusted: Path | None = None
) -> imaplib.IMAP4:
    """Return an IMAP client that is logged in, over TLS or by STARTTLS."""
    settings = sandbox.settings
    context = _context(sandbox, trusted)
    port = settings.ports[service]
    client: imaplib.IMAP4
    if service == "imaps":
        client = imaplib.IMAP4_SSL(settings.address, port, ssl_context=context, timeout=_TIMEOUT)
    else:
        client = imaplib.IMAP4(settings.address, port, timeout=_TIMEOUT)
        client.starttls(ssl_context=context)
    client.login(settings.mailbox, settings.mailbox_password)
    return client


def list_subjects_by_imap(
    sandbox: Sandbox, *, service: str = "imaps", trusted: Path | None = None
) -> list[str]:
    """Return the subjects of all messages in the inbox."""
    client = connect_imap(sandbox, service=service, trusted=trusted)
    try:
        client.select("INBOX", readonly=True)
        _, found = client.search(None, "ALL")
        numbers = found[0].split()
        subjects = []
        for number in numbers:
            _, parts = client.fetch(number.decode(), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            header = parts[0][1].decode() if isinstance(parts[0], tuple) else ""
            subjects.append(header.partition(":")[2].strip())
        return subjects
    finally:
        client.logout()


def list_subjects_by_pop3s(sandbox: Sandbox, trusted: Path | None = None) -> list[str]:
    """Return the subjects of all messages, read over POP3 with TLS."""
    settings = sandbox.settings
    context = _context(sandbox, trusted)
    client = poplib.POP3_SSL(
        settings.address, settings.ports["pop3s"], context=context, timeout=_TIMEOUT
    )
    try:
        client.user(settings.mailbox)
        client.pass_(settings.mailbox_password)
        subjects = []
        for number in range(1, client.stat()[0] + 1):
            lines = [line.decode() for line in client.top(number, 0)[1]]
            subjects += [line[9:] for line in lines if line.startswith("Subject: ")]
        return subjects
    finally:
        client.quit()


def wait_for_subject(
    sandbox: Sandbox, subject: str, *, service: str = "imaps", trusted: Path | None = None
) -> None:
    """Wait until a message is in the inbox; fail when it does not come."""
    deadline = time.monotonic() + _DELIVERY_LIMIT
    subjects: list[str] = []
    while time.monotonic() < deadline:
        subjects = list_subjects_by_imap(sandbox, service=service, trusted=trusted)
        if subject in subjects:
            return
        time.sleep(0.05)
    raise AssertionError(f"{subject!r} did not arrive; the inbox holds {subjects}")


def is_open(address: str, port: int) -> bool:
    """Say whether a connection is accepted."""
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def read_served_certificate(address: str, port: int) -> bytes:
    """Return the certificate (DER) presented to a client which connects inside TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((address, port), timeout=_TIMEOUT) as raw,
        context.wrap_socket(raw) as tls,
    ):
        served = tls.getpeercert(binary_form=True)
    assert served is not None
    return served
