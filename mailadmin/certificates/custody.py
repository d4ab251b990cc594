"""Private keys at rest: AES-256-GCM under the master key, each bound to its own public key.

A key leaves this module in two ways only: sealed, as a row, or opened, for the one program that
hands it to the mail server. No exception raised here holds key bytes, in its text or its cause.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from mailadmin.certificates.master_key import (
    CustodyProblem,
    create_master_key,
    read_master_key,
)
from mailadmin.certificates.models import CertificateSigningRequest, PrivateKey
from mailadmin.pki import keys
from mailadmin.pki.problems import Param, Problem

NONCE_LENGTH = 12  # bytes, NIST SP 800-38D, section 5.2.1.1


def obtain_master_key() -> bytes:
    """Return the master key, drawing it on the very first use.

    Raises :class:`CustodyProblem`; a missing file is never replaced while keys are stored that
    only the old one opens.
    """
    path: Path = settings.MASTER_KEY_FILE
    master = read_master_key(path)
    if master is not None:
        return master
    stored = PrivateKey.objects.count()
    if stored:
        params: dict[str, Param] = {"path": str(path), "count": stored}
        raise CustodyProblem(Problem("custody.master_key_missing", params=params))
    return create_master_key(path)


def seal_key(key: keys.PrivateKey) -> PrivateKey:
    """Store the key sealed and return its row; a key that is already here is stored once.

    A row that the present master key cannot open is sealed anew: uploading a key again is the way
    out after a master key was lost.
    """
    key_id = keys.public_key_id(key)
    nonce, ciphertext = _seal(keys.private_key_to_pem(key), key_id)
    row, is_new = PrivateKey.objects.get_or_create(
        public_key_id=key_id,
        defaults={
            "description": keys.describe_key(key.public_key()),
            "ciphertext": ciphertext,
            "nonce": nonce,
        },
    )
    if not is_new and not _opens(row):
        row.ciphertext, row.nonce = ciphertext, nonce
        row.save(update_fields=["ciphertext", "nonce"])
    return row


def open_key_pem(row: PrivateKey) -> str:
    """Return the key as unencrypted PKCS#8 PEM.

    Raises :class:`CustodyProblem`; with ``custody.key_not_opened`` when the master key is another
    one than the key was sealed with, or the row was tampered with.
    """
    cipher = AESGCM(obtain_master_key())
    try:
        pem = cipher.decrypt(bytes(row.nonce), bytes(row.ciphertext), row.public_key_id.encode())
    except InvalidTag:
        params = {"path": str(settings.MASTER_KEY_FILE), "key": row.description}
        raise CustodyProblem(Problem("custody.key_not_opened", params=params)) from None
    return pem.decode("ascii")


def destroy_key_if_unused(key: PrivateKey | None) -> bool:
    """Delete the key unless a certificate or a pending request needs it. Return whether it went."""
    if key is None or key.certificates.exists():
        return False
    if key.requests.filter(status=CertificateSigningRequest.Status.PENDING).exists():
        return False
    key.requests.update(private_key=None)
    key.delete()
    return True


def _seal(pem: bytes, key_id: str) -> tuple[bytes, bytes]:
    nonce = secrets.token_bytes(NONCE_LENGTH)
    return nonce, AESGCM(obtain_master_key()).encrypt(nonce, pem, key_id.encode())


def _opens(row: PrivateKey) -> bool:
    try:
        open_key_pem(row)
    except CustodyProblem:
        return False
    return True
