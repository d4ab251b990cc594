"""Requests (CSR): making one, and giving it up.

Each function is one transaction with one audit event. Keys are drawn before it begins, for RSA
takes seconds and a transaction keeps other writers waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.custody import destroy_key_if_unused, seal_key
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import CertificateSigningRequest
from mailadmin.pki.csr import CsrSubject, build_csr, read_csr
from mailadmin.pki.keys import KeyKind, generate_key
from mailadmin.pki.problems import Problem

Status = CertificateSigningRequest.Status


def create_request(
    *, actor: Actor, subject: CsrSubject, names: Sequence[str], key_kind: KeyKind
) -> CertificateSigningRequest:
    """Draw a key and build a request with it; the key waits here, sealed, for its certificate.

    Raises ``CsrProblem`` and ``NameProblem`` for values that no request can have, and
    ``CustodyProblem`` when keys cannot be sealed.
    """
    key = generate_key(key_kind)
    pem = build_csr(key, subject, names).decode("ascii")
    facts = read_csr(pem.encode())
    with transaction.atomic():
        csr = CertificateSigningRequest.objects.create(
            common_name=facts.common_name,
            names=list(facts.names),
            subject={name: value for name, value in asdict(subject).items() if value},
            pem=pem,
            public_key_id=facts.public_key_id,
            key_description=facts.key,
            private_key=seal_key(key),
            created_by=actor.name,
        )
        _record(actor, csr, "csr.created", after=_snapshot(csr))
    return csr


@transaction.atomic
def cancel_request(*, actor: Actor, csr: CertificateSigningRequest) -> CertificateSigningRequest:
    """Give up a pending request and destroy its key.

    Raises :class:`CertificateRefusedError` with ``csr.not_pending``.
    """
    row = CertificateSigningRequest.objects.select_for_update().get(pk=csr.pk)
    if row.status != Status.PENDING:
        params = {"status": row.status}
        raise CertificateRefusedError(Problem("csr.not_pending", params=params))
    key, row.private_key = row.private_key, None
    row.status = Status.CANCELLED
    row.save(update_fields=["private_key", "status"])
    is_destroyed = destroy_key_if_unused(key)
    _record(
        actor,
        row,
        "csr.cancelled",
        before=_snapshot(row) | {"status": str(Status.PENDING)},
        after={"status": str(row.status), "is_key_destroyed": is_destroyed},
    )
    return row


def _snapshot(csr: CertificateSigningRequest) -> dict[str, Any]:
    return {
        "names": csr.names,
        "subject": csr.subject,
        "key": csr.key_description,
        "status": str(csr.status),
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
