"""The key and the request before an order is finalized, and the certificate after it."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from mailadmin.acme.models import AcmeCertificate, AcmeOrder
from mailadmin.acme.runner.claiming import keep
from mailadmin.acme.runner.events import tell_problem
from mailadmin.audit.actors import Actor
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.judging import judge_upload
from mailadmin.certificates.models import Certificate, CertificateSigningRequest
from mailadmin.certificates.requesting import (
    cancel_request,
    create_request,
    create_request_with_kept_key,
)
from mailadmin.certificates.services import store_certificate
from mailadmin.pki.csr import CsrSubject
from mailadmin.pki.keys import KeyKind, generate_key
from mailadmin.pki.keys import PrivateKey as NewKey
from mailadmin.pki.problems import Severity

KeyChoice = AcmeCertificate.KeyChoice


def obtain_csr(order: AcmeOrder, *, has_tlsa: Callable[[], bool]) -> CertificateSigningRequest:
    """Return the order's request; its key is in custody before the authority sees it.

    ``has_tlsa`` looks whether a TLSA record may name the key that is served. Raises
    ``CertificateRefusedError`` and ``CustodyProblem``.
    """
    if order.csr is not None:
        return order.csr
    is_key_kept = _is_key_kept(order, has_tlsa)
    # Drawn before the transaction: RSA takes seconds, in which nobody else could write.
    key = None if is_key_kept else generate_key(KeyKind(order.acme_certificate.key_kind))
    with transaction.atomic():
        csr = _make_request(order, key)
        keep(order, csr=csr)
    return csr


def store_issued(order: AcmeOrder, chain_pem: str) -> Certificate:
    """Store what the authority sent; its request is answered by that.

    Raises ``CertificateRefusedError`` when it is not what was ordered, or unfit to be served.
    """
    verdict = judge_upload([chain_pem.encode()], now=timezone.now())
    stored = store_certificate(actor=actor_of(order), verdict=verdict, is_confirmed=True)
    for problem in verdict.problems:
        if problem.severity is Severity.WARNING:
            tell_problem(order, problem)
    return stored.certificate


def give_up_request(order: AcmeOrder, actor: Actor | None = None) -> None:
    """Destroy the key that was drawn for an order that came to nothing.

    ``actor`` gave it up, if it was not who asked for it.
    """
    csr = order.csr
    if csr is None or csr.status != CertificateSigningRequest.Status.PENDING:
        return
    try:
        cancel_request(actor=actor or actor_of(order), csr=csr)
    except CertificateRefusedError:
        # Answered or cancelled in the same moment: nothing waits any more.
        return


def actor_of(order: AcmeOrder) -> Actor:
    """Return who asked for the order."""
    return Actor(**order.actor)


def _is_key_kept(order: AcmeOrder, has_tlsa: Callable[[], bool]) -> bool:
    wanted = order.acme_certificate
    before = wanted.certificate
    if before is None or before.private_key_id is None or wanted.key_choice == KeyChoice.NEW:
        return False
    if wanted.key_choice == KeyChoice.KEEP:
        return True
    return has_tlsa()


def _make_request(order: AcmeOrder, key: NewKey | None) -> CertificateSigningRequest:
    """Build the request: alternative names alone, for that is where clients look.

    Without a ``key`` the one of the certificate before is kept.
    """
    wanted = order.acme_certificate
    before = wanted.certificate
    if key is None and before is not None:
        return create_request_with_kept_key(
            actor=actor_of(order), subject=CsrSubject(), names=order.names, renews=before
        )
    return create_request(
        actor=actor_of(order),
        subject=CsrSubject(),
        names=order.names,
        key_kind=KeyKind(wanted.key_kind),
        key=key,
        renews=before,
    )
