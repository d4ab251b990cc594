"""Every column that is sealed with the master key, in one registry: ``settings.SEALED_STORES``.

What is not in it would be lost when the file is lost or replaced, so a test compares it with the
models.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

from django.conf import settings
from django.db.models import Model
from django.utils.module_loading import import_string

from mailadmin.certificates.master_key import MasterKey


class SealedKind(StrEnum):
    """What a store holds, as the report of a rotation counts it."""

    KEYS = "keys"
    UPLOADS = "uploads"
    OTHERS = "others"


@runtime_checkable
class SealedStore(Protocol):
    """The sealed rows of one model."""

    kind: SealedKind
    model: type[Model]

    def count(self) -> int:
        """Return how many rows are lost without their master key."""

    def needs_resealing(self, masters: Sequence[MasterKey]) -> bool:
        """Tell whether an older master key opens something that the newest one does not."""

    def reseal(self, masters: Sequence[MasterKey]) -> int:
        """Seal that with the newest one; returns how many it was."""


def list_sealed_stores() -> list[SealedStore]:
    """Return the stores in the order of the registry."""
    return [import_string(path) for path in settings.SEALED_STORES]


def count_sealed() -> int:
    """Return how many rows are lost without their master key, in all stores."""
    return sum(store.count() for store in list_sealed_stores())
