"""The account at the authority: registered when first needed, found again when it was forgotten."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.utils import timezone

from mailadmin.acme import selectors
from mailadmin.acme.client import AcmeFailure, Authority
from mailadmin.acme.models import AcmeAccount, AcmeOrder
from mailadmin.acme.sealing import open_secret
from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.custody import open_key_pem
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.models import PrivateKey
from mailadmin.pki.problems import Param, Problem

logger = logging.getLogger(__name__)

Errand = AcmeAccount.Errand
Status = AcmeAccount.Status


class AccountBusyError(Exception):
    """The account's key is needed as it is; ``problem`` says by what."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


@contextmanager
def open_account(order: AcmeOrder) -> Iterator[Authority]:
    """Give the authority that the order goes to, with an account that it knows.

    Raises ``AcmeFailure`` and ``CustodyProblem``.
    """
    account = order.account
    is_staging = order.trigger == AcmeOrder.Trigger.REHEARSAL
    with connect(account, is_staging=is_staging) as authority:
        url = account.staging_account_url if is_staging else account.account_url
        if not url or account.status == Status.LOST:
            _register(account, authority, is_staging=is_staging)
        yield authority


@contextmanager
def connect(account: AcmeAccount, *, is_staging: bool = False) -> Iterator[Authority]:
    """Give the authority as this account sees it."""
    if account.private_key is None:
        raise CustodyProblem(Problem("acme.account_without_key", params={"title": account.title}))
    with Authority(
        account.staging_url if is_staging else account.directory_url,
        key_pem=open_key_pem(account.private_key),
        account_url=account.staging_account_url if is_staging else account.account_url,
        ca_bundle=account.ca_bundle,
    ) as authority:
        yield authority


def forget_registration(order: AcmeOrder) -> None:
    """Note that the authority forgot the account: it is registered anew at the next order."""
    if order.trigger == AcmeOrder.Trigger.REHEARSAL:
        AcmeAccount.objects.filter(pk=order.account_id).update(staging_account_url="")
    else:
        AcmeAccount.objects.filter(pk=order.account_id).update(account_url="", status=Status.LOST)


def run_errand(account_id: int) -> None:
    """Do what is to be done with an account; how it went is in the row."""
    account = AcmeAccount.objects.filter(pk=account_id).exclude(errand="").first()
    if account is None:
        return
    AcmeAccount.objects.filter(pk=account_id).update(errand_at=timezone.now())
    try:
        _ERRANDS[Errand(account.errand)](account)
        problem = None
    except (AcmeFailure, AccountBusyError, CustodyProblem) as failure:
        problem = failure.problem
    except Exception:
        logger.exception("the errand for account %s broke", account.pk)
        problem = Problem("acme.fault")
    _close_errand(account, problem)


def _register_errand(account: AcmeAccount) -> None:
    with connect(account) as authority:
        _register(account, authority, is_staging=False)


def _update_errand(account: AcmeAccount) -> None:
    with connect(account) as authority:
        authority.update_contact(account.contact)


def find_order_in_the_way(account: AcmeAccount) -> Problem | None:
    """Return why the account's key cannot be replaced now: an order would break."""
    order = selectors.orders_signed_with(account).first()
    if order is None:
        return None
    params: dict[str, Param] = {"title": account.title, "where": order.acme_certificate.label}
    return Problem("acme.account_has_open_order", params=params)


def _roll_over_errand(account: AcmeAccount) -> None:
    """Put the new key in force; if the answer to an earlier try was lost, it is already.

    An order may have begun since this was asked for; one that begins from now on waits.
    """
    busy = find_order_in_the_way(account)
    if busy is not None:
        raise AccountBusyError(busy)
    fresh = account.next_private_key
    if fresh is None:
        return
    with connect(account) as authority:
        try:
            authority.roll_key(open_key_pem(fresh))
        except AcmeFailure as failure:
            if failure.is_key_taken:
                _forget_next_key(account, fresh)
            raise
    old = account.private_key
    with transaction.atomic():
        AcmeAccount.objects.filter(pk=account.pk).update(
            private_key=fresh, next_private_key=None, staging_account_url=""
        )
        if old is not None:
            old.delete()


@transaction.atomic
def _forget_next_key(account: AcmeAccount, key: PrivateKey) -> None:
    """Throw the key away, or else it would be tried, and refused, each time."""
    AcmeAccount.objects.filter(pk=account.pk).update(next_private_key=None)
    key.delete()


def _deactivate_errand(account: AcmeAccount) -> None:
    with connect(account) as authority:
        authority.deactivate()
    AcmeAccount.objects.filter(pk=account.pk).update(status=Status.DEACTIVATED)


_ERRANDS = {
    Errand.REGISTER: _register_errand,
    Errand.UPDATE: _update_errand,
    Errand.ROLL_OVER: _roll_over_errand,
    Errand.DEACTIVATE: _deactivate_errand,
}


def _register(account: AcmeAccount, authority: Authority, *, is_staging: bool) -> None:
    """Register the key, or find the account it has; the directory is read on the way."""
    directory = authority.directory()
    eab = None
    if account.eab_key_id and account.eab_secret is not None and not is_staging:
        eab = (account.eab_key_id, open_secret(account.eab_secret))
    url = authority.register(
        contact=account.contact, agrees_to_terms=account.terms_agreed_at is not None, eab=eab
    )
    if is_staging:
        account.staging_account_url = url
        account.save(update_fields=["staging_account_url"])
        return
    account.account_url, account.status = url, Status.VALID
    account.about, account.about_read_at = directory.as_dict(), timezone.now()
    if account.terms_agreed_at is not None and directory.terms_url:
        account.terms_url = directory.terms_url
    account.save(update_fields=["account_url", "status", "about", "about_read_at", "terms_url"])


def _close_errand(account: AcmeAccount, problem: Problem | None) -> None:
    """Note how the errand went, unless another one was asked for meanwhile."""
    with transaction.atomic():
        rows = AcmeAccount.objects.filter(pk=account.pk, errand=account.errand)
        done = rows.update(errand="", problem=problem.as_dict() if problem else None)
        if done:
            verb = f"acme_account.{account.errand}_{'failed' if problem else 'done'}"
            record_event(
                actor=Actor.system("worker"),
                verb=verb,
                object_type="acme_account",
                object_id=account.pk,
                object_label=account.title,
                outcome="failed" if problem else "ok",
                evidence={"problem": problem.as_dict()} if problem else None,
            )
