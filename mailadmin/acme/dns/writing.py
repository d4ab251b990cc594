"""What everything that writes TXT records has in common."""

from __future__ import annotations

from typing import Protocol

RECORD_TTL = 60  # seconds: a challenge's record is gone again in minutes
_LONGEST_STRING = 255  # bytes, RFC 1035, section 3.3


class DnsWriter(Protocol):
    """Writes single TXT values. Other values of the same name are never touched.

    Doing either twice does no harm. Both raise ``DnsFailure``.
    """

    def add_txt(self, name: str, value: str) -> None:
        """Write the value beside those that are there."""

    def remove_txt(self, name: str, value: str) -> None:
        """Remove this value alone; one that is not there is removed already."""


def split_text(value: str) -> list[bytes]:
    """Return the value as the strings of a TXT record, none longer than it may be."""
    octets = value.encode()
    pieces = range(0, len(octets), _LONGEST_STRING)
    return [octets[start : start + _LONGEST_STRING] for start in pieces] or [b""]
