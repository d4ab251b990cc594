"""From the lines of a log to uses of the mail server, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any

from mailadmin.mailconf.maillog.access import Access, Naming
from mailadmin.mailconf.maillog.dovecot import read_login
from mailadmin.mailconf.maillog.lines import LineReader
from mailadmin.mailconf.maillog.postfix import SmtpSessions


class LogReader:
    """Reads one log from its oldest line to its newest."""

    def __init__(self, naming: Naming, zone: tzinfo, until: datetime) -> None:
        self._naming = naming
        self._lines = LineReader(zone, until)
        self._sessions = SmtpSessions(naming)

    def read(self, lines: Iterable[bytes]) -> Iterator[Access]:
        """Yield the uses that the lines tell of; most lines of a log tell of none."""
        read_line, read_session = self._lines.read, self._sessions.read
        for line in lines:
            # Looking for bytes costs a tenth of taking the line apart.
            if b"/smtpd[" in line or b'/smtpd"' in line:
                parts = read_line(line)
                found = read_session(parts) if parts and b"/smtpd[" in parts.tag else None
            elif b"-login" in line:
                parts = read_line(line)
                found = read_login(parts, self._naming) if parts else None
            else:
                continue
            if found is not None:
                yield found

    def moment(self, line: bytes) -> int:
        """Return when the line was written, in seconds since 1970; 0 if it does not say."""
        parts = self._lines.read(line)
        return parts.at if parts else 0

    def open_sessions(self) -> list[list[Any]]:
        """Return what is still open here, to go on from at another time."""
        return self._sessions.as_rows()

    def resume(self, rows: Iterable[Sequence[Any]]) -> None:
        """Go on where another reader stopped. Raises ``TypeError`` or ``ValueError``."""
        self._sessions.resume(rows)

    def finish(self) -> list[Access]:
        """Return the sessions that the log left open."""
        return self._sessions.flush()
