"""Bring an order as far as it goes: from the row alone, so that any worker can go on with it.

What the authority said is written into the row before anything else is done, so a worker that is
killed costs a repeated question, never a second order. Waiting is done by coming back.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from django.db import OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from mailadmin.acme.client import AcmeFailure, Authority, OrderState
from mailadmin.acme.dns.dane import Tlsa, look_for_tlsa
from mailadmin.acme.dns.failures import DnsFailure
from mailadmin.acme.dns.resolving import Resolver
from mailadmin.acme.http01 import ChallengeFailure
from mailadmin.acme.models import AcmeAccount, AcmeOrder
from mailadmin.acme.runner.accounts import forget_registration, open_account
from mailadmin.acme.runner.claiming import OrderLostError, claimed, hold, keep
from mailadmin.acme.runner.closing import close_failed, close_issued, close_rehearsed, draw
from mailadmin.acme.runner.deploying import begin_deployment, close_unproven, follow_deployment
from mailadmin.acme.runner.events import tell, tell_problem
from mailadmin.acme.runner.issuing import obtain_csr, store_issued
from mailadmin.acme.runner.proving import (
    NameRefusedError,
    ProofFailure,
    note_proofs,
    note_refusals,
    prove_names,
    withdraw_all,
)
from mailadmin.acme.runner.rehearsing import rehearse_issuance
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.issuance.schedule import retry_at
from mailadmin.pki.problems import Problem, Severity

logger = logging.getLogger(__name__)

# How long one run of a task waits for the authority before it comes back later, in seconds.
_PATIENCE = 8.0
_SOON = 2.0
# Whatever the authority says, its order is looked at again within an hour.
_LONGEST_PAUSE = 3600.0
# How often one order is begun anew because the authority has forgotten it.
_RESTARTS = 2
# DANE is for mail between servers (RFC 7672); submission and IMAP have no clients that ask for it.
_SMTP = 25
_MOST_UNNOTED = 20

_REFUSALS = (NameRefusedError, ProofFailure, ChallengeFailure, DnsFailure)
# A missing master key is noticed soon after it is back: to look costs nobody anything.
_CUSTODY_PAUSE = 60.0  # seconds
_FAULT_PAUSE = 3600.0  # seconds; a newer version of the panel may do better
# An order that begins while the account gets another key would be signed with the old one.
_KEY_PAUSE = 5.0

Status = AcmeOrder.Status
Trigger = AcmeOrder.Trigger


@dataclass(frozen=True, slots=True)
class Next:
    """Which order a worker should look at next, and in how many seconds."""

    order_id: int
    seconds: float


def advance_order(order_id: int) -> Next | None:
    """Bring the order as far as it goes; returns what comes next, if anything."""
    with claimed(order_id, timezone.now()) as order:
        if order is None:
            return None
        try:
            return _advance(order)
        except OrderLostError:
            _undo_if_given_up(order)
        except OperationalError as error:
            # The database is busy or away: nothing is wrong with the order, and the beat sends it
            # again. To end it would destroy the key of a certificate that may exist.
            logger.warning("order %s waits for the database: %s", order.pk, error)
        except AcmeFailure as failure:
            return _after_failure(order, failure)
        except CustodyProblem as failure:
            return _after_custody(order, failure.problem)
        except _REFUSALS as failure:
            _fail(order, failure.problem)
        except CertificateRefusedError as refused:
            _fail(order, refused.problems[0])
        except Exception:
            logger.exception("order %s broke", order.pk)
            return _after_fault(order)
        return None


def clean_up_order(order_id: int) -> None:
    """Take away what was put in place for an order that ended or was given up."""
    order = AcmeOrder.objects.select_related("acme_certificate", "account").get(pk=order_id)
    if order.is_finished:
        withdraw_all(order)


def _undo_if_given_up(order: AcmeOrder) -> None:
    """Take away what this worker put in place after a person gave the order up."""
    now = AcmeOrder.objects.select_related("acme_certificate").get(pk=order.pk)
    if now.status == Status.CANCELLED:
        now.authorizations.update(is_cleaned_up=False)
        withdraw_all(now)


def _advance(order: AcmeOrder) -> Next | None:
    if order.status == Status.DEPLOYING:
        return _next(order, follow_deployment(order))
    if order.issued_at is None:
        seconds = _get_issued(order)
        if seconds is not None:
            return _pause(order, seconds)
    withdraw_all(order)
    if order.trigger == Trigger.REHEARSAL:
        follower = close_rehearsed(order)
        return Next(follower.pk, 0.0) if follower else None
    return _next(order, begin_deployment(order))


def _get_issued(order: AcmeOrder) -> float | None:
    """Do all that the authority is needed for; returns in how many seconds to come back."""
    if not order.order_url and order.account.errand == AcmeAccount.Errand.ROLL_OVER:
        return _KEY_PAUSE
    is_resumed = order.started_at is not None
    status = Status.WAITING if order.status == Status.WAITING else Status.RUNNING
    keep(order, status=status, started_at=order.started_at or timezone.now())
    with open_account(order) as authority:
        state = _obtain_order(order, authority, is_resumed=is_resumed)
        if state.status == "pending":
            seconds = prove_names(order, authority, state)
            if seconds is not None:
                return seconds
            state = _watch(order, authority, state, "pending")
        elif state.status == "ready":
            note_proofs(order, authority, state)
        if order.status != Status.RUNNING:
            keep(order, status=Status.RUNNING)
        if order.trigger == Trigger.REHEARSAL:
            rehearse_issuance(order, authority, state)
            return None
        return _issue(order, authority, state)


def _next(order: AcmeOrder, seconds: float | None) -> Next | None:
    return None if seconds is None else Next(order.pk, seconds)


def _obtain_order(order: AcmeOrder, authority: Authority, *, is_resumed: bool) -> OrderState:
    """Return the order as the authority knows it; it is made only if none was made before."""
    if order.order_url:
        state = authority.read_order(order.order_url)
        if order.trigger == Trigger.REHEARSAL and state.status in {"processing", "valid"}:
            # Its key was in the memory of a worker that is gone.
            state = _note(order, _make_order(order, authority))
    else:
        found = _find_unnoted(order, authority) if is_resumed else None
        state = _note(order, found or _make_order(order, authority))
    if state.status == "invalid":
        note_refusals(order, authority)
    _refuse_invalid(state)
    return state


def _note(order: AcmeOrder, state: OrderState) -> OrderState:
    with transaction.atomic():
        keep(order, order_url=state.url, expires_at=state.expires_at)
        tell(order, "acme.order_made", ca=order.account.title)
    return state


def _find_unnoted(order: AcmeOrder, authority: Authority) -> OrderState | None:
    """Return the order that a worker made and was killed before it could note it.

    An authority without a list of orders (RFC 8555, section 7.1.2.1) gives the open one again by
    itself, as Boulder does, or cannot be helped.
    """
    try:
        return _look_for_unnoted(order, authority)
    except AcmeFailure as failure:
        if failure.is_account_lost or _is_temporary(failure):
            raise
        # To find it is a courtesy to the authority; a list that cannot be read stops nobody.
        return None


def _look_for_unnoted(order: AcmeOrder, authority: Authority) -> OrderState | None:
    listed = authority.list_orders()
    noted = set(AcmeOrder.objects.filter(order_url__in=listed).values_list("order_url", flat=True))
    for url in [url for url in listed if url not in noted][-_MOST_UNNOTED:]:
        hold(order)
        state = authority.read_order(url)
        if state.status in {"pending", "ready"} and set(state.names) == set(order.names):
            return state
    return None


def _make_order(order: AcmeOrder, authority: Authority) -> OrderState:
    """Order at the authority.

    One that does not know the certificate that is to be replaced (it lost it, or it was had by
    another account) refuses the whole order; to say what it replaces is a courtesy only.
    """
    try:
        return authority.new_order(order.names, profile=order.profile, replaces=order.replaces_id)
    except AcmeFailure as failure:
        if not order.replaces_id or not 400 <= failure.status < 429 or failure.is_account_lost:
            raise
    return authority.new_order(order.names, profile=order.profile)


def _issue(order: AcmeOrder, authority: Authority, state: OrderState) -> float | None:
    """Finalize and download; returns in how many seconds to look again, or ``None`` when stored."""
    if state.status == "ready":
        csr = obtain_csr(order, has_tlsa=lambda: _has_tlsa(order))
        state = authority.finalize(state.url, csr.pem)
    state = _watch(order, authority, state, "ready", "processing")
    _refuse_invalid(state)
    if state.status != "valid":
        return min(state.retry_after or _SOON, _LONGEST_PAUSE)
    certificate = store_issued(order, authority.download(state.certificate_url))
    close_issued(order, certificate)
    return None


def _watch(
    order: AcmeOrder, authority: Authority, state: OrderState, *unfinished: str
) -> OrderState:
    """Look at the order until it is past these states, for as long as one run of a task may."""
    until = time.monotonic() + _PATIENCE
    pause = 0.1
    while state.status in unfinished:
        wait = state.retry_after if state.retry_after is not None else pause
        if time.monotonic() + wait > until:
            return state
        time.sleep(wait)
        pause = min(2 * pause, 1.0)
        hold(order)
        state = authority.read_order(state.url)
    return state


def _refuse_invalid(state: OrderState) -> None:
    if state.status == "invalid":
        raise AcmeFailure(state.problem or Problem("acme.order_invalid"))


def _pause(order: AcmeOrder, seconds: float, problem: Problem | None = None) -> Next:
    """Come back later; the beat sends the order again if the message is lost.

    ``problem`` is what it waits for if something is wrong; it is told once in a row.
    """
    now_wrong = problem.as_dict() if problem else None
    with transaction.atomic():
        if problem is not None and (order.problem or {}).get("code") != problem.code:
            tell_problem(order, problem)
        keep(order, resume_at=timezone.now() + timedelta(seconds=seconds), problem=now_wrong)
    return Next(order.pk, seconds)


def _after_failure(order: AcmeOrder, failure: AcmeFailure) -> Next | None:
    """Decide what an authority's refusal means for the order: wait, begin anew, or end."""
    if failure.is_account_lost:
        forget_registration(order)
    is_over = failure.is_account_lost or _is_forgotten(order, failure) or _is_expired(order)
    if is_over and order.restarts < _RESTARTS:
        return _begin_anew(order)
    if order.csr_id and _is_temporary(failure):
        # The certificate may exist already: going on with this order beats making a second one.
        return _pause(order, _count_stall(order, failure), failure.problem)
    _fail(order, failure.problem, retry_after=failure.retry_after)
    return None


def _after_custody(order: AcmeOrder, problem: Problem) -> Next | None:
    """Wait for the master key once the request is handed in."""
    return _pause_or_fail(order, _CUSTODY_PAUSE, problem)


def _after_fault(order: AcmeOrder) -> Next | None:
    """End what broke by our own mistake: a row that runs for ever blocks all that come."""
    return _pause_or_fail(order, _FAULT_PAUSE, Problem("acme.fault"))


def _pause_or_fail(order: AcmeOrder, seconds: float, problem: Problem) -> Next | None:
    """Pause the order if its request is handed in: to end it would destroy its key."""
    if order.csr_id and order.issued_at is None:
        return _pause(order, seconds, problem)
    _fail(order, problem)
    return None


def _is_temporary(failure: AcmeFailure) -> bool:
    """Tell whether the authority is away or busy, rather than of another mind."""
    is_away = failure.status == 0 and failure.problem.code.startswith("ca.")
    return is_away or failure.status == HTTPStatus.TOO_MANY_REQUESTS or failure.status >= 500


def _has_tlsa(order: AcmeOrder) -> bool:
    """Tell whether a TLSA record may name the key of a name that is ordered, and say so."""
    resolver = Resolver.from_settings()
    unknown_types = []
    for name in order.names:
        if "*" in name:
            continue
        hold(order)
        found = look_for_tlsa(name, _SMTP, resolver)
        if found.may_name_key:
            code = "for_tlsa" if found.finding is Tlsa.PRESENT else "unasked"
            tell(order, f"acme.key_kept_{code}", name=name, rcode=found.rcode)
            return True
        if found.finding is Tlsa.UNKNOWN_TYPE:
            unknown_types.append(found)
    for found in unknown_types[:1]:
        tell(order, "acme.tlsa_unknown_to_servers", name=found.host, rcode=found.rcode)
    return False


def _is_forgotten(order: AcmeOrder, failure: AcmeFailure) -> bool:
    """Tell whether the authority does not know the order any more that it made."""
    return failure.is_gone and bool(order.order_url)


def _begin_anew(order: AcmeOrder) -> Next:
    """Order once more: the authority has forgotten the account or the order, or it expired."""
    hold(order)
    withdraw_all(order)
    with transaction.atomic():
        keep(
            order,
            order_url="",
            expires_at=None,
            started_at=timezone.now(),
            restarts=order.restarts + 1,
        )
        # What could not be taken away stays noted, so that it is tried again.
        order.authorizations.filter(Q(is_cleaned_up=True) | Q(token="")).delete()
        tell(order, "acme.ordered_anew", severity=Severity.WARNING)
    return _pause(order, 0.0)


def _is_expired(order: AcmeOrder) -> bool:
    return order.expires_at is not None and order.expires_at <= timezone.now()


def _count_stall(order: AcmeOrder, failure: AcmeFailure) -> float:
    """Count that the authority is away, and return in how many seconds it is asked again."""
    stalls = order.stalls + 1
    keep(order, stalls=stalls)
    before = order.previous
    moment = retry_at(
        stalls,
        timezone.now(),
        jitter=draw(),
        not_after=before.not_after if before is not None else None,
    )
    waited = (moment - timezone.now()).total_seconds()
    return max(waited, failure.retry_after or 0.0)


def _fail(order: AcmeOrder, problem: Problem, *, retry_after: float | None = None) -> None:
    try:
        if order.issued_at is not None and order.trigger != Trigger.REHEARSAL:
            # The certificate is here: to order another one would mend nothing.
            close_unproven(order, problem)
        else:
            close_failed(order, problem, retry_after=retry_after)
    except OrderLostError:
        _undo_if_given_up(order)
        return
    withdraw_all(order)
