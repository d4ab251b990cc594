"""Certificates that no library signs: made field by field, and signed by our own key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from mailadmin.pki.certificate import CertificateFacts, judge_leaf, read_certificate
from mailadmin.pki.problems import Problem
from mailadmin.pki.raw_fields import encode, read_element, split
from tests.throwaway_pki import common_name, draw_key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = draw_key()
SAN = "2.5.29.17"
Extension = tuple[str, bytes, bool]
USE: Extension = ("2.5.29.37", bytes.fromhex("300a06082b06010505070301"), False)  # serverAuth


def san(*names: bytes) -> Extension:
    """Return a SAN of host names, given as the bytes they have there."""
    return SAN, encode(0x30, b"".join(encode(0x82, name) for name in names)), False


def make(
    *extensions: Extension,
    change: Callable[[list[bytes]], Sequence[bytes]] = list,
    subject: str = "mail.example.org",
    issuer: str | None = None,
) -> CertificateFacts:
    """Make a certificate with exactly these extensions, and any change to its fields.

    The fields are version, serial, algorithm, issuer, validity, subject, key, extensions.
    """
    builder = x509.CertificateBuilder(
        common_name(subject if issuer is None else issuer),
        common_name(subject),
        KEY.public_key(),
        7,
        NOW - timedelta(1),
        NOW + timedelta(80),
    )
    for oid, value, is_critical in extensions:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(unknown, is_critical)
    plain = builder.sign(KEY, hashes.SHA256())
    signed, algorithm, _ = split(read_element(plain.public_bytes(Encoding.DER), 0).content)
    fields = change([element.whole for element in split(signed.content)])
    whole = encode(0x30, b"".join(fields))
    assert isinstance(KEY, ec.EllipticCurvePrivateKey)
    signature = KEY.sign(whole, ec.ECDSA(hashes.SHA256()))
    return read_certificate(encode(0x30, whole + algorithm.whole + encode(0x03, b"\0" + signature)))


def replace_field(number: int, content: bytes) -> Callable[[list[bytes]], Sequence[bytes]]:
    """Return a change that puts other bytes in the place of one field."""
    return lambda fields: [*fields[:number], content, *fields[number + 1 :]]


def judge(facts: CertificateFacts, *, is_public: bool = False) -> dict[str, Problem]:
    """Return the problems by code, but for that of being signed by itself."""
    found = judge_leaf(facts, NOW, is_public=is_public)
    return {problem.code: problem for problem in found if problem.code != "certificate.self_signed"}
