"""What is due: renewals, the authorities' own wishes for them, weekly rehearsals."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from mailadmin.acme import selectors
from mailadmin.acme.client import AcmeFailure
from mailadmin.acme.models import AcmeAccount, AcmeAuthorization, AcmeCertificate, AcmeOrder
from mailadmin.acme.runner.accounts import connect
from mailadmin.acme.runner.closing import draw
from mailadmin.acme.runner.events import tell, tell_of
from mailadmin.acme.runner.inserting import insert_order
from mailadmin.acme.runner.replacing import issuing_account
from mailadmin.audit.actors import Actor
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.issuance.renewal_info import (
    RenewalWindow,
    next_look_at,
    pick_moment,
    renewal_id,
)
from mailadmin.issuance.schedule import should_fall_back
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.problems import Severity

logger = logging.getLogger(__name__)

_REHEARSAL_EVERY = timedelta(days=7)
# After 1, 10 and 100 minutes; a name that fails then is not coming back by itself.
_FAILURES_BEFORE_LEAVING_OUT = 4

Trigger = AcmeOrder.Trigger


def order_due(now: datetime) -> list[int]:
    """Order what is to be renewed now; returns the orders, for a worker to take."""
    made = []
    for wanted in selectors.due_certificates(now):
        try:
            row = _order(wanted)
        except Exception:
            # One that breaks must not keep the others from being renewed.
            logger.exception("the renewal of %s broke", wanted.pk)
            continue
        if row is not None:
            made.append(row.pk)
    return made


def _order(wanted: AcmeCertificate) -> AcmeOrder | None:
    account = _choose_account(wanted)
    with transaction.atomic():
        row = insert_order(
            actor=Actor.system("renewal"),
            acme_certificate=wanted,
            account=account,
            trigger=_trigger(wanted),
            names=_choose_names(wanted),
        )
        if row is not None:
            _tell_left_out(row)
    return row


def rehearse_due(now: datetime) -> list[int]:
    """Order at the staging directories what was not rehearsed for a week; returns the orders."""
    rows = AcmeCertificate.objects.filter(is_renewed_automatically=True).exclude(
        account__staging_url=""
    )
    rows = rows.exclude(rehearsed_at__gt=now - _REHEARSAL_EVERY)
    rows = rows.exclude(orders__status__in=AcmeOrder.UNDER_WAY)
    # One that failed is not tried again before its week is over either.
    rows = rows.exclude(
        orders__trigger=Trigger.REHEARSAL, orders__requested_at__gt=now - _REHEARSAL_EVERY
    )
    made = []
    for wanted in rows.filter(created_at__lt=now - _REHEARSAL_EVERY).select_related("account"):
        row = insert_order(
            actor=Actor.system("renewal"),
            acme_certificate=wanted,
            account=wanted.account,
            trigger=Trigger.REHEARSAL,
            names=wanted.names,
        )
        if row is not None:
            made.append(row.pk)
    return made


def ask_for_renewal_info(now: datetime) -> None:
    """Ask the authorities when they want their certificates renewed (RFC 9773)."""
    for wanted in selectors.certificates_to_ask_about(now):
        try:
            _ask(wanted, now)
        except (AcmeFailure, CustodyProblem) as failure:
            _postpone(wanted, now, failure.problem.code)
        except Exception:
            logger.exception("the renewal information of %s broke", wanted.pk)
            _postpone(wanted, now, "acme.fault")


def _ask(wanted: AcmeCertificate, now: datetime) -> None:
    certificate = wanted.certificate
    if certificate is None:
        return
    leaf = read_certificate(certificate.leaf_pem.encode())
    identifier = renewal_id(leaf)
    with connect(issuing_account(wanted)) as authority:
        if not identifier or not authority.directory().has_renewal_info:
            _keep(wanted, {"ask_again_at": next_look_at(now, None).isoformat()})
            return
        answer = authority.renewal_info(identifier)
    if answer is None:
        _keep(wanted, {"ask_again_at": next_look_at(now, None).isoformat()})
        return
    window = RenewalWindow(answer.start, answer.end, answer.explanation_url)
    again = next_look_at(now, answer.retry_after)
    known = wanted.renewal_info
    if not window.is_valid:
        _keep(wanted, {"ask_again_at": again.isoformat(), "is_invalid": True})
        return
    if (known.get("start"), known.get("end")) == (
        answer.start.isoformat(),
        answer.end.isoformat(),
    ):
        _keep(wanted, known | {"ask_again_at": again.isoformat()})
        return
    # Picked once for each window: a new draw at each look would move towards its beginning.
    picked = max(pick_moment(window, draw=draw()), now)
    _keep(
        wanted,
        {
            "start": answer.start.isoformat(),
            "end": answer.end.isoformat(),
            "explanation_url": answer.explanation_url,
            "picked_at": picked.isoformat(),
            "ask_again_at": again.isoformat(),
        },
        next_attempt_at=picked,
    )
    tell_of(
        wanted,
        "acme.window_told",
        start=answer.start.isoformat(),
        end=answer.end.isoformat(),
        url=answer.explanation_url,
    )


def _postpone(wanted: AcmeCertificate, now: datetime, code: str) -> None:
    again = next_look_at(now, None)
    _keep(wanted, wanted.renewal_info | {"ask_again_at": again.isoformat(), "failed": code})


def _keep(
    wanted: AcmeCertificate, info: dict[str, object], *, next_attempt_at: datetime | None = None
) -> None:
    """Write what was learned, unless the certificate was renewed meanwhile."""
    rows = AcmeCertificate.objects.filter(pk=wanted.pk, certificate=wanted.certificate)
    rows.update(renewal_info=info)
    if next_attempt_at is not None and wanted.failures == 0:
        rows.update(next_attempt_at=next_attempt_at)


def _choose_account(wanted: AcmeCertificate) -> AcmeAccount:
    """Return the account to order with: another authority's after repeated failure, if allowed."""
    fallback = wanted.fallback_account
    if fallback is not None and should_fall_back(wanted.failures):
        return fallback
    return wanted.account


def _choose_names(wanted: AcmeCertificate) -> list[str]:
    """Return the names to order: all, or those that the last failures did not come from.

    For a name that is left out the old certificate stays in place. The next renewal asks for all
    of them again.
    """
    if wanted.certificate_id is None or wanted.failures < _FAILURES_BEFORE_LEAVING_OUT:
        return list(wanted.names)
    refused = {
        name
        for name, proof in selectors.last_proofs(wanted)
        if proof is not None and proof.status == AcmeAuthorization.Status.INVALID
    }
    return [name for name in wanted.names if name not in refused] or list(wanted.names)


def _tell_left_out(order: AcmeOrder) -> None:
    for name in order.acme_certificate.names:
        if name not in order.names:
            tell(order, "acme.name_left_out", name=name, severity=Severity.WARNING)


def _trigger(wanted: AcmeCertificate) -> AcmeOrder.Trigger:
    if wanted.certificate_id is None:
        return Trigger.FIRST
    return Trigger.RENEWAL_INFO if wanted.renewal_info.get("picked_at") else Trigger.DUE
