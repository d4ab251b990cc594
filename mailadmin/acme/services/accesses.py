"""Accesses to DNS: how records are written into somebody's zones. The secret is sealed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from mailadmin.acme.models import DnsAccess
from mailadmin.acme.sealing import open_secret, seal_secret
from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError


@transaction.atomic
def add_access(
    *, actor: Actor, title: str, kind: str, settings: Mapping[str, Any], secret: str
) -> DnsAccess:
    """Keep an access. Raises :class:`ChangeRefusedError` for a title that is taken."""
    if DnsAccess.objects.filter(title=title).exists():
        raise ChangeRefusedError(Problem("acme.title_taken", params={"title": title}))
    row = DnsAccess.objects.create(
        title=title,
        kind=kind,
        settings=dict(settings),
        secret=seal_secret(secret) if secret else None,
        created_by=actor.name,
    )
    _record(actor, "dns_access.added", row, after=snapshot(row))
    return row


@transaction.atomic
def change_access(
    *, actor: Actor, access: DnsAccess, title: str, settings: Mapping[str, Any], secret: str = ""
) -> DnsAccess:
    """Change an access; an empty ``secret`` leaves the secret as it is.

    Of a provider's secret options those that are not given stay. Raises ``CustodyProblem``.
    """
    row = DnsAccess.objects.select_for_update().get(pk=access.pk)
    if DnsAccess.objects.filter(title=title).exclude(pk=row.pk).exists():
        raise ChangeRefusedError(Problem("acme.title_taken", params={"title": title}))
    before, old = snapshot(row), row.secret
    row.title, row.settings = title, dict(settings)
    if secret:
        row.secret = seal_secret(_with_kept_options(row, secret))
    row.save()
    if secret and old is not None:
        old.delete()
    after = snapshot(row) | ({"is_secret_replaced": True} if secret else {})
    if before != after:
        _record(actor, "dns_access.changed", row, before=before, after=after)
    return row


def _with_kept_options(row: DnsAccess, secret: str) -> str:
    if row.kind != DnsAccess.Kind.LEXICON or row.secret is None:
        return secret
    return json.dumps({**json.loads(open_secret(row.secret)), **json.loads(secret)})


@transaction.atomic
def delete_access(*, actor: Actor, access: DnsAccess) -> None:
    """Forget an access. Raises :class:`ChangeRefusedError` while certificates are proven by it."""
    row = DnsAccess.objects.select_for_update().get(pk=access.pk)
    used = list(row.certificates.all()[:3])
    if used:
        params = {"title": row.title, "where": ", ".join(str(item) for item in used)}
        raise ChangeRefusedError(Problem("acme.dns_access_in_use", params=params))
    _record(actor, "dns_access.deleted", row, before=snapshot(row))
    secret = row.secret
    row.delete()
    if secret is not None:
        secret.delete()


def snapshot(row: DnsAccess) -> dict[str, Any]:
    """Return what an audit event says of an access."""
    return {"title": row.title, "kind": str(row.kind), "settings": dict(row.settings)}


def _record(actor: Actor, verb: str, row: DnsAccess, **what: Any) -> None:
    record_event(
        actor=actor,
        verb=verb,
        object_type="dns_access",
        object_id=row.pk,
        object_label=row.title,
        **what,
    )
