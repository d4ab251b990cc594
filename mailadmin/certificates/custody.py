"""Private keys at rest: AES-256-GCM under a master key, each bound to its own public key.

A key leaves this module in two ways only: sealed, as a row, or opened, for the one program that
hands it to the mail server and for the export that an administrator gives a reason for. No
exception raised here holds key bytes, in its text or its cause.

Master keys change while the panel works (:mod:`mailadmin.certificates.rotation`). Two rules keep
every key open at every moment: who seals does so in a transaction that first calls
:func:`keep_master_keys`, so no master key is retired between reading the file and the commit; and
who finds that a row does not open reads row and file once more before believing it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import connection, transaction

from mailadmin.certificates.master_key import (
    CustodyProblem,
    MasterKey,
    create_master_key,
    read_master_keys,
)
from mailadmin.certificates.models import CertificateSigningRequest, PrivateKey
from mailadmin.certificates.sealed_stores import count_sealed
from mailadmin.pki import keys
from mailadmin.pki.problems import Param, Problem

NONCE_LENGTH = 12  # bytes, NIST SP 800-38D, section 5.2.1.1
# PostgreSQL's advisory lock: shared by those who seal, exclusive for who retires a master key.
_LOCK_NUMBER = 0x6D61_696C_6B65_7973


@dataclass(frozen=True, slots=True)
class Sealed:
    """Something encrypted under a master key."""

    nonce: bytes
    ciphertext: bytes
    master_key_id: str = ""


def obtain_master_keys() -> tuple[MasterKey, ...]:
    """Return the master keys, newest first, drawing the first one on the very first use.

    Raises :class:`CustodyProblem`; a missing file is never replaced while anything is stored
    that only the old one opens.
    """
    path: Path = settings.MASTER_KEY_FILE
    found = read_master_keys(path)
    if found:
        return found
    stored = count_sealed()
    if stored:
        params: dict[str, Param] = {"path": str(path), "count": stored}
        raise CustodyProblem(Problem("custody.master_key_missing", params=params))
    return create_master_key(path)


def keep_master_keys(*, from_sealing: bool = False) -> None:
    """Let no master key be retired until this transaction ends; call it before reading the file.

    ``from_sealing`` is for who retires one: it waits for those who seal, and then they wait.
    SQLite needs no more than the transaction, which is the only writer from its first moment on.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("sealing needs a transaction")
    if connection.vendor == "postgresql":
        function = "pg_advisory_xact_lock" + ("" if from_sealing else "_shared")
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [_LOCK_NUMBER])


def seal(plain: bytes, binding: bytes, master: MasterKey) -> Sealed:
    """Encrypt under the master key; it opens only together with the same binding."""
    nonce = secrets.token_bytes(NONCE_LENGTH)
    return Sealed(nonce, AESGCM(master.value).encrypt(nonce, plain, binding), master.key_id)


def open_sealed(sealed: Sealed, binding: bytes, masters: Sequence[MasterKey]) -> bytes | None:
    """Return the plain bytes, or ``None`` when none of the master keys opens them."""
    for master in masters:
        if sealed.master_key_id in ("", master.key_id):
            try:
                return AESGCM(master.value).decrypt(sealed.nonce, sealed.ciphertext, binding)
            except InvalidTag:
                continue
    return None


@transaction.atomic
def seal_key(key: keys.PrivateKey) -> PrivateKey:
    """Store the key sealed and return its row; a key that is already here is stored once.

    A row that the present master keys cannot open is sealed anew: uploading a key again is the
    way out after a master key was lost.
    """
    keep_master_keys()
    key_id = keys.public_key_id(key)
    sealed = seal(keys.private_key_to_pem(key), key_id.encode(), obtain_master_keys()[0])
    row, is_new = PrivateKey.objects.get_or_create(
        public_key_id=key_id,
        defaults={
            "description": keys.describe_key(key.public_key()),
            "ciphertext": sealed.ciphertext,
            "nonce": sealed.nonce,
            "master_key_id": sealed.master_key_id,
        },
    )
    if not is_new and not _opens(row):
        row.ciphertext, row.nonce = sealed.ciphertext, sealed.nonce
        row.master_key_id = sealed.master_key_id
        row.save(update_fields=["ciphertext", "nonce", "master_key_id"])
    return row


def open_key_pem(row: PrivateKey) -> str:
    """Return the key as unencrypted PKCS#8 PEM.

    Raises :class:`CustodyProblem`; with ``custody.master_key_other`` when the file does not hold
    the master key that the key was sealed with, ``custody.key_not_opened`` when it is not known
    which one that was, ``custody.key_damaged`` when the row was tampered with.
    """
    # The file after the row: whatever a row was sealed with was in the file before.
    masters = obtain_master_keys()
    pem = open_row(row, masters)
    while pem is None:
        # Since the row was read it may have been sealed anew, and its old master key retired.
        fresh = PrivateKey.objects.filter(pk=row.pk).first()
        if fresh is None or bytes(fresh.nonce) == bytes(row.nonce):
            raise CustodyProblem(explain_unopened(row, masters))
        row, masters = fresh, obtain_master_keys()
        pem = open_row(row, masters)
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


def open_row(row: PrivateKey, masters: Sequence[MasterKey]) -> bytes | None:
    """Return the key's PEM, or ``None`` when none of the master keys opens the row as it is."""
    sealed = Sealed(bytes(row.nonce), bytes(row.ciphertext), row.master_key_id)
    return open_sealed(sealed, row.public_key_id.encode(), masters)


def explain_unopened(row: PrivateKey, masters: Sequence[MasterKey]) -> Problem:
    """Return why none of the master keys opens the row."""
    params: dict[str, Param] = {"path": str(settings.MASTER_KEY_FILE), "key": row.description}
    if not row.master_key_id:
        return Problem("custody.key_not_opened", params=params)
    if row.master_key_id in {master.key_id for master in masters}:
        return Problem("custody.key_damaged", params=params)
    params["master_key_id"] = row.master_key_id
    return Problem("custody.master_key_other", params=params)


def _opens(row: PrivateKey) -> bool:
    try:
        open_key_pem(row)
    except CustodyProblem:
        return False
    return True
