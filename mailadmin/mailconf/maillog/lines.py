"""Take a line of a mail log apart: when, which program, what it says.

Understood: the syslog formats of RFC 3164 and RFC 3339, Postfix's ``maillog_file``, Dovecot's
``log_path``, and ``journalctl -o short-iso``, ``short-unix`` and ``json``.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun",
         b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1)
}  # fmt: skip
# A clock may be ahead of the one that dated the file; a year has more than one day.
_AHEAD = timedelta(days=1)


class Line(NamedTuple):
    """``at`` in seconds since 1970; ``tag`` is the program with its number: ``smtpd[17]``."""

    at: int
    tag: bytes
    text: bytes


class LineReader:
    """Reads lines of one log. ``until``: no line is younger; it gives dates their year.

    ``zone`` is the one of lines that do not name theirs.
    """

    def __init__(self, zone: tzinfo, until: datetime) -> None:
        self._zone = zone
        self._until = until
        # Lines of a second stand together, and a date is dear to read.
        self._minute = b""
        self._minute_at = 0

    def read(self, line: bytes) -> Line | None:
        """Return the parts of the line, or None for one that is not of a log."""
        try:
            return _read_json(line) if line.startswith(b"{") else self._read_text(line)
        except (ValueError, KeyError, TypeError, OverflowError):
            return None

    def _read_text(self, line: bytes) -> Line | None:
        if line[4:5] == b"-":
            # Dovecot's own file may have a blank between date and time.
            end = line.find(b" ", 11)
            at = self._iso_moment(line[:end].decode("ascii"))
        elif line[:1].isdigit():
            end = line.find(b" ")
            at = int(line[:end].partition(b".")[0])
        else:
            end = 15
            at = self._moment_without_year(line[:12]) + int(line[13:15])
        return _split(at, line[end + 1 :].rstrip(b"\r\n")) if end > 0 else None

    def _iso_moment(self, text: str) -> int:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
        return int(moment.timestamp())

    def _moment_without_year(self, minute: bytes) -> int:
        """Return the start of a minute such as ``Nov  4 15:07``, in the last year it fits in."""
        if minute != self._minute:
            month, day = _MONTHS[minute[:3]], int(minute[4:6])
            hour, minutes = int(minute[7:9]), int(minute[10:12])
            self._minute_at = self._latest(month, day, hour, minutes)
            self._minute = minute
        return self._minute_at

    def _latest(self, month: int, day: int, hour: int, minutes: int) -> int:
        # Eight: a 29th of February may be that long ago, over the turn of a century.
        for year in range(self._until.year + 1, self._until.year - 8, -1):
            try:
                moment = datetime(year, month, day, hour, minutes, tzinfo=self._zone)
            except ValueError:
                continue
            if moment <= self._until + _AHEAD:
                return int(moment.timestamp())
        raise ValueError("no such day")


def _read_json(line: bytes) -> Line | None:
    entry = json.loads(line)
    message = entry["MESSAGE"]
    if message is None:
        # Too large for the journal to print.
        return None
    # Journald writes what is not UTF-8 as a list of numbers.
    text = bytes(message) if isinstance(message, list) else str(message).encode()
    number = entry.get("_PID") or entry.get("SYSLOG_PID") or ""
    tag = f"{entry['SYSLOG_IDENTIFIER']}[{number}]".encode()
    return _inside_dovecot(int(entry["__REALTIME_TIMESTAMP"]) // 1_000_000, tag, text)


def _split(at: int, rest: bytes) -> Line | None:
    first, _, after = rest.partition(b" ")
    if first.endswith(b":"):
        # Dovecot's own file names no host.
        return Line(at, first[:-1], after.removeprefix(b"Info: "))
    tag, colon, text = after.partition(b": ")
    return _inside_dovecot(at, tag, text) if colon and b" " not in tag else None


def _inside_dovecot(at: int, tag: bytes, text: bytes) -> Line:
    """Dovecot logs as one program, whose lines begin with the service."""
    if tag == b"dovecot" or tag.startswith(b"dovecot["):
        tag, _, text = text.partition(b": ")
    return Line(at, tag, text)
