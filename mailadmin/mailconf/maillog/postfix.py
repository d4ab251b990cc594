"""Sessions of Postfix's smtpd, put together from their log lines.

No line tells everything: the TLS version stands in one, the user in another, and whether STARTTLS
was used in the last. One smtpd serves one connection at a time, so its number ties them together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from mailadmin.mailconf.maillog.access import CLEAR, SOME_TLS, UNTOLD, Access, Naming, Services
from mailadmin.mailconf.maillog.lines import Line

# Of sessions whose end was not seen yet; a host has as many as smtpd processes (default 100).
_MOST_OPEN = 4096
_CLIENT = re.compile(rb"([^ \[\]]+)\[([0-9A-Fa-f:.]+)\]")
# "to NAME" is what the client asked for by SNI, where Postfix has a map of names (3.4 and later).
_TLS = re.compile(
    rb" from [^ \[\]]+\[[0-9A-Fa-f:.]+\](?::\d+)?(?: to ([^ :]+))?: "
    rb"(TLSv1(?:\.[0-3])?|SSLv3) with cipher ([A-Za-z0-9_-]{1,60}) "
)
_USER = re.compile(rb", sasl_username=([^,]+)")
_TRUST = (b"Anonymous TLS", b"Untrusted TLS", b"Trusted TLS", b"Verified TLS")
_SENT = b": client="
_UNKNOWN_HOST = "unknown"


@dataclass(slots=True)
class _Session:
    at: int
    services: Services
    host: str
    address: str
    tls: str = UNTOLD
    cipher: str = ""
    name: str = ""
    user: str = ""
    has_mail: bool = False

    def access(self, counts: bytes | None) -> Access:
        """Return what came of it. ``counts``: what the last line says of each command."""
        if self.user:
            who = self.user
        elif self.services == ("smtp",) and self.has_mail:
            who = self.host if self.host != _UNKNOWN_HOST else self.address
        else:
            who = ""
        return Access(
            self.at, self.services, who, self.address,
            self._how(counts), self.cipher, self.name, bool(who),
        )  # fmt: skip

    def _how(self, counts: bytes | None) -> str:
        if self.tls:
            return self.tls
        if self.services == ("submissions",) or (counts and b" starttls=1" in counts):
            return SOME_TLS
        # Before 3.0 the last line counted nothing; and what may be 465 needs no STARTTLS for TLS.
        is_told = bool(counts) and "submissions" not in self.services
        return CLEAR if is_told else UNTOLD


class SmtpSessions:
    """The sessions that are open at this place of the log, a bounded number of them."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self._open: dict[bytes, _Session] = {}
        self._services: dict[bytes, Services] = {}

    def read(self, line: Line) -> Access | None:
        """Take in a line of smtpd; returns a session that is over."""
        text = line.text
        if text.startswith(b"connect from "):
            over = self._open.pop(line.tag, None)
            self._begin(line)
            return over.access(None) if over else self._make_room()
        if text.startswith(b"disconnect from "):
            session = self._open.pop(line.tag, None)
            return (
                session.access(text[len(b"disconnect") :].partition(b"]")[2]) if session else None
            )
        if _SENT in text:
            self._note_mail(line)
        elif text.startswith(_TRUST):
            self._note_tls(line)
        return self._make_room()

    def flush(self) -> list[Access]:
        """Return the sessions whose end is not in the log."""
        rest = [session.access(None) for session in self._open.values()]
        self._open.clear()
        return rest

    def as_rows(self) -> list[list[Any]]:
        """Return the sessions that are open, as JSON can keep them."""
        return [[tag.decode("latin-1"), *astuple(session)] for tag, session in self._open.items()]

    def resume(self, rows: Iterable[Sequence[Any]]) -> None:
        """Go on with the sessions that were open. Raises ``TypeError`` or ``ValueError``."""
        for tag, at, services, *rest in rows:
            self._open[tag.encode("latin-1")] = _Session(at, tuple(services), *rest)

    def _begin(self, line: Line) -> _Session | None:
        client = _CLIENT.search(line.text)
        if client is None:
            return None
        host, address = client[1].decode(errors="replace"), client[2].decode("ascii")
        session = _Session(line.at, self._services_of(line.tag), host, address)
        self._open[line.tag] = session
        return session

    def _make_room(self) -> Access | None:
        if len(self._open) <= _MOST_OPEN:
            return None
        return self._open.pop(next(iter(self._open))).access(None)

    def _note_mail(self, line: Line) -> None:
        # Its beginning may stand in an older file than the ones that are read.
        session = self._open.get(line.tag) or self._begin(line)
        if session is None:
            return
        session.at, session.has_mail = line.at, True
        user = _USER.search(line.text, line.text.find(_SENT))
        if user:
            session.user = user[1].decode(errors="replace")

    def _note_tls(self, line: Line) -> None:
        session = self._open.get(line.tag) or self._begin(line)
        told = _TLS.search(line.text)
        if session is None or told is None:
            return
        session.tls, session.cipher = told[2].decode(), told[3].decode()
        session.name = (told[1] or b"").decode(errors="replace").lower()

    def _services_of(self, tag: bytes) -> Services:
        name = tag.partition(b"[")[0]
        services = self._services.get(name)
        if services is None:
            services = self._naming.of_smtpd(name.decode(errors="replace"))
            # A log has a handful of such names; one that has more is not Postfix's.
            if len(self._services) < _MOST_OPEN:
                self._services[name] = services
        return services
