"""Secrets of accounts and DNS accesses at rest: AES-256-GCM under the master key.

Each is bound to its own row. No exception raised here holds a secret, in its text or its cause.
``ACME_SECRETS`` is how they are counted before a master key is drawn, and how a new one takes them
along; the settings name it in ``SEALED_STORES``.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from mailadmin.acme.models import AcmeSecret
from mailadmin.certificates.custody import (
    Sealed,
    keep_master_keys,
    obtain_master_keys,
    open_sealed,
    seal,
)
from mailadmin.certificates.master_key import CustodyProblem, MasterKey
from mailadmin.certificates.sealed_stores import SealedKind
from mailadmin.pki.problems import Problem


@transaction.atomic
def seal_secret(secret: str) -> AcmeSecret:
    """Store the secret and return its row.

    Raises ``CustodyProblem`` when there is no usable master key.
    """
    keep_master_keys()
    row = AcmeSecret()
    _fill(row, seal(secret.encode(), _binding(row), obtain_master_keys()[0]))
    row.save()
    return row


def open_secret(row: AcmeSecret) -> str:
    """Return the secret.

    Raises ``CustodyProblem``; with ``acme.secret_not_opened`` when the master key is another one
    than it was sealed with, or the row was changed.
    """
    # The file after the row: whatever a row was sealed with was in the file before.
    secret = _open(row, obtain_master_keys())
    while secret is None:
        # Since the row was read it may have been sealed anew, and its old master key retired.
        fresh = AcmeSecret.objects.filter(pk=row.pk).first()
        if fresh is None or bytes(fresh.nonce) == bytes(row.nonce):
            raise CustodyProblem(Problem("acme.secret_not_opened"))
        row = fresh
        secret = _open(row, obtain_master_keys())
    return secret.decode()


class AcmeSecrets:
    """Takes the secrets along when the master key is replaced. One that none opens is lost."""

    kind = SealedKind.OTHERS
    model = AcmeSecret

    def count(self) -> int:
        """Return how many secrets there are."""
        return AcmeSecret.objects.count()

    def needs_resealing(self, masters: Sequence[MasterKey]) -> bool:
        """Tell whether an older master key is needed still."""
        return any(_open(row, masters) is not None for row in self._older(masters))

    @transaction.atomic
    def reseal(self, masters: Sequence[MasterKey]) -> int:
        """Seal with the newest master key what an older one sealed; returns how many those were."""
        done = 0
        for row in self._older(masters):
            secret, nonce = _open(row, masters), row.nonce
            if secret is not None:
                _fill(row, seal(secret, _binding(row), masters[0]))
                done += AcmeSecret.objects.filter(pk=row.pk, nonce=nonce).update(
                    nonce=row.nonce, ciphertext=row.ciphertext, master_key_id=row.master_key_id
                )
        return done

    def _older(self, masters: Sequence[MasterKey]) -> list[AcmeSecret]:
        return list(AcmeSecret.objects.exclude(master_key_id=masters[0].key_id))


ACME_SECRETS = AcmeSecrets()


def _fill(row: AcmeSecret, sealed: Sealed) -> None:
    row.nonce, row.ciphertext = sealed.nonce, sealed.ciphertext
    row.master_key_id = sealed.master_key_id


def _open(row: AcmeSecret, masters: Sequence[MasterKey]) -> bytes | None:
    sealed = Sealed(bytes(row.nonce), bytes(row.ciphertext), row.master_key_id)
    return open_sealed(sealed, _binding(row), masters)


def _binding(row: AcmeSecret) -> bytes:
    return f"ACME secret {row.uuid}".encode()
