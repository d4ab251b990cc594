"""Accounts at authorities: each change is a row and an audit event; the errand itself is queued."""

from __future__ import annotations

from typing import Any, Protocol

from django.db import transaction
from django.utils import timezone

from mailadmin.acme import tasks
from mailadmin.acme.models import AcmeAccount, AcmeOrder
from mailadmin.acme.runner.accounts import find_order_in_the_way
from mailadmin.acme.sealing import seal_secret
from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.custody import seal_key
from mailadmin.certificates.models import PrivateKey
from mailadmin.deployments.tasks import send
from mailadmin.pki.keys import KeyKind, generate_key
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError

# What every authority takes, and short to sign with; RFC 8555, section 6.2 wants ES256 everywhere.
_ACCOUNT_KEY = KeyKind.ECDSA_P256


class Service(Protocol):
    """What can be asked for with nothing but the account."""

    def __call__(self, *, actor: Actor, account: AcmeAccount) -> AcmeAccount:
        """Do it, or raise ``ChangeRefusedError``."""
        ...


Errand = AcmeAccount.Errand
Status = AcmeAccount.Status


def add_account(
    *,
    actor: Actor,
    title: str,
    directory_url: str,
    staging_url: str = "",
    contact: str = "",
    ca_bundle: str = "",
    eab_key_id: str = "",
    eab_secret: str = "",
    terms_url: str = "",
) -> AcmeAccount:
    """Keep an account and have it registered; ``terms_url`` is what the person agreed to.

    Raises :class:`ChangeRefusedError` for a title that is taken, ``CustodyProblem`` when keys
    cannot be sealed.
    """
    key = generate_key(_ACCOUNT_KEY)
    with transaction.atomic():
        _refuse_taken_title(title)
        row = AcmeAccount.objects.create(
            title=title,
            directory_url=directory_url,
            staging_url=staging_url,
            contact=contact,
            ca_bundle=ca_bundle,
            eab_key_id=eab_key_id,
            eab_secret=seal_secret(eab_secret) if eab_secret else None,
            terms_url=terms_url,
            terms_agreed_at=timezone.now() if terms_url else None,
            private_key=seal_key(key),
            errand=Errand.REGISTER,
            errand_at=timezone.now(),
            created_by=actor.name,
        )
        _record(actor, "acme_account.added", row, after=snapshot(row))
        transaction.on_commit(lambda: send(tasks.run_errand, row.pk))
    return row


@transaction.atomic
def change_contact(*, actor: Actor, account: AcmeAccount, contact: str) -> AcmeAccount:
    """Change where the authority writes to, here and there."""
    row = _lock(account)
    before = snapshot(row)
    if row.contact != contact:
        row.contact = contact
        row.save(update_fields=["contact"])
        _record(actor, "acme_account.changed", row, before=before, after=snapshot(row))
        _queue(row, Errand.UPDATE)
    return row


@transaction.atomic
def register_again(*, actor: Actor, account: AcmeAccount) -> AcmeAccount:
    """Ask the authority once more: after a failure, or when it has forgotten the account."""
    row = _lock(account)
    if row.status == Status.DEACTIVATED:
        raise ChangeRefusedError(Problem("acme.account_deactivated", params=_named(row)))
    _record(actor, "acme_account.registered_again", row)
    _queue(row, Errand.REGISTER)
    return row


def roll_key(*, actor: Actor, account: AcmeAccount) -> AcmeAccount:
    """Have the account's key replaced (RFC 8555, section 7.3.5).

    The new key is kept before the authority hears of it, so that no crash in between locks us out.
    Raises :class:`ChangeRefusedError` for an account that is not in force, and while an order is
    under way with it.
    """
    key = generate_key(_ACCOUNT_KEY)
    with transaction.atomic():
        row = _lock(account)
        _refuse_unless_valid(row)
        busy = find_order_in_the_way(row)
        if busy is not None:
            raise ChangeRefusedError(busy)
        if row.next_private_key_id is None:
            row.next_private_key = seal_key(key)
            row.save(update_fields=["next_private_key"])
        _record(actor, "acme_account.key_replacement_asked", row)
        _queue(row, Errand.ROLL_OVER)
    return row


@transaction.atomic
def deactivate_account(*, actor: Actor, account: AcmeAccount) -> AcmeAccount:
    """Have the authority end the account (RFC 8555, section 7.3.6); this cannot be undone.

    Raises :class:`ChangeRefusedError` while certificates are to be renewed with it.
    """
    row = _lock(account)
    _refuse_unless_valid(row)
    _refuse_in_use(row)
    _record(actor, "acme_account.deactivation_asked", row)
    _queue(row, Errand.DEACTIVATE)
    return row


@transaction.atomic
def delete_account(*, actor: Actor, account: AcmeAccount) -> None:
    """Forget an account and destroy its key. Its orders must be gone, or the history lies.

    Raises :class:`ChangeRefusedError` while certificates are to be renewed with it.
    """
    row = _lock(account)
    _refuse_in_use(row)
    if AcmeOrder.objects.filter(account=row).exists():
        raise ChangeRefusedError(Problem("acme.account_has_history", params=_named(row)))
    _record(actor, "acme_account.deleted", row, before=snapshot(row))
    keys = [row.private_key, row.next_private_key]
    secret = row.eab_secret
    row.delete()
    for key in keys:
        _destroy(key)
    if secret is not None:
        secret.delete()


def snapshot(row: AcmeAccount) -> dict[str, Any]:
    """Return what an audit event says of an account."""
    return {
        "title": row.title,
        "directory": row.directory_url,
        "staging": row.staging_url,
        "contact": row.contact,
        "terms": row.terms_url,
        "has_own_roots": bool(row.ca_bundle),
        "eab_key_id": row.eab_key_id,
        "status": str(row.status),
    }


def _destroy(key: PrivateKey | None) -> None:
    if key is not None and not key.acme_accounts.exists():
        key.delete()


def _lock(account: AcmeAccount) -> AcmeAccount:
    return AcmeAccount.objects.select_for_update().get(pk=account.pk)


def _queue(row: AcmeAccount, errand: AcmeAccount.Errand) -> None:
    row.errand, row.errand_at, row.problem = errand, timezone.now(), None
    row.save(update_fields=["errand", "errand_at", "problem"])
    transaction.on_commit(lambda: send(tasks.run_errand, row.pk))


def _refuse_taken_title(title: str) -> None:
    if AcmeAccount.objects.filter(title=title).exists():
        raise ChangeRefusedError(Problem("acme.title_taken", params={"title": title}))


def _refuse_unless_valid(row: AcmeAccount) -> None:
    if row.status != Status.VALID:
        params = {"title": row.title, "status": str(row.status)}
        raise ChangeRefusedError(Problem("acme.account_not_valid", params=params))


def _refuse_in_use(row: AcmeAccount) -> None:
    used = list(row.certificates.all()[:3]) + list(row.fallback_for.all()[:3])
    if used:
        where = ", ".join(str(item) for item in used)
        params = {"title": row.title, "where": where}
        raise ChangeRefusedError(Problem("acme.account_in_use", params=params))


def _named(row: AcmeAccount) -> dict[str, str | int | bool]:
    return {"title": row.title}


def _record(actor: Actor, verb: str, row: AcmeAccount, **what: Any) -> None:
    record_event(
        actor=actor,
        verb=verb,
        object_type="acme_account",
        object_id=row.pk,
        object_label=row.title,
        **what,
    )
