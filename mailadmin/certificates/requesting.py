"""Requests (CSR): making one, renewing with one, keeping track of one made elsewhere, giving it up.

Each function is one transaction with one audit event. Keys are drawn before it begins, for RSA
takes seconds and a transaction keeps other writers waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates import selectors
from mailadmin.certificates.custody import destroy_key_if_unused, open_key_pem, seal_key
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.known_keys import find_known_keys
from mailadmin.certificates.models import Certificate, CertificateSigningRequest, PrivateKey
from mailadmin.pki.csr import CsrFacts, CsrSubject, build_csr, read_csr
from mailadmin.pki.csr_judging import judge_csr, usable_names
from mailadmin.pki.keys import KeyKind, generate_key, load_private_key
from mailadmin.pki.keys import PrivateKey as NewKey
from mailadmin.pki.problems import Problem, Severity

_COMMON_NAME_LENGTH = 255
_NAMES_IN_EVENT = 100

Status = CertificateSigningRequest.Status


class KeyFate(StrEnum):
    """What became of the key of a request that was given up."""

    DESTROYED = "destroyed"
    STILL_USED = "still_used"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A request that was given up."""

    csr: CertificateSigningRequest
    key_fate: KeyFate


def create_request(
    *,
    actor: Actor,
    subject: CsrSubject,
    names: Sequence[str],
    key_kind: KeyKind,
    key: NewKey | None = None,
    renews: Certificate | None = None,
) -> CertificateSigningRequest:
    """Draw a key and build a request with it; the key waits here, sealed, for its certificate.

    ``key`` is one of that kind, from who is in a transaction already; ``renews`` is the
    certificate that the answer will take the place of. Raises ``CsrProblem``
    and ``NameProblem`` for values that no request can have, and ``CustodyProblem`` when keys
    cannot be sealed.
    """
    key = key or generate_key(key_kind)
    facts = read_csr(build_csr(key, subject, names))
    with transaction.atomic():
        csr = _insert(actor, facts, seal_key(key), subject=subject, renews=renews)
        _record(actor, csr, "csr.created", after=_snapshot(csr))
    return csr


@transaction.atomic
def create_request_with_kept_key(
    *, actor: Actor, subject: CsrSubject, names: Sequence[str], renews: Certificate
) -> CertificateSigningRequest:
    """Build a request that the certificate's own key signs, so that the next one has the same key.

    Raises as :func:`create_request` does, and :class:`CertificateRefusedError` with
    ``csr.key_not_here``, ``csr.key_waits_already``, or what makes the key useless.
    """
    row = Certificate.objects.select_for_update().get(pk=renews.pk)
    if row.private_key is None:
        raise _refusal("csr.key_not_here", label=row.label)
    _refuse_second_request(row.public_key_id)
    key = load_private_key(open_key_pem(row.private_key).encode())
    facts = read_csr(build_csr(key, subject, names))
    _refuse_useless(facts)
    csr = _insert(actor, facts, row.private_key, subject=subject, renews=row)
    _record(actor, csr, "csr.created", after=_snapshot(csr))
    return csr


@transaction.atomic
def track_request(
    *, actor: Actor, facts: CsrFacts, renews: Certificate | None = None
) -> CertificateSigningRequest:
    """Remember a request that another program made, so that its answer is recognised.

    Its key stays where it is, unless it is here already. Raises :class:`CertificateRefusedError`
    with what makes the request useless, ``csr.tracked_already`` or ``csr.key_waits_already``.
    """
    _refuse_useless(facts)
    _refuse_known_request(facts)
    _refuse_second_request(facts.public_key_id)
    key = PrivateKey.objects.filter(public_key_id=facts.public_key_id).first()
    # A key that a certificate has already: the answer is that one's heir.
    renews = renews or selectors.find_newest_with_key([facts.public_key_id])
    csr = _insert(actor, facts, key, renews=renews, is_key_elsewhere=key is None)
    _record(actor, csr, "csr.tracked", after=_snapshot(csr))
    return csr


@transaction.atomic
def cancel_request(*, actor: Actor, csr: CertificateSigningRequest) -> Cancelled:
    """Give up a pending request, and destroy its key unless something else needs it.

    Raises :class:`CertificateRefusedError` with ``csr.not_pending``.
    """
    row = CertificateSigningRequest.objects.select_for_update().get(pk=csr.pk)
    if row.status != Status.PENDING:
        raise _refusal("csr.not_pending", status=row.status)
    before = _snapshot(row)
    key, row.private_key = row.private_key, None
    row.status = Status.CANCELLED
    row.save(update_fields=["private_key", "status"])
    fate = _destroy_key(key)
    after = {
        "status": str(row.status),
        "is_key_destroyed": fate is KeyFate.DESTROYED,
        "key_fate": str(fate),
        "public_key_id": row.public_key_id,
    }
    _record(actor, row, "csr.cancelled", before=before, after=after)
    return Cancelled(row, fate)


def _destroy_key(key: PrivateKey | None) -> KeyFate:
    if key is None:
        return KeyFate.ELSEWHERE
    return KeyFate.DESTROYED if destroy_key_if_unused(key) else KeyFate.STILL_USED


def _insert(
    actor: Actor,
    facts: CsrFacts,
    key: PrivateKey | None,
    *,
    renews: Certificate | None,
    subject: CsrSubject | None = None,
    is_key_elsewhere: bool = False,
) -> CertificateSigningRequest:
    fields = asdict(subject) if subject else {}
    return CertificateSigningRequest.objects.create(
        common_name=facts.common_name[:_COMMON_NAME_LENGTH],
        names=list(usable_names(facts)),
        subject={name: value for name, value in fields.items() if value},
        pem=facts.pem,
        public_key_id=facts.public_key_id,
        key_description=facts.key,
        private_key=key,
        is_key_elsewhere=is_key_elsewhere,
        renews=renews,
        created_by=actor.name,
    )


def _refuse_useless(facts: CsrFacts) -> None:
    problems = judge_csr(facts, find_known_keys())
    errors = [item for item in problems if item.severity is Severity.ERROR]
    if errors:
        raise CertificateRefusedError(*errors)


def _refuse_known_request(facts: CsrFacts) -> None:
    for row in selectors.list_pending_requests().filter(public_key_id=facts.public_key_id):
        if read_csr(row.pem.encode()).der == facts.der:
            raise _refusal("csr.tracked_already", row, created_at=row.created_at.isoformat())


def _refuse_second_request(public_key_id: str) -> None:
    """Refuse a key that waits for a certificate already: which request would that one answer?"""
    row = selectors.lock_pending_request(public_key_id)
    if row is not None:
        raise _refusal("csr.key_waits_already", row, name=str(row))


def _refusal(
    code: str, csr: CertificateSigningRequest | None = None, **params: str
) -> CertificateRefusedError:
    return CertificateRefusedError(Problem(code, subject=str(csr.pk) if csr else "", params=params))


def _snapshot(csr: CertificateSigningRequest) -> dict[str, Any]:
    """Return what an event says of a request; a list of thousands of names is cut short."""
    return {
        "names": csr.names[:_NAMES_IN_EVENT],
        "subject": csr.subject,
        "key": csr.key_description,
        "public_key_id": csr.public_key_id,
        "status": str(csr.status),
        "is_key_elsewhere": csr.is_key_elsewhere,
        "renews": csr.renews_id,
    }


def _record(
    actor: Actor,
    csr: CertificateSigningRequest,
    verb: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    record_event(
        actor=actor,
        verb=verb,
        object_type="csr",
        object_id=csr.pk,
        object_label=str(csr),
        before=before,
        after=after,
    )
