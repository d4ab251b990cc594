"""The calendar of expiries for other programs (iCalendar, RFC 5545)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from mailadmin.certificates.models import Certificate

_FOLD = 75  # octets of a line, RFC 5545, section 3.1
_ALARMS = ("-P10D", "-P3D")


def write_calendar(
    certificates: Iterable[tuple[Certificate, str, str]], *, title: str, now: datetime
) -> str:
    """Return a calendar with one event per certificate, given with its sentence and address."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//mailadmin//certificates//EN"]
    lines.append(f"X-WR-CALNAME:{_escape(title)}")
    for certificate, sentence, address in certificates:
        lines += _event(certificate, sentence, address, now)
    lines.append("END:VCALENDAR")
    return "".join(f"{part}\r\n" for line in lines for part in _folded(line))


def _event(certificate: Certificate, sentence: str, address: str, now: datetime) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{certificate.fingerprint}@mailadmin"
    yield f"DTSTAMP:{_moment(now)}"
    yield f"DTSTART:{_moment(certificate.not_after)}"
    yield f"SUMMARY:{_escape(sentence)}"
    yield f"DESCRIPTION:{_escape(address)}"
    yield f"URL:{address}"
    for before in _ALARMS:
        yield "BEGIN:VALARM"
        yield "ACTION:DISPLAY"
        yield f"TRIGGER:{before}"
        yield f"DESCRIPTION:{_escape(sentence)}"
        yield "END:VALARM"
    yield "END:VEVENT"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _escape(text: str) -> str:
    """Escape as RFC 5545, section 3.3.11, asks; no name can add a line of its own."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")


def _folded(line: str) -> Iterator[str]:
    """Yield the line in parts of at most 75 octets that never cut a character in two."""
    part = ""
    for letter in line:
        if len((part + letter).encode()) > _FOLD:
            yield part
            part = " "
        part += letter
    yield part
