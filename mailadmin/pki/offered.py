"""Certificates as authorities offer their own (RFC 5280, section 4.2.2.1): DER, PEM or PKCS#7."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from mailadmin.pki.certificate import (
    CERTIFICATE_LABELS,
    CertificateFacts,
    CertificateProblem,
    read_certificate,
)
from mailadmin.pki.der import is_der
from mailadmin.pki.pem import decode_text, find_blocks

_MOST_CERTIFICATES = 20  # in one file


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


def read_offered(content: bytes) -> list[CertificateFacts]:
    """Return the certificates in a file as authorities offer them; never raises."""
    if not is_der(content):
        found = read_certificates(content)
        return found[:_MOST_CERTIFICATES] or _read_pkcs7(content)
    try:
        return [read_certificate(content)]
    except CertificateProblem:
        return _read_pkcs7(content)


def _read_pkcs7(content: bytes) -> list[CertificateFacts]:
    load = (
        pkcs7.load_der_pkcs7_certificates if is_der(content) else pkcs7.load_pem_pkcs7_certificates
    )
    try:
        found = load(content)[:_MOST_CERTIFICATES]
        return [read_certificate(certificate.public_bytes(Encoding.DER)) for certificate in found]
    except Exception:  # whatever a hostile file makes the reader raise
        return []
