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

from django.utils import timezone

from mailadmin.acme.client import AcmeFailure, Authority, OrderState
from mailadmin.acme.dns.failures import DnsFailure
from mailadmin.acme.dns.resolving import Resolver, may_have_tlsa
from mailadmin.acme.http01 import ChallengeFailure
from mailadmin.acme.models import AcmeOrder
from mailadmin.acme.runner.accounts import forget_registration, open_account
from mailadmin.acme.runner.claiming import OrderLostError, claimed, keep
from mailadmin.acme.runner.closing import close_failed, close_issued, close_rehearsed, draw
from mailadmin.acme.runner.deploying import begin_deployment, follow_deployment
from mailadmin.acme.runner.events import tell, tell_problem
from mailadmin.acme.runner.issuing import obtain_csr, store_issued
from mailadmin.acme.runner.proving import NameRefusedError, ProofFailure, prove_names, withdraw_all
from mailadmin.acme.runner.rehearsing import rehearse_issuance
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.issuance.schedule import retry_at
from mailadmin.pki.problems import Problem, Severity

logger = logging.getLogger(__name__)

# How long one run of a task waits for the authority before it comes back later, in seconds.
_PATIENCE = 8.0
_SOON = 2.0
# How often one order is begun anew because the authority has forgotten it.
_RESTARTS = 2

_REFUSALS = (NameRefusedError, ProofFailure, ChallengeFailure, DnsFailure, CustodyProblem)

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
            return None
        except AcmeFailure as failure:
            return _after_failure(order, failure)
        except _REFUSALS as failure:
            _fail(order, failure.problem)
        except CertificateRefusedError as refused:
            _fail(order, refused.problems[0])
        except Exception:
            # A mistake of our own must end it too: a row that runs for ever blocks all that come.
            logger.exception("order %s broke", order.pk)
            _fail(order, Problem("acme.fault"))
        return None


def clean_up_order(order_id: int) -> None:
    """Take away what was put in place for an order that ended or was given up."""
    order = AcmeOrder.objects.select_related("acme_certificate", "account").get(pk=order_id)
    if order.is_finished:
        withdraw_all(order)


def _advance(order: AcmeOrder) -> Next | None:
    if order.status == Status.DEPLOYING:
        return _next(order, follow_deployment(order))
    keep(order, status=Status.RUNNING, started_at=order.started_at or timezone.now())
    with open_account(order) as authority:
        state = _obtain_order(order, authority)
        if state.status == "pending":
            seconds = prove_names(order, authority, state)
            if seconds is not None:
                return _pause(order, seconds)
            state = _watch(authority, state, "pending")
        if order.trigger == Trigger.REHEARSAL:
            rehearse_issuance(order, authority, state)
        else:
            seconds = _issue(order, authority, state)
            if seconds is not None:
                return _pause(order, seconds)
    withdraw_all(order)
    if order.trigger == Trigger.REHEARSAL:
        follower = close_rehearsed(order)
        return Next(follower.pk, 0.0) if follower else None
    return _next(order, begin_deployment(order))


def _next(order: AcmeOrder, seconds: float | None) -> Next | None:
    return None if seconds is None else Next(order.pk, seconds)


def _obtain_order(order: AcmeOrder, authority: Authority) -> OrderState:
    """Return the order as the authority knows it; it is made only if none was made before."""
    if order.order_url:
        state = authority.read_order(order.order_url)
    else:
        state = authority.new_order(order.names, profile=order.profile, replaces=order.replaces_id)
        keep(order, order_url=state.url, expires_at=state.expires_at)
        tell(order, "acme.order_made", ca=order.account.title)
    _refuse_invalid(state)
    return state


def _issue(order: AcmeOrder, authority: Authority, state: OrderState) -> float | None:
    """Finalize and download; returns in how many seconds to look again, or ``None`` when stored."""
    if state.status == "ready":
        csr = obtain_csr(order, has_tlsa=_has_tlsa(order))
        state = authority.finalize(state.url, csr.pem)
    state = _watch(authority, state, "ready", "processing")
    _refuse_invalid(state)
    if state.status != "valid":
        return state.retry_after or _SOON
    certificate = store_issued(order, authority.download(state.certificate_url))
    close_issued(order, certificate)
    return None


def _watch(authority: Authority, state: OrderState, *unfinished: str) -> OrderState:
    """Look at the order until it is past these states, for as long as one run of a task may."""
    until = time.monotonic() + _PATIENCE
    pause = 0.1
    while state.status in unfinished:
        wait = state.retry_after if state.retry_after is not None else pause
        if time.monotonic() + wait > until:
            return state
        time.sleep(wait)
        pause = min(2 * pause, 1.0)
        state = authority.read_order(state.url)
    return state


def _refuse_invalid(state: OrderState) -> None:
    if state.status == "invalid":
        raise AcmeFailure(state.problem or Problem("acme.order_invalid"))


def _pause(order: AcmeOrder, seconds: float) -> Next:
    """Come back later; the beat sends the order again if the message is lost."""
    keep(order, resume_at=timezone.now() + timedelta(seconds=seconds))
    return Next(order.pk, seconds)


def _after_failure(order: AcmeOrder, failure: AcmeFailure) -> Next | None:
    """Decide what an authority's refusal means for the order: wait, begin anew, or end."""
    if failure.is_account_lost:
        forget_registration(order)
    if (failure.is_account_lost or _is_forgotten(order, failure)) and order.restarts < _RESTARTS:
        return _begin_anew(order)
    if order.csr_id and _is_temporary(failure) and not _is_expired(order):
        # The certificate may exist already: going on with this order beats making a second one.
        seconds = _stall(order, failure)
        return _pause(order, seconds)
    _fail(order, failure.problem, retry_after=failure.retry_after)
    return None


def _is_temporary(failure: AcmeFailure) -> bool:
    """Tell whether the authority is away or busy, rather than of another mind."""
    is_away = failure.status == 0 and failure.problem.code.startswith("ca.")
    return is_away or failure.status == HTTPStatus.TOO_MANY_REQUESTS or failure.status >= 500


def _has_tlsa(order: AcmeOrder) -> bool:
    """Tell whether a TLSA record may name the key of a name that is ordered."""
    resolver = Resolver.from_settings()
    return any(may_have_tlsa(name, 25, resolver) for name in order.names if "*" not in name)


def _is_forgotten(order: AcmeOrder, failure: AcmeFailure) -> bool:
    """Tell whether the authority does not know the order any more that it made."""
    return failure.is_gone and bool(order.order_url)


def _begin_anew(order: AcmeOrder) -> Next:
    """Order once more: the authority has forgotten the account, or the order."""
    withdraw_all(order)
    order.authorizations.all().delete()
    keep(order, order_url="", restarts=order.restarts + 1)
    tell(order, "acme.ordered_anew", severity=Severity.WARNING)
    return _pause(order, 0.0)


def _is_expired(order: AcmeOrder) -> bool:
    return order.expires_at is not None and order.expires_at <= timezone.now()


def _stall(order: AcmeOrder, failure: AcmeFailure) -> float:
    """Say once in a row that the authority is away, and return when it is asked again."""
    stalls = order.stalls + 1
    keep(order, stalls=stalls)
    if stalls == 1:
        tell_problem(order, failure.problem)
    moment = retry_at(stalls, timezone.now(), jitter=draw())
    waited = (moment - timezone.now()).total_seconds()
    return max(waited, failure.retry_after or 0.0)


def _fail(order: AcmeOrder, problem: Problem, *, retry_after: float | None = None) -> None:
    try:
        close_failed(order, problem, retry_after=retry_after)
    except OrderLostError:
        return
    withdraw_all(order)
