"""Taking a private key out of the panel: as a password-protected file, with a reason, on record."""

from __future__ import annotations

import secrets

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.custody import open_key_pem
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import Certificate
from mailadmin.pki.export import ContainerKind, pack_pkcs12
from mailadmin.pki.problems import Problem

SHORTEST_PASSWORD = 12  # characters
LONGEST_PASSWORD = 128
SHORTEST_REASON = 5
LONGEST_REASON = 300
LONGEST_NAME = 64
_FEWEST_DIFFERENT = 5  # characters of a password
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that look alike


@sensitive_variables("password", "key_pem")
@transaction.atomic
def export_key(
    *,
    actor: Actor,
    certificate: Certificate,
    reason: str,
    password: str,
    friendly_name: str = "",
    kind: ContainerKind = ContainerKind.MODERN,
) -> bytes:
    """Return key, certificate and chain as a PKCS#12 file, and record who took it and why.

    Raises :class:`CertificateRefusedError` with ``certificate.deleted``,
    ``certificate.key_not_here`` or a code of ``export``; and ``CustodyProblem`` when the key does
    not open. Whoever calls this has made sure that the person may.
    """
    row = Certificate.objects.select_for_update().get(pk=certificate.pk)
    problems = [*_row_problems(row), *request_problems(reason, password)]
    if problems or row.private_key is None:
        raise CertificateRefusedError(*problems)
    key_pem = open_key_pem(row.private_key)
    name = friendly_name.strip() or row.label
    content = pack_pkcs12(
        key_pem=key_pem.encode(),
        certificates_pem=(row.leaf_pem + row.chain_pem).encode(),
        password=password,
        friendly_name=name[:LONGEST_NAME],
        kind=kind,
    )
    record_event(
        actor=actor,
        verb="certificate.key_exported",
        object_type="certificate",
        object_id=row.pk,
        object_label=row.label,
        reason=reason.strip(),
        after={
            "fingerprint": row.fingerprint,
            "key": row.key_description,
            "file": str(kind),
            "friendly_name": name[:LONGEST_NAME],
        },
    )
    return content


@sensitive_variables("password")
def request_problems(reason: str, password: str) -> list[Problem]:
    """Return what is wrong with the reason or the password; ``subject`` names which of them."""
    problems = []
    if len(reason.strip()) < SHORTEST_REASON:
        problems.append(Problem("export.reason_missing", subject="reason"))
    if len(reason) > LONGEST_REASON:
        params = {"limit": LONGEST_REASON}
        problems.append(Problem("export.reason_too_long", subject="reason", params=params))
    weakness = _password_problem(password)
    return [*problems, weakness] if weakness else problems


def suggest_password() -> str:
    """Return a password drawn now and kept nowhere: 20 letters and digits, 99 bits."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))
    return "-".join(groups)


def _password_problem(password: str) -> Problem | None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        params = {"minimum": SHORTEST_PASSWORD, "limit": LONGEST_PASSWORD}
        return Problem("export.password_length", subject="password", params=params)
    if not (password.isascii() and password.isprintable()):
        return Problem("export.password_not_plain", subject="password")
    try:
        validate_password(password)
    except ValidationError:
        return Problem("export.password_guessable", subject="password")
    if len(set(password)) < _FEWEST_DIFFERENT:
        return Problem("export.password_guessable", subject="password")
    return None


def _row_problems(row: Certificate) -> list[Problem]:
    params = {"label": row.label}
    if row.deleted_at is not None:
        return [Problem("certificate.deleted", subject=row.fingerprint, params=params)]
    if row.private_key is None:
        return [Problem("certificate.key_not_here", subject=row.fingerprint, params=params)]
    return []
