"""Public keys that stand in an upload by themselves, or in a request: to be judged, not stored."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from mailadmin.pki.csr import CSR_LABELS

PUBLIC_KEY_LABELS = frozenset({"PUBLIC KEY", "RSA PUBLIC KEY"})
LOOSE_KEY_LABELS = PUBLIC_KEY_LABELS | CSR_LABELS


def find_loose_key(label: str, content: bytes) -> bytes | None:
    """Return the key of such a block as SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), if readable."""
    try:
        key = (
            load_der_public_key(content)
            if label in PUBLIC_KEY_LABELS
            else x509.load_der_x509_csr(content).public_key()
        )
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception:  # parsers raise many types for hostile input, and all mean the same
        return None


def read_loose_keys(keys: Iterable[bytes]) -> list[PublicKeyTypes]:
    """Read what :func:`find_loose_key` wrote."""
    return [load_der_public_key(key) for key in keys]
