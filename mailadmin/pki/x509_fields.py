"""What requests and certificates share: alternative names, subjects, hashes, signatures."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from mailadmin.pki.keys import PrivateKey
from mailadmin.pki.names import NameProblem, normalize_san, parse_address
from mailadmin.pki.problems import Problem
from mailadmin.pki.raw_fields import TAG_DNS_NAME, TAG_IP_ADDRESS, read_san_entries

MAX_NAMES = 100  # what public authorities accept in one certificate
_BIG_CURVE_BITS = 384
ADDRESS_LENGTHS = (4, 16)
# Signatures with RSA that cryptography has no name for.
OLD_ALGORITHMS = {"1.2.840.113549.1.1.2": "md2", "1.2.840.113549.1.1.3": "md4"}


def alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    """Build the SAN extension: A-labels and addresses in the order given, each once.

    Raises ``NameProblem``, also with ``name.none_given`` and ``name.too_many``.
    """
    normalized = tuple(dict.fromkeys(normalize_san(name) for name in names))
    if not normalized:
        raise NameProblem(Problem("name.none_given"))
    if len(normalized) > MAX_NAMES:
        counts = {"count": len(normalized), "limit": MAX_NAMES}
        raise NameProblem(Problem("name.too_many", params=counts))
    return x509.SubjectAlternativeName([_general_name(name) for name in normalized])


def _general_name(name: str) -> x509.GeneralName:
    address = parse_address(name)
    return x509.IPAddress(address) if address else x509.DNSName(name)


def read_san(extensions: x509.Extensions) -> tuple[str, ...]:
    """Return the names of the SAN as :func:`read_raw_san` does."""
    try:
        san = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return read_raw_san([san.public_bytes()])


def read_raw_san(values: Sequence[bytes]) -> tuple[str, ...]:
    """Return host names (lower case) and single IP addresses as text, in order, each once.

    An address that is given as a host name is written ``DNS:192.0.2.1``: clients ignore it there.
    Raises ``ValueError`` for a value that is no SAN.
    """
    texts = []
    for tag, content in (entry for value in values for entry in read_san_entries(value)):
        if tag == TAG_DNS_NAME:
            name = to_printable(decode_name(content))
            texts.append(f"DNS:{name}" if parse_address(name) else name)
        elif tag == TAG_IP_ADDRESS and len(content) in ADDRESS_LENGTHS:
            texts.append(str(ipaddress.ip_address(content)))
    return tuple(dict.fromkeys(texts))


def decode_name(content: bytes) -> str:
    """Return a dNSName in lower case; it should be ASCII (RFC 5280, section 4.2.1.6) but may not.

    What is not UTF-8 either becomes U+FFFD.
    """
    return content.decode("utf-8", "replace").lower()


def read_attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    """Return the first value of an attribute of a distinguished name as text, or ``""``."""
    # Only one attribute may have bytes as its value, and nobody asks for that one.
    texts = [str(attribute.value) for attribute in name.get_attributes_for_oid(oid)]
    return to_printable(texts[0]) if texts else ""


def to_printable(text: str) -> str:
    """Replace what no page, log or database column should hold (NUL, line breaks) by U+FFFD."""
    return text if text.isprintable() else "".join(map(_to_printable_character, text))


def _to_printable_character(character: str) -> str:
    return character if character.isprintable() else "\ufffd"


def choose_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384:
    """Return the hash to sign with: SHA-384 for a key on P-384 or larger, else SHA-256."""
    is_big_curve = isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size >= _BIG_CURVE_BITS
    return hashes.SHA384() if is_big_curve else hashes.SHA256()


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether the issuer's name and key really stand behind a certificate's signature.

    Also for SHA-1 and MD5, which are verified here only to name what carries them as too weak.
    """
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return False
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return _has_old_signature_of(certificate, issuer)
    return True


def _has_old_signature_of(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        key = issuer.public_key()
        old_hash = certificate.signature_hash_algorithm
        signature, signed = certificate.signature, certificate.tbs_certificate_bytes
        if not isinstance(old_hash, hashes.SHA1 | hashes.MD5):
            return False
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), old_hash)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(old_hash))
        else:
            return False
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True
