"""Which certificate took the place of which, corrected where the panel guessed wrong."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q, QuerySet

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import Certificate
from mailadmin.pki.problems import Problem

_LONGEST_LINE = 1000  # certificates one after the other
MOST_OFFERED = 50


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
    if predecessor is not None and _comes_before(row.pk, predecessor):
        params = {"label": predecessor.label}
        raise CertificateRefusedError(Problem("succession.circle", params=params))
    before, row.replaces = row.replaces, predecessor
    row.save(update_fields=["replaces"])
    record_event(
        actor=actor,
        verb="certificate.predecessor_changed",
        object_type="certificate",
        object_id=row.pk,
        object_label=row.label,
        before={"replaces": _named(before)},
        after={"replaces": _named(predecessor)},
    )


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


def _named(row: Certificate | None) -> str:
    return f"{row.label} ({row.fingerprint[:16]})" if row else ""
