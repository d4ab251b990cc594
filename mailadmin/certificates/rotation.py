"""Putting a new master key in the place of the old one while everybody keeps working.

1. The new key goes into the file, before the old one: from now on everything is sealed with it.
2. Row by row, in small transactions, what older keys sealed is sealed anew.
3. When nothing needs the older keys any more, and nobody is just sealing, the file forgets them.

At every moment the file holds each key that a row needs, so it does not matter where this is
killed: run again, it goes on where it was. See :mod:`mailadmin.certificates.custody` for what
readers and sealers do for their part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.custody import (
    explain_unopened,
    keep_master_keys,
    obtain_master_keys,
    open_row,
    seal,
)
from mailadmin.certificates.master_key import (
    CustodyProblem,
    MasterKey,
    draw_master_key,
    only_one_rotation,
    replace_master_keys,
)
from mailadmin.certificates.models import Certificate, PrivateKey
from mailadmin.certificates.sealed_stores import SealedKind, list_sealed_stores
from mailadmin.pki.problems import Param, Problem

_BATCH = 50  # rows per transaction: others wait for milliseconds
_LABELS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Unopened:
    """A private key that cannot be opened, with the certificate it belongs to, and why."""

    label: str
    problem: Problem


@dataclass(frozen=True, slots=True)
class Custody:
    """Whether the private keys open, and which master keys there are."""

    master_key_ids: tuple[str, ...]
    keys: int
    under_older: int
    unopened: tuple[Unopened, ...]

    @property
    def is_rotation_pending(self) -> bool:
        """Tell whether a rotation was begun and not finished."""
        return len(self.master_key_ids) > 1


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did."""

    old_ids: tuple[str, ...]
    new_id: str
    keys: int
    uploads: int
    others: int
    is_resumed: bool


class PrivateKeys:
    """Takes the private keys along. One that none of the master keys opens stops the rotation."""

    kind = SealedKind.KEYS
    model = PrivateKey

    def count(self) -> int:
        """Return how many keys there are."""
        return PrivateKey.objects.count()

    def needs_resealing(self, masters: Sequence[MasterKey]) -> bool:
        """Tell whether another master key than the newest sealed one."""
        return PrivateKey.objects.exclude(master_key_id=masters[0].key_id).exists()

    def reseal(self, masters: Sequence[MasterKey]) -> int:
        """Seal in small transactions what another one sealed. Raises :class:`CustodyProblem`."""
        return sum(_reseal_keys(batch, masters) for batch in _batches(masters[0]))


PRIVATE_KEYS = PrivateKeys()


def check_custody() -> Custody:
    """Open every private key and tell what came of it. Changes nothing.

    Raises :class:`CustodyProblem` when the file of the master keys cannot be used at all.
    """
    return _check(obtain_master_keys())


def rotate_master_key(*, actor: Actor) -> Rotation:
    """Replace the master key; a rotation that was interrupted is finished instead.

    Raises :class:`CustodyProblem`: ``custody.rotation_under_way``, ``custody.keys_not_opened``
    when a private key does not open already, and whatever is wrong with the file. All keys that
    opened before open after it.
    """
    path: Path = settings.MASTER_KEY_FILE
    obtain_master_keys()  # the very first use makes the folder
    with only_one_rotation(path):
        masters = obtain_master_keys()
        _refuse_unopened(masters)
        is_resumed = len(masters) > 1
        _record_begin(actor, masters, is_resumed=is_resumed)
        if not is_resumed:
            masters = (draw_master_key(), *masters)
            replace_master_keys(path, masters)
        return _finish(actor, masters, path, is_resumed=is_resumed)


def _finish(
    actor: Actor, masters: Sequence[MasterKey], path: Path, *, is_resumed: bool
) -> Rotation:
    done: Counter[SealedKind] = Counter()
    while True:
        for store in list_sealed_stores():
            done[store.kind] += store.reseal(masters)
        rotation = Rotation(
            old_ids=tuple(master.key_id for master in masters[1:]),
            new_id=masters[0].key_id,
            keys=done[SealedKind.KEYS],
            uploads=done[SealedKind.UPLOADS],
            others=done[SealedKind.OTHERS],
            is_resumed=is_resumed,
        )
        if _retire(actor, masters, path, rotation):
            return rotation


def _check(masters: Sequence[MasterKey]) -> Custody:
    newest = masters[0].key_id
    keys = under_older = 0
    unopened = []
    for row in PrivateKey.objects.order_by("pk").iterator():
        keys += 1
        under_older += row.master_key_id != newest
        if open_row(row, masters) is None:
            unopened.append(Unopened(_label(row), explain_unopened(row, masters)))
    ids = tuple(master.key_id for master in masters)
    return Custody(ids, keys, under_older, tuple(unopened))


def _label(row: PrivateKey) -> str:
    """Return the certificate or request that the key belongs to, as people know it."""
    certificate = Certificate.objects.filter(private_key=row).first()
    return str(certificate or row.requests.first() or row)


def _refuse_unopened(masters: Sequence[MasterKey]) -> None:
    unopened = _check(masters).unopened
    if unopened:
        raise CustodyProblem(_unopened_problem([item.label for item in unopened]))


def _unopened_problem(labels: Sequence[str]) -> Problem:
    told = ", ".join(labels[:_LABELS_TOLD]) + (" …" if len(labels) > _LABELS_TOLD else "")
    params: dict[str, Param] = {
        "path": str(settings.MASTER_KEY_FILE),
        "count": len(labels),
        "labels": told,
    }
    return Problem("custody.keys_not_opened", params=params)


def _batches(newest: MasterKey) -> Iterator[list[int]]:
    """Yield the rows that another master key sealed, a few at a time."""
    older = PrivateKey.objects.exclude(master_key_id=newest.key_id).order_by("pk")
    last = 0
    while batch := list(older.filter(pk__gt=last).values_list("pk", flat=True)[:_BATCH]):
        yield batch
        last = batch[-1]


@transaction.atomic
def _reseal_keys(batch: Sequence[int], masters: Sequence[MasterKey]) -> int:
    """Seal the rows with the newest master key; one that somebody changed meanwhile is left."""
    done = 0
    for row in PrivateKey.objects.filter(pk__in=batch).exclude(master_key_id=masters[0].key_id):
        pem = open_row(row, masters)
        if pem is None:
            raise CustodyProblem(_unopened_problem([_label(row)]))
        sealed = seal(pem, row.public_key_id.encode(), masters[0])
        done += PrivateKey.objects.filter(pk=row.pk, nonce=row.nonce).update(
            nonce=sealed.nonce,
            ciphertext=sealed.ciphertext,
            master_key_id=sealed.master_key_id,
        )
    return done


@transaction.atomic
def _retire(actor: Actor, masters: Sequence[MasterKey], path: Path, rotation: Rotation) -> bool:
    """Forget the older master keys unless something needs them still; tell whether it is done.

    Who began to seal with an older key has committed before the lock is ours, and who comes later
    reads the file after it was replaced.
    """
    keep_master_keys(from_sealing=True)
    if any(store.needs_resealing(masters) for store in list_sealed_stores()):
        return False
    record_event(
        actor=actor,
        verb="master_key.rotated",
        object_type="master_key",
        object_id=rotation.new_id,
        object_label=rotation.new_id,
        before={"master_key_ids": rotation.old_ids},
        after={
            "master_key_ids": [rotation.new_id],
            "keys": rotation.keys,
            "uploads": rotation.uploads,
            "others": rotation.others,
        },
    )
    replace_master_keys(path, masters[:1])
    return True


@transaction.atomic
def _record_begin(actor: Actor, masters: Sequence[MasterKey], *, is_resumed: bool) -> None:
    """Leave a trace before the first change, in case it is killed on its way."""
    record_event(
        actor=actor,
        verb="master_key.rotation_begun",
        object_type="master_key",
        object_id=masters[0].key_id,
        object_label=masters[0].key_id,
        after={"is_resumed": is_resumed},
    )
