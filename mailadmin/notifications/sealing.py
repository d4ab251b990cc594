"""Secrets of webhooks at rest: AES-256-GCM under the master key, each bound to its own row.

No exception raised here holds a secret, in its text or its cause. ``WEBHOOK_SECRETS`` is how a new
master key takes them along; the settings name it in ``SEALED_STORES``.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from mailadmin.certificates.custody import (
    Sealed,
    keep_master_keys,
    obtain_master_keys,
    open_sealed,
    seal,
)
from mailadmin.certificates.master_key import MasterKey
from mailadmin.certificates.sealed_stores import SealedKind
from mailadmin.notifications.models import Destination


class SecretNotOpenedError(Exception):
    """The master key is another one than the secret was sealed with, or the row was changed."""


def seal_secret(row: Destination, secret: str) -> None:
    """Put the secret into the row, to be saved in the same transaction.

    Raises ``CustodyProblem`` when there is no usable master key.
    """
    keep_master_keys()
    _fill(row, seal(secret.encode(), _binding(row), obtain_master_keys()[0]))


def open_secret(row: Destination) -> str:
    """Return the secret. Raises :class:`SecretNotOpenedError`, or ``CustodyProblem``."""
    secret = _open(row, obtain_master_keys())
    while secret is None:
        # Since the row was read it may have been sealed anew, and its old master key retired.
        fresh = Destination.objects.filter(pk=row.pk).first()
        if fresh is None or bytes(fresh.secret_nonce) == bytes(row.secret_nonce):
            raise SecretNotOpenedError
        row = fresh
        secret = _open(row, obtain_master_keys())
    return secret.decode()


class WebhookSecrets:
    """Takes the secrets along when the master key is replaced. One that none opens is lost."""

    kind = SealedKind.OTHERS
    model = Destination

    def count(self) -> int:
        """Return how many secrets there are."""
        return Destination.objects.exclude(master_key_id="").count()

    def needs_resealing(self, masters: Sequence[MasterKey]) -> bool:
        """Tell whether an older master key is needed still."""
        return any(_open(row, masters) is not None for row in self._older(masters))

    @transaction.atomic
    def reseal(self, masters: Sequence[MasterKey]) -> int:
        """Seal with the newest master key what an older one sealed; returns how many those were."""
        done = 0
        for row in self._older(masters):
            secret, nonce = _open(row, masters), row.secret_nonce
            if secret is not None:
                _fill(row, seal(secret, _binding(row), masters[0]))
                done += Destination.objects.filter(pk=row.pk, secret_nonce=nonce).update(
                    secret_nonce=row.secret_nonce,
                    secret_ciphertext=row.secret_ciphertext,
                    master_key_id=row.master_key_id,
                )
        return done

    def _older(self, masters: Sequence[MasterKey]) -> list[Destination]:
        rows = Destination.objects.exclude(master_key_id="")
        return list(rows.exclude(master_key_id=masters[0].key_id))


WEBHOOK_SECRETS = WebhookSecrets()


def _fill(row: Destination, sealed: Sealed) -> None:
    row.secret_nonce, row.secret_ciphertext = sealed.nonce, sealed.ciphertext
    row.master_key_id = sealed.master_key_id


def _open(row: Destination, masters: Sequence[MasterKey]) -> bytes | None:
    sealed = Sealed(bytes(row.secret_nonce), bytes(row.secret_ciphertext), row.master_key_id)
    return open_sealed(sealed, _binding(row), masters)


def _binding(row: Destination) -> bytes:
    return f"webhook secret of {row.uuid}".encode()
