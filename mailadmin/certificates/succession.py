"""Which certificate took the place of which: guessed, chosen, and corrected later.

The guess, for a new certificate (:func:`find_predecessor`):

1. What its request renews, always.
2. Otherwise one that is not deleted, did not begin later, and has at least half of its names
   covered by the new one. Of those: one with the same kind of key (RSA, ECDSA) before another; then
   one in use; then the one that shares most of all names; then the newest.
3. One with another kind of key only if at most a third of its lifetime was left when the new one
   began. Before that, the two are more likely to be served side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from django.db import transaction
from django.db.models import Q, QuerySet

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates import selectors
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import Certificate
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.keys import algorithm_of
from mailadmin.pki.predecessor import names_not_covered
from mailadmin.pki.problems import Problem

_LONGEST_LINE = 1000  # certificates one after the other
MOST_OFFERED = 50
_MOST_COMPARED = 200
_NAMES_SEARCHED = 20
_SHORTEST_FINGERPRINT = 8  # digits, so that no short number is taken for one
_DUE_SHARE = 1 / 3
NOTHING = "none"  # how a person says that it replaces no other


class Guess(Enum):
    """The value of an argument that leaves the choice to the rule."""

    GUESSED = "guessed"


GUESSED: Literal[Guess.GUESSED] = Guess.GUESSED


@dataclass(frozen=True, slots=True)
class Predecessors:
    """What a new certificate may replace, the likeliest first, and what the rule says it does."""

    rows: tuple[Certificate, ...] = ()
    guess: Certificate | None = None
    is_asked_for: bool = False

    def choose(self, typed: str) -> Certificate | None:
        """Return what a person means: nothing typed is the guess, ``none`` is no certificate.

        Else the number of one of the rows, or the start of its fingerprint. Raises
        :class:`CertificateRefusedError` with ``succession.not_offered``.
        """
        wanted = typed.strip().replace(":", "").lower()
        if not wanted:
            return self.guess
        if wanted == NOTHING:
            return None
        found = [row for row in self.rows if str(row.pk) == wanted]
        if not found and len(wanted) >= _SHORTEST_FINGERPRINT:
            found = [row for row in self.rows if row.fingerprint.startswith(wanted)]
        if len(found) != 1:
            raise CertificateRefusedError(Problem("succession.not_offered"))
        return found[0]


def find_predecessors(leaf: CertificateFacts) -> Predecessors:
    """Return what a certificate that is not stored yet may replace."""
    asked = _find_asked_for(leaf)
    rows = _rank(leaf, _find_related(leaf))
    guess = asked or next((row for row in rows if _is_likely(leaf, row)), None)
    others = [row for row in rows if guess is None or row.pk != guess.pk]
    offered = [*([guess] if guess else []), *others][:MOST_OFFERED]
    return Predecessors(tuple(offered), guess, asked is not None)


def find_predecessor(leaf: CertificateFacts) -> Certificate | None:
    """Return what a new certificate most likely replaces, by the rule that this module states."""
    return find_predecessors(leaf).guess


def _find_asked_for(leaf: CertificateFacts) -> Certificate | None:
    """Return what the waiting request renews that the certificate answers."""
    waiting = selectors.find_waiting_requests([leaf.public_key_id])
    renewed = (csr.renews for csr in waiting if selectors.is_answer(csr, leaf))
    return next((row for row in renewed if row and row.fingerprint != leaf.fingerprint), None)


def _find_related(leaf: CertificateFacts) -> list[Certificate]:
    """Return the certificates with a name in common, or one under a wildcard of the other."""
    related = Q(pk__in=())
    for name in leaf.names[:_NAMES_SEARCHED]:
        parent = name.partition(".")[2]
        related |= Q(names__icontains=f'"{name}"') | Q(names__icontains=f'"*.{parent}"')
        if name.startswith("*."):
            related |= Q(names__icontains=f'.{parent}"')
    rows = Certificate.objects.filter(related, deleted_at=None, not_before__lte=leaf.not_before)
    rows = rows.exclude(fingerprint=leaf.fingerprint).order_by("-not_before", "-pk")
    return list(selectors.annotate_uses(rows)[:_MOST_COMPARED])


def _rank(leaf: CertificateFacts, rows: Iterable[Certificate]) -> list[Certificate]:
    """Sort the newest first as the rule wants it."""
    return sorted(
        rows,
        key=lambda row: (
            not _has_kind_of_key(leaf, row),
            not getattr(row, "is_used", False),
            -_shared_part(leaf, row),
        ),
    )


def _has_kind_of_key(leaf: CertificateFacts, row: Certificate) -> bool:
    return algorithm_of(row.key_description) == algorithm_of(leaf.key)


def _shared_part(leaf: CertificateFacts, row: Certificate) -> float:
    """Return which part of the names of both they share, from 0.0 to 1.0."""
    both = len(row.names) - len(names_not_covered(row.names, leaf.names))
    new = len(names_not_covered(leaf.names, row.names))
    return both / (len(row.names) + new)


def _is_likely(leaf: CertificateFacts, row: Certificate) -> bool:
    lost = len(names_not_covered(row.names, leaf.names))
    if lost * 2 > len(row.names):
        return False
    left, whole = row.not_after - leaf.not_before, row.not_after - row.not_before
    return _has_kind_of_key(leaf, row) or left <= whole * _DUE_SHARE


def find_candidates(certificate: Certificate) -> QuerySet[Certificate]:
    """Return the certificates that it may have replaced: those that share its first name."""
    same = Q(pk=certificate.replaces_id)
    first = certificate.names[0] if certificate.names else ""
    if first:
        same |= Q(names__icontains=f'"{first}"')
    if certificate.common_name:
        same |= Q(common_name=certificate.common_name)
    rows = Certificate.objects.filter(same).exclude(pk=certificate.pk)
    return rows.order_by("-not_before", "-pk").defer("leaf_pem", "chain_pem")[:MOST_OFFERED]


@transaction.atomic
def set_predecessor(
    *, actor: Actor, certificate: Certificate, predecessor: Certificate | None
) -> None:
    """Say which certificate this one took the place of, or that it took none's.

    Raises :class:`CertificateRefusedError` with ``succession.circle``.
    """
    row = Certificate.objects.select_for_update().select_related(None).get(pk=certificate.pk)
    new_id = predecessor.pk if predecessor else None
    if row.replaces_id == new_id:
        return
    before = row.replaces
    link_predecessor(row, predecessor)
    record_event(
        actor=actor,
        verb="certificate.predecessor_changed",
        object_type="certificate",
        object_id=row.pk,
        object_label=row.label,
        before={"replaces": name_predecessor(before)},
        after={"replaces": name_predecessor(predecessor)},
    )


def link_predecessor(row: Certificate, predecessor: Certificate | None) -> None:
    """Store what a locked row replaces, in the transaction and the event of the caller.

    Raises :class:`CertificateRefusedError` with ``succession.circle``.
    """
    if predecessor is not None and _comes_before(row.pk, predecessor):
        params = {"label": predecessor.label}
        raise CertificateRefusedError(Problem("succession.circle", params=params))
    row.replaces = predecessor
    row.save(update_fields=["replaces"])


def _comes_before(pk: int, later: Certificate) -> bool:
    """Tell whether the certificate is the later one, or one that it goes back to."""
    current: int | None = later.pk
    for _ in range(_LONGEST_LINE):
        if current is None:
            return False
        if current == pk:
            return True
        rows = Certificate.objects.filter(pk=current).values_list("replaces_id", flat=True)
        current = rows.first()
    return True


def name_predecessor(row: Certificate | None) -> str:
    """Return how an event names what a certificate replaces."""
    return f"{row.label} ({row.fingerprint[:16]})" if row else ""
