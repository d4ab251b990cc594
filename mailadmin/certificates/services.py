"""Changing what the panel holds: certificates and their keys; for requests see ``requesting``.

Each function is one transaction with one audit event. Keys are drawn before it begins, for RSA
takes seconds and a transaction keeps other writers waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.utils import timezone

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates import selectors
from mailadmin.certificates.custody import destroy_key_if_unused, open_key_pem, seal_key
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import Certificate, CertificateSigningRequest, PrivateKey
from mailadmin.certificates.pairing import dissolve_pair
from mailadmin.certificates.succession import (
    GUESSED,
    Guess,
    find_predecessor,
    link_predecessor,
    name_predecessor,
)
from mailadmin.pki.bundle import Verdict
from mailadmin.pki.certificate import (
    CertificateFacts,
    certificate_problem,
    make_self_signed,
    read_certificate,
)
from mailadmin.pki.keys import (
    KeyKind,
    KeyProblem,
    generate_key,
    load_private_key,
    public_key_id,
)
from mailadmin.pki.offered import read_certificates
from mailadmin.pki.problems import Problem, Severity
from mailadmin.pki.roots import Store

_NAME_LENGTH = 255
_SERIAL_LENGTH = 64
_NAMES_IN_EVENT = 100

Origin = Certificate.Origin
Status = CertificateSigningRequest.Status


class StoreResult(StrEnum):
    """What storing a certificate changed."""

    ADDED = "added"
    RESTORED = "restored"
    COMPLETED = "completed"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored certificate, what that changed, and the request it answers."""

    certificate: Certificate
    result: StoreResult
    csr: CertificateSigningRequest | None = None


@transaction.atomic
def store_certificate(
    *,
    actor: Actor,
    verdict: Verdict,
    is_confirmed: bool = False,
    origin: Origin = Origin.UPLOADED,
    predecessor: Certificate | Guess | None = GUESSED,
) -> Stored:
    """Store what the verdict found: the leaf, its chain, and its key if the upload held one.

    Storing the same leaf again adds what was missing (its chain, its key) or changes nothing.
    ``predecessor`` is what it replaces (``None``: no other one); unless told, what its request
    renews, or for a new one what :mod:`mailadmin.certificates.succession` finds.
    Raises :class:`CertificateRefusedError` with the verdict's errors, or with its warnings when
    one must be confirmed and was not; ``CustodyProblem`` when keys cannot be sealed or opened.
    """
    leaf = _require_acceptance(verdict, is_confirmed)
    # The request first: its row is locked, so that nobody cancels it and destroys the key.
    csr = selectors.lock_pending_request(leaf.public_key_id)
    if csr is not None and not selectors.is_answer(csr, leaf):
        csr = None
    key = _take_key(verdict, leaf)
    if predecessor is GUESSED and not selectors.is_known(leaf.fingerprint):
        predecessor = find_predecessor(leaf)
    if csr is not None:
        csr.status = Status.ISSUED
        csr.save(update_fields=["status"])
        origin = Origin.REQUESTED
    row, is_new = _get_or_insert(
        actor, leaf, verdict.chain_pem, origin, key, root_pem=_private_root_pem(verdict)
    )
    before = _snapshot(row)
    _link(row, csr, predecessor)
    if verdict.private_key is not None:
        _complete_others(actor, row, key)
    if is_new:
        _record(actor, row, "certificate.uploaded", after=_snapshot(row) | _answer(csr))
        return Stored(row, StoreResult.ADDED, csr)
    return Stored(row, _complete(actor, row, verdict, key, before), csr)


def create_self_signed(
    *, actor: Actor, names: Sequence[str], key_kind: KeyKind, now: datetime, days: int = 365
) -> Certificate:
    """Draw a key and make a certificate signed by itself, for a start without an authority.

    Raises ``NameProblem`` for names no certificate can have, and ``CustodyProblem``.
    """
    key = generate_key(key_kind)
    leaf = read_certificate(make_self_signed(key, names, now, days))
    with transaction.atomic():
        row, _ = _get_or_insert(actor, leaf, "", Origin.SELF_SIGNED, seal_key(key))
        _record(actor, row, "certificate.self_signed", after=_snapshot(row))
    return row


@transaction.atomic
def register_found_certificate(*, actor: Actor, leaf_pem: str, chain_pem: str = "") -> Certificate:
    """Remember a certificate that the mail server was found to serve; its key stays there.

    One that is known already is returned as it is; one that was deleted is taken back.
    Raises ``CertificateProblem`` for text that is no certificate.
    """
    leaf = read_certificate(leaf_pem.encode())
    chain = "".join(facts.pem for facts in read_certificates(chain_pem.encode()))
    row, is_new = _get_or_insert(actor, leaf, chain, Origin.FOUND, None)
    if is_new:
        _record(actor, row, "certificate.found", after=_snapshot(row))
    elif row.deleted_at is not None:
        row.deleted_at = None
        row.save(update_fields=["deleted_at"])
        _record(actor, row, "certificate.found", after=_snapshot(row))
    return row


@transaction.atomic
def keep_found_key(*, actor: Actor, certificate: Certificate, key_pem: str) -> bool:
    """Seal the key of a certificate that was found on the mail server; it stays there as well.

    Returns False for one whose key is here already. Raises :class:`CertificateRefusedError` for a
    key that is not its own or cannot be used, and ``CustodyProblem``.
    """
    row = Certificate.objects.select_for_update().get(pk=certificate.pk)
    if row.private_key_id is not None:
        return False
    try:
        key = load_private_key(key_pem.encode())
    except KeyProblem as error:
        raise CertificateRefusedError(error.problem) from None
    if public_key_id(key) != row.public_key_id:
        raise _refusal("key.of_another", row, label=row.label)
    before, row.private_key = _snapshot(row), seal_key(key)
    row.save(update_fields=["private_key"])
    _record(actor, row, "certificate.key_imported", before=before, after=_snapshot(row))
    return True


@transaction.atomic
def complete_chain(*, actor: Actor, certificate: Certificate, verdict: Verdict) -> bool:
    """Give a stored certificate what the verdict found for its chain; return whether it was new.

    Raises :class:`CertificateRefusedError` with ``certificate.deleted``.
    """
    row = Certificate.objects.select_for_update().get(pk=certificate.pk)
    if row.deleted_at is not None:
        raise _refusal("certificate.deleted", row, label=row.label)
    before = _snapshot(row)
    _take_chain(row, verdict)
    after = _snapshot(row)
    if before == after:
        return False
    row.save(update_fields=["chain_pem", "root_pem"])
    _record(actor, row, "certificate.completed", before=before, after=after)
    return True


@transaction.atomic
def delete_certificate(*, actor: Actor, certificate: Certificate) -> bool:
    """Take a certificate out of the list and destroy its key; the public part stays for history.

    Returns whether a key was destroyed: not when another certificate or request needs it. Raises
    :class:`CertificateRefusedError` with ``certificate.in_use`` or ``certificate.deleted``.
    """
    row = Certificate.objects.select_for_update().get(pk=certificate.pk)
    if row.deleted_at is not None:
        raise _refusal("certificate.deleted", row, label=row.label)
    uses = selectors.find_uses(row)
    if uses:
        where = ", ".join(f"{use.where} ({use.kind})" for use in uses)
        raise _refusal("certificate.in_use", row, where=where)
    before = _snapshot(row)
    dissolve_pair(row)
    key, row.private_key = row.private_key, None
    row.deleted_at = timezone.now()
    row.save(update_fields=["private_key", "deleted_at"])
    is_destroyed = destroy_key_if_unused(key)
    after = {"is_key_destroyed": is_destroyed}
    _record(actor, row, "certificate.deleted", before=before, after=after)
    return is_destroyed


def _require_acceptance(verdict: Verdict, is_confirmed: bool) -> CertificateFacts:
    if not verdict.is_accepted or verdict.leaf is None:
        errors = (item for item in verdict.problems if item.severity is Severity.ERROR)
        raise CertificateRefusedError(*errors)
    if verdict.needs_confirmation and not is_confirmed:
        raise CertificateRefusedError(Problem("upload.confirmation_needed"))
    return verdict.leaf


def _link(
    row: Certificate,
    csr: CertificateSigningRequest | None,
    predecessor: Certificate | Guess | None,
) -> None:
    """Say what the certificate replaces; one that was here keeps what it has unless told."""
    if isinstance(predecessor, Guess):
        renewed = csr.renews if csr else None
        predecessor = row.replaces if renewed is None or renewed.pk == row.pk else renewed
    if row.replaces != predecessor:
        link_predecessor(row, predecessor)


def _take_key(verdict: Verdict, leaf: CertificateFacts) -> PrivateKey | None:
    """Seal the uploaded key, or make sure that the one that waits here can still be opened.

    None for a key that is known to be elsewhere.
    """
    if verdict.private_key is not None:
        return seal_key(verdict.private_key)
    row = PrivateKey.objects.filter(public_key_id=leaf.public_key_id).first()
    if row is None:
        if selectors.find_key_ids_elsewhere([leaf.public_key_id]):
            return None
        # The request was cancelled since the verdict.
        raise CertificateRefusedError(certificate_problem("key.missing", leaf))
    open_key_pem(row)
    return row


def _get_or_insert(
    actor: Actor,
    leaf: CertificateFacts,
    chain_pem: str,
    origin: Origin,
    key: PrivateKey | None,
    *,
    root_pem: str = "",
) -> tuple[Certificate, bool]:
    """Return the locked row of this leaf, and whether it is new."""
    return Certificate.objects.select_for_update().get_or_create(
        fingerprint=leaf.fingerprint,
        defaults={
            "leaf_pem": leaf.pem,
            "chain_pem": chain_pem,
            "root_pem": root_pem,
            "common_name": leaf.common_name[:_NAME_LENGTH],
            "names": list(leaf.names),
            "subject": leaf.subject,
            "issuer": leaf.issuer,
            "issuer_name": leaf.issuer_title[:_NAME_LENGTH],
            "serial": leaf.serial_hex[:_SERIAL_LENGTH],
            "not_before": leaf.not_before,
            "not_after": leaf.not_after,
            "key_description": leaf.key,
            "public_key_id": leaf.public_key_id,
            "is_self_signed": leaf.is_self_signed,
            "private_key": key,
            "origin": origin,
            "created_by": actor.name,
        },
    )


def _complete_others(actor: Actor, row: Certificate, key: PrivateKey | None) -> None:
    """Give an uploaded key also to the other certificates that were here without it."""
    others = Certificate.objects.select_for_update().filter(
        public_key_id=row.public_key_id, private_key=None, deleted_at=None
    )
    for other in others.exclude(pk=row.pk):
        before, other.private_key = _snapshot(other), key
        other.save(update_fields=["private_key"])
        _record(actor, other, "certificate.completed", before=before, after=_snapshot(other))


def _complete(
    actor: Actor,
    row: Certificate,
    verdict: Verdict,
    key: PrivateKey | None,
    before: dict[str, Any],
) -> StoreResult:
    """Add to a known certificate what it lacked: its key, its chain, or its place in the list."""
    was_deleted, row.deleted_at = row.deleted_at is not None, None
    row.private_key = key or row.private_key
    _take_chain(row, verdict)
    after = _snapshot(row)
    if before == after:
        return StoreResult.KNOWN
    row.save(update_fields=["deleted_at", "private_key", "chain_pem", "root_pem"])
    verb = "certificate.restored" if was_deleted else "certificate.completed"
    _record(actor, row, verb, before=before, after=after)
    return StoreResult.RESTORED if was_deleted else StoreResult.COMPLETED


def _take_chain(row: Certificate, verdict: Verdict) -> None:
    """Take the chain and the private root of the verdict, if they are no worse than those here.

    A chain with a gap never replaces one that may be whole; it may make it longer.
    """
    is_longer = verdict.chain_pem.startswith(row.chain_pem)
    if verdict.chain and (is_longer or not verdict.needs_confirmation):
        row.chain_pem = verdict.chain_pem
    row.root_pem = _private_root_pem(verdict) or row.root_pem


def _private_root_pem(verdict: Verdict) -> str:
    """Return the root of the chain, unless it is a public one, which is found again anyhow."""
    is_public = verdict.trusted_by & {Store.SYSTEM, Store.MOZILLA}
    return verdict.anchor.pem if verdict.anchor and not is_public else ""


def _refusal(code: str, row: Certificate, **params: str) -> CertificateRefusedError:
    return CertificateRefusedError(Problem(code, subject=row.fingerprint, params=params))


def _snapshot(row: Certificate) -> dict[str, Any]:
    """Return what an event says of a certificate; a list of thousands of names is cut short."""
    return row.as_snapshot() | {
        "names": row.names[:_NAMES_IN_EVENT],
        "origin": str(row.origin),
        "intermediates": row.chain_pem.count("-----BEGIN "),
        "has_private_root": bool(row.root_pem),
        "is_key_here": row.private_key_id is not None,
        "is_deleted": row.deleted_at is not None,
        **({"replaces": name_predecessor(row.replaces)} if row.replaces else {}),
        **({"served_beside": row.companion.fingerprint} if row.companion else {}),
    }


def _answer(csr: CertificateSigningRequest | None) -> dict[str, Any]:
    return {"answers_request": csr.pk} if csr else {}


def _record(
    actor: Actor,
    row: Certificate,
    verb: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
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
