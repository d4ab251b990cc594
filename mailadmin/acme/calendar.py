"""What will happen in the next 90 days, and what needs somebody now: one line per certificate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mailadmin.acme import selectors
from mailadmin.acme.models import AcmeCertificate, AcmeOrder
from mailadmin.acme.runner import is_served

_HORIZON = timedelta(days=90)
# A renewal that is issued and not served for this long is what this page exists for.
_PATIENCE = timedelta(hours=1)

Status = AcmeOrder.Status
Trigger = AcmeOrder.Trigger


class Standing(StrEnum):
    """How a certificate stands, from what needs somebody most."""

    NOT_SERVED = "not_served"
    FAILING = "failing"
    WAITS_FOR_RECORD = "waits_for_record"
    NEVER_ISSUED = "never_issued"
    WAITS_FOR_ADMIN = "waits_for_admin"
    UNDER_WAY = "under_way"
    BY_HAND = "by_hand"
    GOOD = "good"


_STATES = {
    Standing.NOT_SERVED: "broken",
    Standing.FAILING: "attention",
    Standing.WAITS_FOR_RECORD: "attention",
    Standing.NEVER_ISSUED: "attention",
    Standing.WAITS_FOR_ADMIN: "attention",
    Standing.UNDER_WAY: "pending",
    Standing.BY_HAND: "off",
    Standing.GOOD: "proven",
}

_CALM = frozenset({Standing.GOOD, Standing.UNDER_WAY, Standing.BY_HAND})


@dataclass(frozen=True, slots=True)
class Line:
    """One certificate: how it stands and what comes next."""

    wanted: AcmeCertificate
    standing: Standing
    order: AcmeOrder | None
    next_at: datetime | None
    is_overdue: bool
    is_beyond: bool
    has_window: bool

    @property
    def state(self) -> str:
        """Return the colour."""
        return _STATES[self.standing]

    @property
    def needs_somebody(self) -> bool:
        """Tell whether it does not go on without a person, or goes on badly."""
        return self.is_overdue or self.standing not in _CALM


def look_ahead(now: datetime) -> list[Line]:
    """Return every certificate: those that need somebody first, then by when they are renewed."""
    rows = selectors.list_wanted_with_orders()
    lines = [_describe(wanted, _recent_orders(wanted), now) for wanted in rows]
    far = now + _HORIZON
    order = list(Standing)
    return sorted(lines, key=lambda line: (_rank(line, order), line.next_at or far))


def describe(wanted: AcmeCertificate, now: datetime) -> Line:
    """Return how one certificate stands."""
    rows = selectors.list_wanted_with_orders()
    return _describe(wanted, _recent_orders(rows.get(pk=wanted.pk)), now)


def _recent_orders(wanted: AcmeCertificate) -> list[AcmeOrder]:
    # Filled by the selector's prefetch, under a name that the model does not know.
    found: list[AcmeOrder] = vars(wanted)["recent_orders"]
    return found


def _describe(wanted: AcmeCertificate, recent: list[AcmeOrder], now: datetime) -> Line:
    newest = recent[0] if recent else None
    next_at = wanted.next_attempt_at if wanted.is_renewed_automatically else None
    return Line(
        wanted=wanted,
        standing=_standing(wanted, recent, now),
        order=newest,
        next_at=next_at,
        is_overdue=next_at is not None and next_at < now - _PATIENCE,
        is_beyond=next_at is not None and next_at > now + _HORIZON,
        has_window=bool(wanted.renewal_info.get("picked_at")),
    )


def _rank(line: Line, order: list[Standing]) -> int:
    return order.index(line.standing) if line.needs_somebody else len(order)


def _standing(wanted: AcmeCertificate, recent: list[AcmeOrder], now: datetime) -> Standing:
    newest = recent[0] if recent else None
    if newest is not None and not newest.is_finished:
        is_waiting = newest.status == Status.WAITING
        return Standing.WAITS_FOR_RECORD if is_waiting else Standing.UNDER_WAY
    if wanted.failures:
        return Standing.FAILING if wanted.certificate_id else Standing.NEVER_ISSUED
    if wanted.certificate_id is None or newest is None:
        return Standing.NEVER_ISSUED
    issued = _newest_issued(recent)
    if issued is not None and issued.status in {Status.ISSUED, Status.UNPROVEN}:
        standing = _unserved(issued, now)
        # The order is told within a minute of a deployment that somebody made.
        if not _is_in_place(wanted):
            return standing
    return Standing.GOOD if wanted.is_renewed_automatically else Standing.BY_HAND


def _is_in_place(wanted: AcmeCertificate) -> bool:
    if wanted.server is None or wanted.certificate is None:
        return False
    return is_served(wanted.server, wanted.certificate)


def _unserved(issued: AcmeOrder, now: datetime) -> Standing:
    """Tell a renewal that is not served from a first one that waits for its place."""
    is_old_served = issued.previous_id is not None
    is_late = issued.issued_at is not None and issued.issued_at < now - _PATIENCE
    if issued.status == Status.UNPROVEN or (is_old_served and is_late):
        return Standing.NOT_SERVED
    return Standing.WAITS_FOR_ADMIN


def _newest_issued(orders: Iterable[AcmeOrder]) -> AcmeOrder | None:
    return next(
        (row for row in orders if row.issued_at is not None and row.trigger != Trigger.REHEARSAL),
        None,
    )
