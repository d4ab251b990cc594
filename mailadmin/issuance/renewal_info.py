"""What an authority wishes about the time of a renewal (ACME Renewal Information, RFC 9773)."""

from __future__ import annotations

import math
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailadmin.issuance.texts import web_address
from mailadmin.pki.facts import CertificateFacts

# RFC 9773, section 4.3.2: sane limits for Retry-After.
_SOONEST = timedelta(minutes=1)
_LATEST = timedelta(days=1)
# The same section: after a long-term error, and where the authority does not say.
_USUAL = timedelta(hours=6)
_INSTANT = timedelta(microseconds=1)


def renewal_id(facts: CertificateFacts) -> str:
    """Return what the authority calls the certificate (RFC 9773, section 4.1).

    Empty if it says nothing of its issuer's key: then nobody can be asked about it.
    """
    serial = int(facts.serial_hex, 16)
    if not facts.authority_key_id or serial < 0:
        return ""
    # As in DER: one more bit than it needs, so that the first is 0.
    octets = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return f"{_base64url(bytes.fromhex(facts.authority_key_id))}.{_base64url(octets)}"


@dataclass(frozen=True, slots=True)
class RenewalWindow:
    """The suggested window (RFC 9773, section 4.2). An address no browser may open is left out."""

    start: datetime
    end: datetime
    explanation_url: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "explanation_url", web_address(self.explanation_url))

    @property
    def is_valid(self) -> bool:
        """Tell whether it ends after it starts; otherwise it is passed over."""
        return self.start < self.end


def pick_moment(window: RenewalWindow, *, draw: float) -> datetime:
    """Return a moment in the window; ``draw`` is uniformly random, 0 <= draw < 1.

    One in the past means: now. Raises ``ValueError`` for an invalid window or draw.
    """
    if not window.is_valid:
        raise ValueError("the window ends before it starts")
    if not 0 <= draw < 1:
        raise ValueError("a draw is from 0 <= d < 1")
    return min(window.start + (window.end - window.start) * draw, window.end - _INSTANT)


def clamp_retry_after(seconds: float | None) -> timedelta:
    """Return how long to wait before asking again: 1 minute to 1 day; 6 hours if it did not say."""
    if seconds is None or math.isnan(seconds):
        return _USUAL
    bounded = min(max(seconds, _SOONEST.total_seconds()), _LATEST.total_seconds())
    return timedelta(seconds=bounded)


def next_look_at(now: datetime, retry_after: float | None) -> datetime:
    """Return when to ask again; ``retry_after`` in seconds, as the authority said."""
    return now + clamp_retry_after(retry_after)


def _base64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
