"""Show the authority that each name is ours (RFC 8555, section 8), one row for each proof.

What is put in place is written into the row first, so that it is taken away again whatever
happens, and put in place anew when an order goes on: the agent may have been started since.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from mailadmin.acme.client import (
    AcmeFailure,
    Authority,
    AuthorizationState,
    ChallengeOffer,
    OrderState,
)
from mailadmin.acme.models import AcmeAuthorization, AcmeCertificate, AcmeOrder
from mailadmin.acme.runner.claiming import hold, keep
from mailadmin.acme.runner.events import tell, tell_problem
from mailadmin.acme.runner.placing import is_in_place, put_in_place, take_away
from mailadmin.pki.problems import Param, Problem

logger = logging.getLogger(__name__)

# How long one run of a task waits for the authority to look, in seconds.
_PATIENCE = 8.0
_SOON = 2.0
# How long one run of a task puts proofs in place: many names at a slow server go over several.
_PLACING = 100.0
# How long records may take to reach every server of a zone, when nobody writes them by hand.
_SPREADING = timedelta(minutes=30)
# The shortest and the longest pause between two looks at the servers of a zone, in seconds.
_SPREADING_PAUSES = (2.0, 60.0)
_HAND_PAUSES = (30.0, 300.0)

Status = AcmeAuthorization.Status
Challenge = AcmeCertificate.Challenge


class ProofFailure(Exception):  # noqa: N818 - as the other problems
    """A proof cannot be put in place; ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class NameRefusedError(Exception):
    """The authority did not find the proof of at least one name; ``problem`` names them."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def prove_names(order: AcmeOrder, authority: Authority, state: OrderState) -> float | None:
    """Prove every name of the order; returns in how many seconds to come back, if not yet.

    Raises :class:`NameRefusedError`, :class:`ProofFailure`, and what the authority and the DNS
    raise.
    """
    rows = [_read_row(order, authority, url) for url in state.authorization_urls]
    open_rows = [row for row in rows if row.status not in {Status.VALID, Status.INVALID}]
    seconds = _place_all(order, authority, open_rows)
    if seconds is not None:
        return seconds
    for row in open_rows:
        if row.status == Status.PRESENTED:
            _answer(authority, row)
            _change(order, row, status=Status.ASKED)
    if not _watch(order, authority, open_rows):
        return _SOON
    _refuse_invalid(order, rows)
    return None


def note_proofs(order: AcmeOrder, authority: Authority, state: OrderState) -> None:
    """Note that every name is proven: by an earlier order, or while no worker looked."""
    for url in state.authorization_urls:
        row = _read_row(order, authority, url)
        if row.status != Status.VALID:
            hold(order)
            _note_answer(order, authority, row)


def note_refusals(order: AcmeOrder, authority: Authority) -> None:
    """Find out why the authority holds an order invalid, name by name.

    Raises :class:`NameRefusedError` when a proof was refused.
    """
    rows = list(order.authorizations.all())
    for row in rows:
        if row.status in {Status.PRESENTED, Status.ASKED}:
            hold(order)
            _note_answer(order, authority, row)
    _refuse_invalid(order, rows)


def withdraw_all(order: AcmeOrder) -> None:
    """Take away all that was put in place for the order; what cannot be now is tried again."""
    for row in order.authorizations.filter(is_cleaned_up=False).exclude(token=""):
        try:
            take_away(order, row)
        except Exception as error:
            logger.warning(
                "a proof for %s stays in place: %s", row.identifier, type(error).__name__
            )
            continue
        AcmeAuthorization.objects.filter(pk=row.pk).update(is_cleaned_up=True)


def _read_row(order: AcmeOrder, authority: Authority, url: str) -> AcmeAuthorization:
    """Return the row of an authorization, made at the first look."""
    row = order.authorizations.filter(authorization_url=url).first()
    if row is not None:
        return row
    hold(order)
    seen = authority.read_authorization(url)
    row = AcmeAuthorization(
        order=order,
        name=seen.name,
        is_wildcard=seen.is_wildcard,
        authorization_url=url,
    )
    if seen.status == "valid":
        row.status, row.is_reused, row.validated_at = Status.VALID, True, timezone.now()
        with transaction.atomic():
            row.save()
            tell(order, "acme.name_valid_already", name=row.identifier)
        return row
    offer = _choose(order, seen)
    row.challenge, row.challenge_url = offer.kind, offer.url
    # dns-persist-01 has no token; its record names the authority instead.
    row.token = offer.token or next(iter(offer.issuer_names), "")
    row.save()
    return row


def _choose(order: AcmeOrder, seen: AuthorizationState) -> ChallengeOffer:
    wanted = order.acme_certificate.challenge
    for offer in seen.offers:
        if offer.kind == wanted:
            return offer
    params: dict[str, Param] = {
        "wanted": wanted,
        "offered": ", ".join(offer.kind for offer in seen.offers),
        "ca": order.account.title,
    }
    raise ProofFailure(Problem("acme.challenge_not_offered", subject=seen.name, params=params))


def _place_all(
    order: AcmeOrder, authority: Authority, rows: Sequence[AcmeAuthorization]
) -> float | None:
    """Put every proof in place; returns in how many seconds to look again if one is not seen."""
    waits: list[float] = []
    until = time.monotonic() + _PLACING
    for row in rows:
        if not _is_to_place(row):
            continue
        if time.monotonic() > until:
            return 0.0
        keep(order)
        if row.placed_at is None or row.challenge == Challenge.HTTP_01:
            put_in_place(order, authority, row)
            _change(order, row, placed_at=timezone.now())
        if not is_in_place(row):
            waits.append(_wait_for(order, row))
        elif row.status == Status.PENDING:
            _change(order, row, status=Status.PRESENTED)
            tell(order, "acme.proof_in_place", name=row.identifier, challenge=row.challenge)
    return max(waits) if waits else None


def _is_to_place(row: AcmeAuthorization) -> bool:
    """Tell whether a proof has to be put in place (again): a listener forgets, the DNS does not."""
    if row.status == Status.PRESENTED:
        return row.challenge == Challenge.HTTP_01
    return row.status == Status.PENDING


def _answer(authority: Authority, row: AcmeAuthorization) -> None:
    """Have the authority look; one that was told so by a worker since killed looks already."""
    try:
        authority.answer(row.challenge_url)
    except AcmeFailure:
        seen = authority.read_authorization(row.authorization_url)
        offer = next((item for item in seen.offers if item.url == row.challenge_url), None)
        if seen.status == "pending" and (offer is None or offer.status == "pending"):
            raise


def _wait_for(order: AcmeOrder, row: AcmeAuthorization) -> float:
    """Return when to look again for a DNS record, and say who is waited for."""
    now = timezone.now()
    waited = now - (row.placed_at or now)
    if order.acme_certificate.dns_access_id is None:
        if order.status != AcmeOrder.Status.WAITING:
            keep(order, status=AcmeOrder.Status.WAITING)
        said = order.events.filter(code="acme.waiting_for_record", name=row.identifier)
        if not said.filter(params__record=row.record_name).exists():
            tell(order, "acme.waiting_for_record", name=row.identifier, record=row.record_name)
        return _pause_after(waited, share=0.1, bounds=_HAND_PAUSES)
    if waited > _SPREADING:
        params: dict[str, Param] = {"record": row.record_name, "minutes": 30}
        raise ProofFailure(Problem("acme.record_not_spread", subject=row.identifier, params=params))
    return _pause_after(waited, share=0.5, bounds=_SPREADING_PAUSES)


def _pause_after(waited: timedelta, *, share: float, bounds: tuple[float, float]) -> float:
    """Return in how many seconds to look again: the longer it has been, the less often."""
    shortest, longest = bounds
    return min(max(waited.total_seconds() * share, shortest), longest)


def _watch(order: AcmeOrder, authority: Authority, rows: Sequence[AcmeAuthorization]) -> bool:
    """Look until the authority has made up its mind on each; returns whether it has."""
    until = time.monotonic() + _PATIENCE
    undecided = [row for row in rows if row.status == Status.ASKED]
    pause = 0.1
    while True:
        for row in undecided:
            hold(order)
            _note_answer(order, authority, row)
            if time.monotonic() > until:
                break
        undecided = [row for row in undecided if row.status == Status.ASKED]
        if not undecided:
            return True
        if time.monotonic() + pause > until:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 1.0)


def _note_answer(order: AcmeOrder, authority: Authority, row: AcmeAuthorization) -> None:
    seen = authority.read_authorization(row.authorization_url)
    if seen.status == "pending":
        return
    with transaction.atomic():
        if seen.status == "valid":
            _change(order, row, status=Status.VALID, validated_at=timezone.now())
            tell(order, "acme.name_valid", name=row.identifier)
            return
        problem = seen.problem or Problem("acme.name_refused")
        named = Problem(problem.code, problem.severity, row.identifier, problem.params)
        _change(order, row, status=Status.INVALID, problem=named.as_dict())
        tell_problem(order, named)


def _refuse_invalid(order: AcmeOrder, rows: Sequence[AcmeAuthorization]) -> None:
    refused = [row for row in rows if row.status == Status.INVALID]
    if not refused:
        return
    names = ", ".join(sorted(row.identifier for row in refused)[:5])
    first = refused[0].problem or {}
    params: dict[str, Param] = {
        "names": names,
        "count": len(refused),
        "others": len(rows) - len(refused),
        "because": str(first.get("code", "")),
        "ca": order.account.title,
    }
    raise NameRefusedError(Problem("acme.names_refused", params=params))


def _change(order: AcmeOrder, row: AcmeAuthorization, **changes: object) -> None:
    """Write into the row and keep the order."""
    keep(order)
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=list(changes))
