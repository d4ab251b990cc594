"""Uploads that wait for an answer (a password, a confirmation): sealed, short-lived, one person's.

An upload may hold a private key in clear, so it is kept neither in the session nor in the page.
It lies in a row, encrypted under the master key *and* under a random token; the token
is only in the page of the person who uploaded, and the row holds just its hash. So a stolen
database, even with the master key, opens nothing, and an upload that is left alone can be opened
by nobody once its page is closed. The row goes when the answer came, and after 15 minutes.

There are two layers, the inner under the token and the outer under the master key. So a new master
key can take the place of the old one (:func:`reseal_upload`) without anybody's token.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.db import transaction
from django.utils import timezone

from mailadmin.accounts.models import User
from mailadmin.certificates.custody import (
    NONCE_LENGTH,
    Sealed,
    keep_master_keys,
    obtain_master_keys,
    open_sealed,
    seal,
)
from mailadmin.certificates.master_key import KEY_LENGTH, MasterKey
from mailadmin.certificates.models import SealedUpload
from mailadmin.certificates.sealed_stores import SealedKind

LIFETIME = timedelta(minutes=15)
_MOST_PER_PERSON = 5
_TOKEN_BYTES = 32


class UploadGoneError(LookupError):
    """There is no such upload any more: answered, too old, or another person's."""


@dataclass(frozen=True, slots=True)
class KeptUpload:
    """What waits: parts as they were given, and what the panel wrote of those it has read.

    The size of the latter is not limited as that of the former is: the text of a certificate is
    longer than the file in which it came.
    """

    given: tuple[bytes, ...] = field(default=(), repr=False)
    written: tuple[bytes, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool(self.given or self.written)


@transaction.atomic
def seal_upload(*, user: User, kept: KeptUpload, now: datetime) -> str:
    """Keep an upload for :data:`LIFETIME` and return the token that opens them again.

    Raises ``CustodyProblem`` when there is no usable master key.
    """
    keep_master_keys()
    drop_expired_uploads(now=now)
    _drop_surplus(user)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    packed = json.dumps({"given": _pack(kept.given), "written": _pack(kept.written)}).encode()
    nonce = secrets.token_bytes(NONCE_LENGTH)
    inner = nonce + _cipher(token).encrypt(nonce, packed, None)
    sealed = seal(inner, _binding(user.pk), obtain_master_keys()[0])
    SealedUpload.objects.create(
        token_hash=_hash(token),
        user=user,
        nonce=sealed.nonce,
        ciphertext=sealed.ciphertext,
        expires_at=now + LIFETIME,
    )
    return token


def open_upload(*, user: User, token: str, now: datetime) -> KeptUpload:
    """Return what waits. Raises :class:`UploadGoneError`, or ``CustodyProblem``."""
    rows = SealedUpload.objects.filter(token_hash=_hash(token), user=user, expires_at__gt=now)
    row = rows.first()
    while row is not None:
        inner = _open_outer(row, obtain_master_keys())
        if inner is not None:
            return _open_inner(inner, token)
        # Its master key may have been retired since the row was read.
        row = rows.exclude(nonce=row.nonce).first()
    raise UploadGoneError  # or sealed with a master key that is not here any more


class Uploads:
    """Takes the uploads along when the master key is replaced. One that none opens is lost."""

    kind = SealedKind.UPLOADS
    model = SealedUpload

    def count(self) -> int:
        """Return how many wait still; the others nobody can open any more."""
        return SealedUpload.objects.filter(expires_at__gt=timezone.now()).count()

    def needs_resealing(self, masters: Sequence[MasterKey]) -> bool:
        """Tell whether only an older master key opens one."""
        return any(_needs_resealing(row, masters) for row in SealedUpload.objects.iterator())

    def reseal(self, masters: Sequence[MasterKey]) -> int:
        """Put the newest master key in place of the older ones; returns how often."""
        rows = SealedUpload.objects.order_by("pk").iterator()
        return sum(reseal_upload(row, masters) for row in rows)


UPLOADS = Uploads()


def _needs_resealing(row: SealedUpload, masters: Sequence[MasterKey]) -> bool:
    return _open_outer(row, masters[:1]) is None and _open_outer(row, masters[1:]) is not None


def reseal_upload(row: SealedUpload, masters: Sequence[MasterKey]) -> bool:
    """Put the newest master key in place of the older one; tell whether that was to be done."""
    inner = _open_outer(row, masters[1:])
    if inner is None or _open_outer(row, masters[:1]) is not None:
        return False
    sealed = seal(inner, _binding(row.user_id), masters[0])
    rows = SealedUpload.objects.filter(pk=row.pk, nonce=row.nonce)
    return rows.update(nonce=sealed.nonce, ciphertext=sealed.ciphertext) > 0


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


def _open_outer(row: SealedUpload, masters: Sequence[MasterKey]) -> bytes | None:
    sealed = Sealed(bytes(row.nonce), bytes(row.ciphertext))
    return open_sealed(sealed, _binding(row.user_id), masters)


def _open_inner(inner: bytes, token: str) -> KeptUpload:
    try:
        packed = _cipher(token).decrypt(inner[:NONCE_LENGTH], inner[NONCE_LENGTH:], None)
    except InvalidTag:  # the row's hash was changed to that of another token
        raise UploadGoneError from None
    parts = json.loads(packed)
    if not isinstance(parts, dict):  # sealed before the two were told apart
        raise UploadGoneError
    return KeptUpload(_unpack(parts["given"]), _unpack(parts["written"]))


def _pack(parts: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(part).decode() for part in parts]


def _unpack(parts: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(base64.b64decode(part) for part in parts)


def _cipher(token: str) -> AESGCM:
    derive = HKDF(SHA256(), KEY_LENGTH, salt=None, info=b"mailadmin upload")
    return AESGCM(derive.derive(token.encode()))


def _binding(user_id: int) -> bytes:
    return f"upload of user {user_id}".encode()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
