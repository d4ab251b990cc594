"""What real sessions leave in the real logs, as the agent reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailadmin.mailconf.maillog.usage import Usage
from tests.integration import mail_clients, wire
from tests.integration.mail_host import MailHost

pytestmark = pytest.mark.integration


def sessions(found: Usage, user: str) -> dict[tuple[tuple[str, ...], bool], int]:
    """Return how often the user used each service, and whether with TLS."""
    counted: dict[tuple[tuple[str, ...], bool], int] = {}
    for group in found.groups:
        for person in group.shown:
            key = (group.services, group.tls not in {"clear", ""})
            if person.who == user:
                counted[key] = counted.get(key, 0) + person.sessions
    return counted


def test_real_sessions_are_counted_and_those_open_are_seen(host: MailHost) -> None:
    user = host.settings.mailbox
    before = sessions(host.client.usage(30, lambda _: None), user)
    open_ones = [mail_clients.connect_imap(host, service=name) for name in ("imaps", "imap")]
    for service in ("submission", "submissions"):
        mail_clients.submit(host, "counted", service=service)

    def counted() -> dict[tuple[tuple[str, ...], bool], int]:
        now = sessions(host.client.usage(30, lambda _: None), user)
        return {key: number - before.get(key, 0) for key, number in now.items()}

    wanted = {
        (("imap", "imaps"), True): 2,
        (("submission",), True): 1,
        (("submissions",), True): 1,
    }

    def is_counted() -> bool:
        return wanted.items() <= counted().items()

    wire.wait_until(is_counted, 60, "the logs tell of every session")
    found = host.client.usage(30, lambda _: None)
    assert {item.service for item in found.live if item.user == user} >= {"imap", "imaps"}
    assert found.problems == ()
    assert {Path(source).name for source in found.sources} == {"postfix.log", "dovecot.log"}
    for client in open_ones:
        client.logout()
