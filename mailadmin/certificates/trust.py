"""The public authorities that this machine trusts (Debian's package ca-certificates)."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path

from cryptography.utils import CryptographyDeprecationWarning
from django.conf import settings

from mailadmin.pki.certificate import (
    CERTIFICATE_LABELS,
    CertificateFacts,
    CertificateProblem,
    read_certificate,
)
from mailadmin.pki.pem import decode_text, find_blocks
from mailadmin.pki.roots import Roots, Store


def find_trusted_roots() -> Roots:
    """Return the roots of the machine's trust store; none when it has no such store."""
    path: Path = settings.TRUST_STORE_FILE
    try:
        changed_at = path.stat().st_mtime_ns
    except OSError:
        return Roots()
    return _read_roots(path, changed_at)


@lru_cache(maxsize=1)
def _read_roots(path: Path, changed_at: int) -> Roots:  # noqa: ARG001  # part of the cache's key
    with warnings.catch_warnings():
        # Old roots have serial numbers that RFC 5280 forbids; nobody here can change that.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return Roots.gather({Store.SYSTEM: read_certificates(path.read_bytes())})


def read_certificates(pem: bytes) -> list[CertificateFacts]:
    """Return every certificate of a PEM text that can be read, in order."""
    found = []
    for block in find_blocks(decode_text(pem)):
        if block.label in CERTIFICATE_LABELS and block.content:
            try:
                found.append(read_certificate(block.content))
            except CertificateProblem:
                continue
    return found
