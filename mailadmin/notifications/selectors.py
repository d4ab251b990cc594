"""Reading notices, destinations and deliveries. Every function costs a fixed number of queries."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Case, IntegerField, Max, QuerySet, Value, When

from mailadmin.notifications.models import SEVERITIES, Delivery, Destination, Notice
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer

_MOST_DUE = 200
_RELATED = ("certificate", "deployment")
_URGENCY = Case(
    *(
        When(severity=str(severity), then=Value(-position))
        for position, severity in enumerate(SEVERITIES)
    ),
    output_field=IntegerField(),
)


@dataclass(frozen=True, slots=True)
class DestinationRow:
    """A destination, and how the last delivery to it went."""

    destination: Destination
    last: Delivery | None


def due_deliveries(now: datetime) -> list[int]:
    """Return the keys of what waits to be sent, the longest waiting first."""
    rows = Delivery.objects.filter(status=Delivery.Status.QUEUED, next_attempt_at__lte=now)
    return list(rows.order_by("next_attempt_at").values_list("pk", flat=True)[:_MOST_DUE])


def open_notices(*, is_quiet: bool = False) -> QuerySet[Notice]:
    """Return what stands now, the worst first."""
    rows = Notice.objects.filter(closed_at=None, is_quiet=is_quiet).select_related(*_RELATED)
    return rows.annotate(urgency=_URGENCY).order_by("urgency", "-opened_at", "-pk")


def closed_notices() -> QuerySet[Notice]:
    """Return what was told and is over, the newest first."""
    rows = Notice.objects.filter(closed_at__isnull=False, is_quiet=False)
    return rows.select_related(*_RELATED).order_by("-closed_at", "-pk")


def list_destinations() -> list[DestinationRow]:
    """Return every destination by its title."""
    rows = list(Destination.objects.annotate(last=Max("deliveries")))
    last = Delivery.objects.in_bulk([row.last for row in rows if row.last])
    return [DestinationRow(row, last.get(row.last)) for row in rows]


def list_deliveries() -> QuerySet[Delivery]:
    """Return every delivery, the newest first."""
    related = ("destination", "notice__certificate", "notice__deployment")
    return Delivery.objects.select_related(*related).order_by("-pk")


def running_test(destination: Destination) -> Delivery | None:
    """Return the test of this destination that is not over yet."""
    waiting = [Delivery.Status.QUEUED, Delivery.Status.SENDING]
    return destination.deliveries.filter(notice=None, status__in=waiting).first()


def find_weaknesses(
    destinations: Iterable[Destination], server: MailServer | None
) -> list[Problem]:
    """Return why nobody may hear of a problem."""
    told = [item for item in destinations if item.is_enabled]
    found = []
    if not told:
        found.append(Problem("destinations.none", Severity.WARNING))
    elif server is not None and _all_depend_on(told, server):
        params = {"host_name": server.host_name}
        found.append(Problem("destinations.only_own_server", Severity.WARNING, params=params))
    if told and not settings.PANEL_URL:
        found.append(Problem("panel.no_address", Severity.INFO))
    return found


def _all_depend_on(destinations: Iterable[Destination], server: MailServer) -> bool:
    """Tell whether all mail passes through the server, on its way out or at its end."""
    is_sent_there = _is_own_host(settings.EMAIL_HOST.lower(), server)
    return all(
        not item.is_webhook and (is_sent_there or _is_kept_at(item.address, server.host_name))
        for item in destinations
    )


def _is_kept_at(address: str, host_name: str) -> bool:
    domain = address.rpartition("@")[2].lower()
    return domain == host_name or host_name.endswith(f".{domain}")


def _is_own_host(host: str, server: MailServer) -> bool:
    addresses: Sequence[str] = list(server.listeners.values_list("address", flat=True))
    if host in {"localhost", server.host_name, *addresses}:
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False
