"""Uploads that wait for an answer (a password, a confirmation): sealed, short-lived, one person's.

An upload may hold a private key in clear, so it is kept neither in the session nor in the page.
It lies in a row, encrypted under a key made from the master key *and* a random token; the token
is only in the page of the person who uploaded, and the row holds just its hash. So a stolen
database, even with the master key, opens nothing, and an upload that is left alone can be opened
by nobody once its page is closed. The row goes when the answer came, and after 15 minutes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mailadmin.accounts.models import User
from mailadmin.certificates.custody import NONCE_LENGTH, obtain_master_key
from mailadmin.certificates.master_key import KEY_LENGTH
from mailadmin.certificates.models import SealedUpload

LIFETIME = timedelta(minutes=15)
_MOST_PER_PERSON = 5
_TOKEN_BYTES = 32


class UploadGoneError(LookupError):
    """There is no such upload any more: answered, too old, or another person's."""


def seal_upload(*, user: User, inputs: Sequence[bytes], now: datetime) -> str:
    """Keep the inputs for :data:`LIFETIME` and return the token that opens them again.

    Raises ``CustodyProblem`` when there is no usable master key.
    """
    drop_expired_uploads(now=now)
    _drop_surplus(user)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    nonce = secrets.token_bytes(NONCE_LENGTH)
    packed = json.dumps([base64.b64encode(part).decode() for part in inputs]).encode()
    SealedUpload.objects.create(
        token_hash=_hash(token),
        user=user,
        nonce=nonce,
        ciphertext=_cipher(token).encrypt(nonce, packed, _binding(user)),
        expires_at=now + LIFETIME,
    )
    return token


def open_upload(*, user: User, token: str, now: datetime) -> list[bytes]:
    """Return the inputs of an upload. Raises :class:`UploadGoneError`, or ``CustodyProblem``."""
    row = SealedUpload.objects.filter(
        token_hash=_hash(token), user=user, expires_at__gt=now
    ).first()
    if row is None:
        raise UploadGoneError
    try:
        packed = _cipher(token).decrypt(bytes(row.nonce), bytes(row.ciphertext), _binding(user))
    except InvalidTag:  # the master key was replaced in between
        raise UploadGoneError from None
    return [base64.b64decode(part) for part in json.loads(packed)]


def drop_upload(*, user: User, token: str) -> None:
    """Forget an upload; one that is gone already is no error."""
    SealedUpload.objects.filter(token_hash=_hash(token), user=user).delete()


def drop_expired_uploads(*, now: datetime) -> int:
    """Forget every upload whose time is over, and return how many those were."""
    dropped, _ = SealedUpload.objects.filter(expires_at__lte=now).delete()
    return dropped


def _drop_surplus(user: User) -> None:
    """Keep room for one more: the oldest unanswered uploads of a person go first."""
    newest = SealedUpload.objects.filter(user=user).order_by("-pk").values_list("pk", flat=True)
    surplus = list(newest[_MOST_PER_PERSON - 1 :])
    if surplus:
        SealedUpload.objects.filter(pk__in=surplus).delete()


def _cipher(token: str) -> AESGCM:
    derive = HKDF(SHA256(), KEY_LENGTH, salt=None, info=b"mailadmin upload " + token.encode())
    return AESGCM(derive.derive(obtain_master_key()))


def _binding(user: User) -> bytes:
    return f"upload of user {user.pk}".encode()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
