"""Packs a key with its certificate and chain into a password-protected PKCS#12 file (RFC 7292)."""

from __future__ import annotations

from enum import StrEnum

from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import (
    KeySerializationEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PBES,
    serialize_key_and_certificates,
)
from cryptography.x509 import load_pem_x509_certificates

from mailadmin.pki.keys import load_private_key

# For the key and for the certificates; .NET refuses files with uncommonly many (Microsoft's
# KB5025823), so not more than is usual for a person's password. The MAC has 2048 whatever
# is asked for (cryptography 50), and whoever guesses passwords guesses there: so the strength of
# the password has to carry the file, and the panel asks for a long one.
_ROUNDS = 150_000
_LAST_BMP = 0xFFFF  # the name is a BMPString
_OLD_ROUNDS = 2048  # what old programs expect; more protects little where the cipher is this old


class ContainerKind(StrEnum):
    """How the file is encrypted."""

    MODERN = "modern"
    """AES-256-CBC, PBKDF2 with HMAC-SHA-256: OpenSSL, Windows 10 and Server 2019, Java 8u301.

    Windows Server 2016 and macOS 10.15 do not know it (JDK-8228481).
    """

    OLD = "old"
    """Triple DES and SHA-1, for programs that open nothing else."""


def pack_pkcs12(
    *,
    key_pem: bytes,
    certificates_pem: bytes,
    password: str,
    friendly_name: str,
    kind: ContainerKind = ContainerKind.MODERN,
) -> bytes:
    """Return the file. ``certificates_pem`` begins with the leaf; its chain follows.

    Raises ``KeyProblem`` for what is no private key, and ``ValueError`` for certificates that
    cannot be read, a leaf of another key, or an empty password.
    """
    leaf, *chain = load_pem_x509_certificates(certificates_pem)
    return serialize_key_and_certificates(
        _as_bmp(friendly_name).encode(),
        load_private_key(key_pem),
        leaf,
        chain,
        _encryption(kind, password.encode()),
    )


def _as_bmp(text: str) -> str:
    """Replace what a BMPString cannot hold: characters beyond it, and halves of such ones."""
    plain = text.encode("utf-8", "replace").decode()
    return "".join(letter if ord(letter) <= _LAST_BMP else "?" for letter in plain)


def _encryption(kind: ContainerKind, password: bytes) -> KeySerializationEncryption:
    builder = PrivateFormat.PKCS12.encryption_builder()
    if kind is ContainerKind.OLD:
        old = builder.key_cert_algorithm(PBES.PBESv1SHA1And3KeyTripleDESCBC)
        return old.hmac_hash(SHA1()).kdf_rounds(_OLD_ROUNDS).build(password)  # noqa: S303 - asked for
    modern = builder.key_cert_algorithm(PBES.PBESv2SHA256AndAES256CBC)
    return modern.hmac_hash(SHA256()).kdf_rounds(_ROUNDS).build(password)
