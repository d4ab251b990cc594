"""TLS profiles as data: which versions and cipher suites a server offers.

Names, suites and groups follow Mozilla's server-side guideline 6.0 (2026-04-06).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class TlsProfile:
    """What TLS a server speaks. ``ciphers`` are OpenSSL names for TLS 1.2; empty for none."""

    name: str
    minimum_version: str
    ciphers: tuple[str, ...]


_AEAD_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)

PROFILES: MappingProxyType[str, TlsProfile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            TlsProfile("intermediate", "TLSv1.2", _AEAD_CIPHERS),
            TlsProfile("modern", "TLSv1.3", ()),
        )
    }
)
