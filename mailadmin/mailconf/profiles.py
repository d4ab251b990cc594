"""TLS profiles as data: which versions and cipher suites a server offers.

Names, suites and groups follow Mozilla's server-side guideline 6.0 (2026-04-06). ``kept`` is what
the host's own files say: nothing is written of versions and suites, nor anything else that the host
has already as it is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class TlsProfile:
    """What TLS a server speaks.

    ``ciphers`` are OpenSSL names for TLS 1.2, empty for none; ``excluded`` leaves exactly those
    of Postfix's own list (``smtpd_tls_exclude_ciphers``: unlike ``tls_medium_cipherlist`` it does
    not touch what Postfix speaks as a client). ``minimum_version`` is empty for the host's own.
    """

    name: str
    minimum_version: str
    ciphers: tuple[str, ...]
    excluded: tuple[str, ...]


KEPT = "kept"

_AEAD_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
# Key exchange without forward secrecy or by DHE (RFC 10015), and the MACs of CBC suites.
_NOT_AEAD = (
    "aNULL", "kRSA", "kDHE", "kPSK", "kRSAPSK", "kDHEPSK", "kECDHEPSK", "kSRP",
    "SHA1", "SHA256", "SHA384", "ARIA", "AESCCM",
)  # fmt: skip

PROFILES: MappingProxyType[str, TlsProfile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            TlsProfile("intermediate", "TLSv1.2", _AEAD_CIPHERS, _NOT_AEAD),
            TlsProfile("modern", "TLSv1.3", (), _NOT_AEAD),
            TlsProfile(KEPT, "", (), ()),
        )
    }
)
