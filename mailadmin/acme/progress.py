"""An order and the look before it, as their pages tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mailadmin.acme.models import AcmeAuthorization, AcmeEvent, AcmeOrder, AcmePreflight
from mailadmin.acme.runner import is_served
from mailadmin.acme.sentences.words import say_headline
from mailadmin.pki.problems import Problem, Severity

# A worker takes a message within milliseconds; longer means that there is none.
_TAKEN_WITHIN = 10.0

Status = AcmeOrder.Status


@dataclass(frozen=True, slots=True)
class Stage:
    """One of the things an order comes to: ordered, names proven, issued, deployed, proven."""

    code: str
    state: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderView:
    """How far an order is, or how it ended."""

    order: AcmeOrder
    stages: tuple[Stage, ...]
    names: tuple[AcmeAuthorization, ...]
    events: tuple[AcmeEvent, ...]
    waited_seconds: int
    is_cancellable: bool
    is_put_off: bool
    is_served: bool = False

    @property
    def state(self) -> str:
        """Return the colour of the whole."""
        if not self.order.is_finished:
            is_stalled = self.is_stalled or self.order.status == Status.WAITING
            return "attention" if is_stalled else "pending"
        if self.waits_for_place:
            return "attention"
        if self.order.status in {Status.PROVEN, Status.ISSUED}:
            return "proven"
        return "off" if self.order.status == Status.CANCELLED else "broken"

    @property
    def headline(self) -> str:
        """Return where it stands in one line."""
        return say_headline(self.order, is_served=self.is_served, is_stalled=self.is_stalled)

    @property
    def is_stalled(self) -> bool:
        """Tell whether the request is handed in and something is in the way of its answer."""
        return self.order.is_handed_in and self.order.problem is not None

    @property
    def waits_for_place(self) -> bool:
        """Tell whether the certificate is here and somebody has to put it in place."""
        if self.order.trigger == AcmeOrder.Trigger.REHEARSAL or self.is_served:
            return False
        return self.order.status == Status.ISSUED and self.order.certificate is not None

    @property
    def problem(self) -> Problem | None:
        """Return what ended it, or what it waits for."""
        return Problem.from_dict(self.order.problem) if self.order.problem else None

    @property
    def seconds_between_looks(self) -> int:
        """Return how often the page asks: rarely while somebody copies from it."""
        return 5 if self.order.status == Status.WAITING or self.is_stalled else 1

    @property
    def is_waiting_long(self) -> bool:
        """Tell whether no worker took it."""
        return self.order.status == Status.QUEUED and self.waited_seconds > _TAKEN_WITHIN

    @property
    def records(self) -> list[AcmeAuthorization]:
        """Return the DNS records that somebody has to write."""
        if self.order.status != Status.WAITING:
            return []
        return [row for row in self.names if row.record_name and row.status == "pending"]


@dataclass(frozen=True, slots=True)
class NameView:
    """One name as it was found before ordering."""

    name: str
    is_looked_at: bool
    problems: tuple[Problem, ...]
    facts: Mapping[str, Any]

    @property
    def is_orderable(self) -> bool:
        """Tell whether nothing stands against it."""
        return self.is_looked_at and not any(
            problem.severity is Severity.ERROR for problem in self.problems
        )

    @property
    def state(self) -> str:
        """Return the colour."""
        if not self.is_looked_at:
            return "pending"
        if not self.is_orderable:
            return "broken"
        return "attention" if self.problems else "proven"


@dataclass(frozen=True, slots=True)
class LookView:
    """A look before ordering, as far as it is."""

    names: tuple[NameView, ...]
    problems: tuple[Problem, ...]
    is_over: bool
    waited_seconds: int

    @property
    def orderable(self) -> list[str]:
        """Return the names that can be ordered now."""
        return [view.name for view in self.names if view.is_orderable]

    @property
    def refused(self) -> list[str]:
        """Return the names that cannot."""
        return [view.name for view in self.names if view.is_looked_at and not view.is_orderable]

    @property
    def may_order(self) -> bool:
        """Tell whether there is something to order, and nothing against all of it."""
        against_all = any(problem.severity is Severity.ERROR for problem in self.problems)
        return self.is_over and bool(self.orderable) and not against_all

    @property
    def is_waiting_long(self) -> bool:
        """Tell whether no worker took it."""
        is_untouched = not any(view.is_looked_at for view in self.names)
        return not self.is_over and is_untouched and self.waited_seconds > _TAKEN_WITHIN


def describe_order(order: AcmeOrder, now: datetime) -> OrderView:
    """Return how far the order is."""
    names = tuple(order.authorizations.all())
    return OrderView(
        order=order,
        stages=tuple(_stages(order, names)),
        names=names,
        events=tuple(order.events.all()[:100]),
        waited_seconds=int((now - order.requested_at).total_seconds()),
        is_cancellable=order.is_cancellable(now),
        is_put_off=order.is_put_off(now),
        is_served=_is_served(order),
    )


def _is_served(order: AcmeOrder) -> bool:
    """Tell whether somebody put it in place, of which the order is told within a minute."""
    server = order.acme_certificate.server
    is_open = order.status in {Status.ISSUED, Status.UNPROVEN}
    if not is_open or order.certificate is None or server is None:
        return False
    return is_served(server, order.certificate)


def describe_preflight(row: AcmePreflight, now: datetime) -> LookView:
    """Return what the look has shown so far."""
    views = []
    for name in row.acme_certificate.names:
        told = row.results.get(name)
        problems = tuple(Problem.from_dict(item) for item in told["problems"]) if told else ()
        views.append(NameView(name, told is not None, problems, told["facts"] if told else {}))
    return LookView(
        names=tuple(views),
        problems=tuple(Problem.from_dict(item) for item in row.problems),
        is_over=row.finished_at is not None,
        waited_seconds=int((now - row.requested_at).total_seconds()),
    )


def _stages(order: AcmeOrder, names: tuple[AcmeAuthorization, ...]) -> list[Stage]:
    """Return the stages; the first that is not reached is under way, or is where it ended."""
    proven_at = max((row.validated_at for row in names if row.validated_at), default=None)
    are_names_proven = bool(names) and all(row.status == "valid" for row in names)
    reached: list[tuple[str, bool, datetime | None]] = [
        ("ordered", bool(order.order_url), order.started_at),
        ("names", are_names_proven or order.issued_at is not None, proven_at),
        ("issued", order.issued_at is not None, order.issued_at),
    ]
    if order.trigger != AcmeOrder.Trigger.REHEARSAL:
        reached += [
            ("deployed", order.deployed_at is not None, order.deployed_at),
            ("proven", order.proven_at is not None, order.proven_at),
        ]
    stages, is_next = [], True
    for code, is_done, at in reached:
        if is_done:
            stages.append(Stage(code, "proven", at))
        else:
            stages.append(Stage(code, _open_state(order) if is_next else "off"))
            is_next = False
    return stages


def _open_state(order: AcmeOrder) -> str:
    if not order.is_finished:
        return "attention" if order.status == Status.WAITING else "pending"
    return "broken" if order.status in {Status.FAILED, Status.UNPROVEN} else "off"
