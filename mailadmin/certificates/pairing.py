"""Two certificates side by side: RSA and ECDSA for the same names, each client shown the one it can
use. A pair is of the certificates; it is served wherever one of the two is wanted.

Both rows name each other, always: this module is the only one that writes them. Like everything
that is wanted, a pair reaches the mail server with the next apply.

=======================  ========  ================================================================
code                     severity  source
=======================  ========  ================================================================
pairing.same_algorithm   error     C15; Postfix TLS_README: one certificate per kind of key
pairing.taken            error     C15
pairing.key_missing      error     C1
pairing.expired          error     C8
pairing.names_missing    warning   C4
pairing.none             error     own: nothing to separate
=======================  ========  ================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import Certificate
from mailadmin.pki.keys import KeyAlgorithm, algorithm_of
from mailadmin.pki.names import is_covered
from mailadmin.pki.problems import Problem, Severity, has_errors

_SHOWN_NAMES = 5


@transaction.atomic
def pair_certificates(
    *,
    actor: Actor,
    certificate: Certificate,
    companion: Certificate,
    now: datetime,
    is_confirmed: bool = False,
) -> None:
    """Serve the two side by side from the next apply on.

    Raises :class:`CertificateRefusedError` with the reasons; where all of them are warnings (one
    covers fewer names) it can be done all the same, confirmed.
    """
    first, second = _lock(certificate, companion)
    problems = list(judge_pair(first, second, now))
    if has_errors(problems) or (problems and not is_confirmed):
        raise CertificateRefusedError(*problems)
    _join(first, second)
    after = {"served_beside": name_briefly(second)}
    _record(actor, first, "certificate.paired", before={"served_beside": None}, after=after)


@transaction.atomic
def unpair_certificate(*, actor: Actor, certificate: Certificate) -> Certificate:
    """Let the certificate stand alone again from the next apply on; returns its companion so far.

    Raises :class:`CertificateRefusedError` with ``pairing.none``.
    """
    row = Certificate.objects.select_for_update().get(pk=certificate.pk)
    companion = row.companion
    if companion is None:
        raise CertificateRefusedError(_problem("pairing.none", row))
    _part(row)
    before = {"served_beside": name_briefly(companion)}
    _record(actor, row, "certificate.separated", before=before, after={"served_beside": None})
    return companion


def judge_pair(first: Certificate, second: Certificate, now: datetime) -> Iterator[Problem]:
    """Return what speaks against serving the two side by side; a warning can be confirmed."""
    algorithms = {algorithm_of(item.key_description) for item in (first, second)}
    if algorithms != set(KeyAlgorithm):
        keys = {"key": first.key_description, "other_key": second.key_description}
        yield _problem("pairing.same_algorithm", first, other=second.label, **keys)
        return
    for item, other in ((first, second), (second, first)):
        yield from _judge_one(item, now)
        missing = names_missing(item, other)
        if missing:
            shown = ", ".join(missing[:_SHOWN_NAMES])
            yield Problem(
                "pairing.names_missing",
                Severity.WARNING,
                other.fingerprint,
                {
                    "key": other.key_description,
                    "other_key": item.key_description,
                    "names": shown,
                    "count": len(missing),
                },
            )


def judge_handover(old: Certificate, new: Certificate, now: datetime) -> list[Problem]:
    """Return what speaks against a successor's standing beside the companion of the old one.

    Empty also where there is no companion, or where the successor is it.
    """
    companion = old.companion
    return [] if companion is None else judge_beside(new, companion, now)


def judge_beside(new: Certificate, companion: Certificate, now: datetime) -> list[Problem]:
    """Return what speaks against a successor's standing beside the companion of the old one."""
    if companion.pk == new.pk:
        return []
    # That the companion is the old one's is the point.
    taken = ("pairing.taken", companion.fingerprint)
    found = judge_pair(new, companion, now)
    return [problem for problem in found if (problem.code, problem.subject) != taken]


def hand_over_companion(old: Certificate, new: Certificate, now: datetime) -> Certificate | None:
    """Let a successor stand beside the companion of the old one, which then stands alone.

    In the caller's transaction and event. Returns the companion; None if there is none, or if
    :func:`judge_handover` has an error: then the old pair stays. Names that only one of the two
    covers are no obstacle. A companion that takes the place of its own partner stands alone.
    """
    rows = Certificate.objects.select_for_update().order_by("pk")
    needed = {old.pk, new.pk, old.companion_id} - {None}
    found = {row.pk: row for row in rows.filter(pk__in=needed)}
    first, second = found[old.pk], found[new.pk]
    companion = first.companion
    if companion is None or has_errors(judge_handover(first, second, now)):
        return None
    _part(first)
    if companion.pk == second.pk:
        return None
    companion.refresh_from_db(fields=["companion"])
    _join(second, companion)
    return companion


def _judge_one(row: Certificate, now: datetime) -> Iterator[Problem]:
    if row.deleted_at is not None:
        yield _problem("certificate.deleted", row)
        return
    if row.companion is not None:
        yield _problem("pairing.taken", row, other=row.companion.key_description)
    if not row.is_key_known:
        yield _problem("pairing.key_missing", row)
    if row.not_after <= now:
        yield _problem("pairing.expired", row, not_after=row.not_after.isoformat())


def names_missing(certificate: Certificate, other: Certificate) -> list[str]:
    """Return the names that the certificate covers and the other does not."""
    known = set(other.names)
    return [
        name
        for name in certificate.names
        if name not in known and not is_covered(name, other.names)
    ]


def match_pairs(wanted: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Make the companions of these certificates, by fingerprint, what is wanted (empty: none).

    To be called in the transaction, and told in the event, of whoever goes back to another state.
    Returns the companions that changed, before and after. Raises :class:`CertificateRefusedError`
    if one is needed that was deleted.
    """
    needed = {*wanted, *wanted.values()} - {""}
    rows = {
        row.fingerprint: row
        for row in Certificate.objects.select_for_update().filter(fingerprint__in=needed)
    }
    changed: dict[str, tuple[str, str]] = {}
    for fingerprint, companion in sorted(wanted.items()):
        row = rows.get(fingerprint)
        if row is None:
            continue
        row.refresh_from_db(fields=["companion"])
        current = row.companion.fingerprint if row.companion else ""
        if current == companion:
            continue
        _part(row)
        if companion:
            _join(row, _usable(rows.get(companion), companion))
        changed[fingerprint] = (current, companion)
    return changed


def _usable(row: Certificate | None, fingerprint: str) -> Certificate:
    if row is None or row.deleted_at is not None:
        label = row.label if row else fingerprint[:16]
        params = {"label": label}
        raise CertificateRefusedError(
            Problem("certificate.deleted", subject=fingerprint, params=params)
        )
    row.refresh_from_db(fields=["companion"])
    _part(row)
    return row


def dissolve_pair(row: Certificate) -> None:
    """Free the companion of a certificate that goes; in the caller's transaction and event."""
    _part(row)


def _lock(certificate: Certificate, companion: Certificate) -> tuple[Certificate, Certificate]:
    """Return both rows, locked in one order, so that no two people wait for each other."""
    rows = Certificate.objects.select_for_update().order_by("pk")
    found = {row.pk: row for row in rows.filter(pk__in={certificate.pk, companion.pk})}
    return found[certificate.pk], found[companion.pk]


def _join(first: Certificate, second: Certificate) -> None:
    first.companion, second.companion = second, first
    first.save(update_fields=["companion"])
    second.save(update_fields=["companion"])


def _part(row: Certificate) -> None:
    if row.companion_id is not None:
        Certificate.objects.filter(pk__in={row.pk, row.companion_id}).update(companion=None)
        row.companion = None


def name_briefly(row: Certificate) -> dict[str, str]:
    """Return how an event names a certificate of a pair: they have one label."""
    return {"label": row.label, "key": row.key_description, "fingerprint": row.fingerprint}


def _problem(code: str, row: Certificate, **params: str) -> Problem:
    about = {"label": row.label, "key": row.key_description} | params
    return Problem(code, subject=row.fingerprint, params=about)


def _record(
    actor: Actor, row: Certificate, verb: str, *, before: dict[str, Any], after: dict[str, Any]
) -> None:
    record_event(
        actor=actor,
        verb=verb,
        object_type="certificate",
        object_id=row.pk,
        object_label=row.label,
        before=before,
        after=after,
    )
