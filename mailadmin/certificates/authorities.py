"""Private authorities that the admin trusts: judging a root, adding it, taking it away.

=========================  =======================================================================
code (all errors)          params
=========================  =======================================================================
authority.nothing
authority.several          names, count
authority.key_present
authority.not_a_ca         name
authority.not_self_signed  name, issuer
authority.cannot_sign      name
authority.expired          name, not_after
authority.not_yet_valid    name, not_before
authority.public           name
authority.known            name
=========================  =======================================================================

A root with a weak key is refused with the codes of :mod:`mailadmin.pki.keys`. How a root signed
itself does not matter: nobody verifies that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.bounded import find_stop
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.known_keys import find_known_keys
from mailadmin.certificates.models import Certificate, TrustedAuthority
from mailadmin.certificates.trust import find_public_roots
from mailadmin.pki.bundle import Parts, Verdict
from mailadmin.pki.certificate import (
    CertificateFacts,
    certificate_problem,
    load_x509,
    read_certificate,
)
from mailadmin.pki.facts import read_public_key
from mailadmin.pki.keys import key_problems
from mailadmin.pki.offered import read_certificates
from mailadmin.pki.problems import Param, Problem, has_errors
from mailadmin.pki.weak_keys import key_digest, listed_key_problems
from mailadmin.pki.x509_fields import is_issued_by

_NAME_LENGTH = 255
_NAMES_SHOWN = 3


def choose_root(parts: Parts) -> CertificateFacts:
    """Return the one certificate that was given.

    Raises :class:`CertificateRefusedError` for none, for several, and for any private key: one
    that can be opened, and one that waits for its password; and for what kept them from being read.
    """
    stop = find_stop(parts.problems)
    if stop is not None:
        raise CertificateRefusedError(stop)
    if parts.private_keys or any(problem.code.startswith("key.") for problem in parts.problems):
        raise CertificateRefusedError(Problem("authority.key_present"))
    found = {facts.fingerprint: facts for facts in parts.certificates}
    if not found:
        raise CertificateRefusedError(Problem("authority.nothing"))
    if len(found) > 1:
        names = ", ".join(facts.title for facts in list(found.values())[:_NAMES_SHOWN])
        params: dict[str, Param] = {"names": names, "count": len(found)}
        raise CertificateRefusedError(Problem("authority.several", params=params))
    return next(iter(found.values()))


def find_unknown_root(verdict: Verdict) -> CertificateFacts | None:
    """Return the root that an upload brought along for its chain and that nobody trusts yet."""
    if verdict.leaf is None or verdict.leaf.is_self_signed or verdict.trusted_by:
        return None
    return verdict.anchor


def judge_root(root: CertificateFacts, now: datetime) -> list[Problem]:
    """Say what keeps a certificate from being trusted as a root."""
    return [*_kind_problems(root), *_time_problems(root, now), *_key_problems(root)]


def trust_authority(
    *, actor: Actor, root: CertificateFacts, now: datetime, note: str = ""
) -> TrustedAuthority:
    """Trust a private root: chains that end there are whole from now on.

    Raises :class:`CertificateRefusedError`.
    """
    problems = judge_root(root, now)
    if not has_errors(problems) and find_public_roots().find_stores(root):
        problems = [certificate_problem("authority.public", root)]
    if has_errors(problems):
        raise CertificateRefusedError(*problems)
    with transaction.atomic():
        row, is_new = TrustedAuthority.objects.get_or_create(
            fingerprint=root.fingerprint,
            defaults={
                "pem": root.pem,
                "title": root.title,
                "subject": root.subject,
                "not_after": root.not_after,
                "note": note[:_NAME_LENGTH],
                "created_by": actor.name,
            },
        )
        if not is_new:
            raise CertificateRefusedError(certificate_problem("authority.known", root))
        _record(actor, row, "authority.trusted", after=_snapshot(row))
    return row


def distrust_authority(*, actor: Actor, authority: TrustedAuthority) -> list[Certificate]:
    """Take a root off the list, and return the certificates whose chain ends there.

    They stay as they are and are still served; only the panel says from now on that it does not
    know their root.
    """
    with transaction.atomic():
        row = TrustedAuthority.objects.select_for_update().get(pk=authority.pk)
        dependents = find_dependents(row)
        before = _snapshot(row) | {
            "certificates": [certificate.label for certificate in dependents]
        }
        _record(actor, row, "authority.distrusted", before=before)
        row.delete()
    return dependents


def find_dependents(authority: TrustedAuthority) -> list[Certificate]:
    """Return the certificates whose chain ends at the root. Two queries.

    Many certificates share one chain, so each chain is looked at once.
    """
    root = read_certificate(authority.pem.encode())
    kept = Certificate.objects.filter(deleted_at=None, is_self_signed=False)
    chains = kept.order_by().values_list("chain_pem", flat=True).distinct()
    ending_here = [chain for chain in chains if chain and _ends_at(chain, root)]
    named = kept.filter(chain_pem__in=ending_here) | kept.filter(
        chain_pem="", issuer=authority.subject
    )
    return [row for row in named if row.chain_pem or _is_signed_by(row.leaf_pem, root)]


def _ends_at(chain_pem: str, root: CertificateFacts) -> bool:
    chain = read_certificates(chain_pem.encode())
    return bool(chain) and is_issued_by(load_x509(chain[-1]), load_x509(root))


def _is_signed_by(leaf_pem: str, root: CertificateFacts) -> bool:
    return is_issued_by(load_x509(read_certificate(leaf_pem.encode())), load_x509(root))


def _kind_problems(root: CertificateFacts) -> Iterator[Problem]:
    if not root.is_ca:
        yield certificate_problem("authority.not_a_ca", root)
    elif not root.is_self_signed:
        yield certificate_problem("authority.not_self_signed", root, issuer=root.issuer_title)
    elif "keyCertSign" not in root.key_usages:
        # RFC 5280, section 4.2.1.3: an authority must say so.
        yield certificate_problem("authority.cannot_sign", root)


def _time_problems(root: CertificateFacts, now: datetime) -> Iterator[Problem]:
    if root.is_expired(now):
        yield certificate_problem("authority.expired", root, not_after=root.not_after.isoformat())
    elif now < root.not_before:
        begin = root.not_before.isoformat()
        yield certificate_problem("authority.not_yet_valid", root, not_before=begin)


def _key_problems(root: CertificateFacts) -> Iterator[Problem]:
    public_key = read_public_key(load_x509(root))
    problems: Sequence[Problem] = (
        [
            *key_problems(public_key),
            *listed_key_problems(key_digest(public_key), find_known_keys()),
        ]
        if public_key
        else [Problem("key.unsupported", params={"key": root.key})]
    )
    for problem in problems:
        yield certificate_problem(problem.code, root, problem.severity, **problem.params)


def _snapshot(row: TrustedAuthority) -> dict[str, Any]:
    return {
        "fingerprint": row.fingerprint,
        "subject": row.subject,
        "not_after": row.not_after.isoformat(),
        "note": row.note,
    }


def _record(
    actor: Actor,
    row: TrustedAuthority,
    verb: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    record_event(
        actor=actor,
        verb=verb,
        object_type="authority",
        object_id=row.pk,
        object_label=row.title,
        before=before,
        after=after,
    )
