"""Synthetic mail logs of any length, in the proportions of a real one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

_SUITES = (
    b"TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519",
    b"TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)",
    b"TLSv1 with cipher ECDHE-RSA-AES256-SHA (256/256 bits)",
)


def write_lines(
    count: int, *, users: int = 5_000, until: datetime | None = None, seed: int = 1
) -> Iterator[bytes]:
    """Yield ``count`` lines of the 30 days before ``until``, oldest first, as Debian 12 writes."""
    draw = random.Random(seed)  # noqa: S311 - nothing here is secret
    end = until or datetime(2026, 11, 24, tzinfo=UTC)
    start, written = end - timedelta(days=29), 0
    while written < count:
        at = start + (end - start) * written / count
        stamp = at.strftime("%Y-%m-%dT%H:%M:%S.123456+00:00 mail ").encode()
        for text in _event(draw, users):
            yield stamp + text + b"\n"
            written += 1
            if written == count:
                return


def _event(draw: random.Random, users: int) -> list[bytes]:
    user = b"user%d@example.org" % draw.randrange(users)
    client = b"client%d.example.net[192.0.2.%d]" % (draw.randrange(5000), draw.randrange(256))
    address = client[client.index(b"[") + 1 : -1]
    pid = draw.randrange(100, 200)
    kind = draw.random()
    if kind < 0.45:
        protocol = draw.choice((b"imap", b"imap", b"imap", b"pop3"))
        secured = draw.choice((b", TLS", b", TLS", b", TLS", b""))
        login = (
            b"dovecot: %s-login: Login: user=<%s>, method=PLAIN, rip=%s, lip=192.0.2.1, mpid=%d%s, "
            b"session=<hSaTEgdhNoN/AAAB>" % (protocol, user, address, pid, secured)
        )
        out = b"dovecot: %s(%s)<%d><hSaTEgdhNoN/AAAB>: Logged out in=87 out=2231"
        return [login, out % (protocol, user, pid)]
    tag = b"postfix/smtpd[%d]: " if kind < 0.8 else b"postfix/submission/smtpd[%d]: "
    tag, queue = tag % pid, b"%012X" % draw.getrandbits(44)
    sasl = b"" if kind < 0.8 else b", sasl_method=PLAIN, sasl_username=" + user
    return [
        tag + b"connect from " + client,
        tag + b"Anonymous TLS connection established from " + client + b": " + draw.choice(_SUITES),
        tag + queue + b": client=" + client + sasl,
        b"postfix/cleanup[77]: " + queue + b": message-id=<20261124150739.1@example.net>",
        b"postfix/qmgr[78]: "
        + queue
        + b": from=<x@example.net>, size=4711, nrcpt=1 (queue active)",
        tag + b"disconnect from " + client + b" ehlo=2 starttls=1 mail=1 rcpt=1 quit=1 commands=6",
        b"dovecot: lmtp(79): Connect from local",
        b"dovecot: lmtp("
        + user
        + b")<79><x>: sieve: msgid=<1@example.net>: stored mail into INBOX",
        b"postfix/lmtp[80]: " + queue + b": to=<" + user + b">, relay=mail[private/dovecot-lmtp], "
        b"delay=0.1, dsn=2.0.0, status=sent (250 2.0.0 Saved)",
        b"postfix/qmgr[78]: " + queue + b": removed",
    ]
