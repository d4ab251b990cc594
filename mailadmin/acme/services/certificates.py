"""Certificates to be had by ACME: what is wanted, from whom, how it is proven and renewed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from django.db import transaction

from mailadmin.acme.models import AcmeAccount, AcmeCertificate, AcmeOrder
from mailadmin.acme.terms import Terms
from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.models import Certificate
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer

_NAMES_IN_EVENT = 100


@transaction.atomic
def add_acme_certificate(
    *,
    actor: Actor,
    server: MailServer | None,
    names: Sequence[str],
    terms: Terms,
    replaces: Certificate | None = None,
) -> AcmeCertificate:
    """Keep that a certificate for these names is to be had; ``request_order`` then orders it.

    ``replaces`` is a certificate of the panel whose place the first one takes. Raises
    :class:`ChangeRefusedError` when the same names are to be had already with the same kind of key.
    """
    _refuse_deactivated(terms)
    _refuse_twice(names, terms, None)
    row = AcmeCertificate.objects.create(
        server=server,
        names=list(names),
        certificate=replaces,
        created_by=actor.name,
        **_fields(terms),
    )
    _record(actor, "acme_certificate.added", row, after=snapshot(row))
    return row


@transaction.atomic
def change_acme_certificate(
    *, actor: Actor, acme_certificate: AcmeCertificate, names: Sequence[str], terms: Terms
) -> AcmeCertificate:
    """Change what is wanted from the next order on.

    Raises :class:`ChangeRefusedError` while an order is under way.
    """
    row = AcmeCertificate.objects.select_for_update().get(pk=acme_certificate.pk)
    _refuse_under_way(row)
    _refuse_deactivated(terms)
    _refuse_twice(names, terms, row)
    before = snapshot(row)
    row.names = list(names)
    for name, value in _fields(terms).items():
        setattr(row, name, value)
    after = snapshot(row)
    if before != after:
        row.save()
        _record(actor, "acme_certificate.changed", row, before=before, after=after)
    return row


@transaction.atomic
def forget_acme_certificate(*, actor: Actor, acme_certificate: AcmeCertificate) -> None:
    """Renew it no more. The certificate itself stays, and is served until it expires.

    Raises :class:`ChangeRefusedError` while an order is under way.
    """
    row = AcmeCertificate.objects.select_for_update().get(pk=acme_certificate.pk)
    _refuse_under_way(row)
    _record(actor, "acme_certificate.forgotten", row, before=snapshot(row))
    row.delete()


def snapshot(row: AcmeCertificate) -> dict[str, Any]:
    """Return what an audit event says of it."""
    return {
        "names": row.names[:_NAMES_IN_EVENT],
        "account": row.account.title,
        "fallback": row.fallback_account.title if row.fallback_account else "",
        "challenge": str(row.challenge),
        "answered_by": str(row.http_way) if row.challenge == "http-01" else _access(row),
        "key": str(row.key_kind),
        "key_choice": str(row.key_choice),
        "profile": row.profile,
        "is_deployed_automatically": row.is_deployed_automatically,
        "is_renewed_automatically": row.is_renewed_automatically,
    }


def _access(row: AcmeCertificate) -> str:
    return row.dns_access.title if row.dns_access else ""


def _fields(terms: Terms) -> dict[str, Any]:
    return {field.name: getattr(terms, field.name) for field in fields(terms)}


def _refuse_under_way(row: AcmeCertificate) -> None:
    order = AcmeOrder.objects.filter(acme_certificate=row, status__in=AcmeOrder.UNDER_WAY).first()
    if order is not None:
        raise ChangeRefusedError(Problem("acme.order_under_way", params={"name": row.label}))


def _refuse_deactivated(terms: Terms) -> None:
    for account in (terms.account, terms.fallback_account):
        if account is not None and account.status == AcmeAccount.Status.DEACTIVATED:
            raise ChangeRefusedError(
                Problem("acme.account_deactivated", params={"title": account.title})
            )


def _refuse_twice(names: Sequence[str], terms: Terms, but: AcmeCertificate | None) -> None:
    rows = AcmeCertificate.objects.filter(key_kind=terms.key_kind)
    for row in rows.exclude(pk=but.pk) if but else rows:
        if set(row.names) == set(names):
            raise ChangeRefusedError(Problem("acme.names_taken", params={"name": row.label}))


def _record(actor: Actor, verb: str, row: AcmeCertificate, **what: Any) -> None:
    record_event(
        actor=actor,
        verb=verb,
        object_type="acme_certificate",
        object_id=row.pk,
        object_label=row.label,
        **what,
    )
