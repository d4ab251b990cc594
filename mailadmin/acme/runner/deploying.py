"""From issued to proven: an ordinary deployment of this certificate alone, and what is served.

*Issued*, *deployed* and *proven* are three things, and only a handshake tells the third.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from mailadmin.acme import selectors
from mailadmin.acme.models import AcmeOrder
from mailadmin.acme.runner.claiming import keep
from mailadmin.acme.runner.events import tell, tell_problem
from mailadmin.audit.actors import Actor
from mailadmin.certificates.models import Certificate
from mailadmin.deployments.models import Deployment
from mailadmin.deployments.services import request_certificate_swap
from mailadmin.listeners.selectors import applied_state
from mailadmin.pki.names import is_covered
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer

_SOON = 1.0
# How far back is looked for what is served; a year of short-lived ones.
_MANY = 100

Status = AcmeOrder.Status
Trigger = AcmeOrder.Trigger


def begin_deployment(order: AcmeOrder) -> float | None:
    """Hand a renewal to a deployment, if the admin allowed it and the old one is served.

    Returns in how many seconds to look how it went; ``None`` if the order ends with it.
    """
    old, new = order.previous, order.certificate
    server = order.acme_certificate.server
    if new is None or old is None or server is None or order.trigger == Trigger.FIRST:
        _close_issued(order)
        return None
    served = _find_served(order, server, new)
    if served is None:
        _close_issued(order, Problem("acme.old_not_served", Severity.INFO, "", {"old": old.label}))
        return None
    if not order.acme_certificate.is_deployed_automatically:
        _close_issued(order, Problem("acme.waits_for_admin", Severity.WARNING))
        return None
    return _exchange(order, server, served, new)


def _exchange(
    order: AcmeOrder, server: MailServer, old: Certificate, new: Certificate
) -> float | None:
    try:
        with transaction.atomic():
            deployment = request_certificate_swap(
                actor=Actor.system("renewal"),
                server=server,
                old=old,
                new=new,
                reason=f"ACME #{order.pk}",
                keeps_old_for=_lost_names(old, new),
            )
            keep(order, deployment=deployment, status=Status.DEPLOYING)
            tell(order, "acme.deployment_begun", number=deployment.number)
    except ChangeRefusedError as refused:
        close_unproven(order, refused.problems[0])
        return None
    return _SOON


def follow_deployment(order: AcmeOrder) -> float | None:
    """Look how the deployment went; returns in how many seconds to look again."""
    deployment = order.deployment
    if deployment is not None and not deployment.is_finished:
        keep(order, resume_at=timezone.now())
        return _SOON
    if deployment is not None and deployment.status == Deployment.Status.SUCCEEDED:
        server, new = order.acme_certificate.server, order.certificate
        if server is not None and new is not None:
            served = _find_served(order, server, new)
            if served is not None:
                return _exchange(order, server, served, new)
        _close_proven(order, deployment.finished_at or timezone.now(), deployment.number)
        return None
    number = deployment.number if deployment else 0
    close_unproven(order, Problem("acme.deployment_taken_back", params={"number": number}))
    return None


def _find_served(order: AcmeOrder, server: MailServer, new: Certificate) -> Certificate | None:
    """Return what is to be exchanged for the new one: the one before, or an older one.

    An older one is served if the one before was never put in place, or did not have all names.
    """
    swaps = server.deployments.filter(
        kind=Deployment.Kind.SWAP, status=Deployment.Status.SUCCEEDED
    ).order_by("-pk")
    # What is served of these is so on purpose: for names that the new one has not.
    exchanged = {
        row.swap["old"] for row in swaps[:_MANY] if row.swap and row.swap["new"] == new.fingerprint
    }
    for old in _older_ones(order):
        if old.fingerprint not in exchanged | {new.fingerprint} and is_served(server, old):
            return old
    return None


def _older_ones(order: AcmeOrder) -> Iterator[Certificate]:
    """Yield what this renewal comes after, the newest first."""
    earlier = order.acme_certificate.orders.filter(pk__lte=order.pk)
    for row in earlier.select_related("certificate", "previous").order_by("-pk")[:_MANY]:
        for old in (row.certificate, row.previous):
            if old is not None and old.deleted_at is None:
                yield old


def note_what_is_served(now: datetime) -> None:
    """Note of issued certificates that they are served and proven, whoever put them in place."""
    for order in selectors.orders_without_place():
        server = order.acme_certificate.server
        if order.certificate and server and is_served(server, order.certificate):
            last = _last_proof(server)
            AcmeOrder.objects.filter(pk=order.pk).update(
                status=Status.PROVEN, deployed_at=last or now, proven_at=last or now
            )
            tell(order, "acme.proven_by_admin")


def is_served(server: MailServer, certificate: Certificate) -> bool:
    """Tell whether the last proven state of the server has the certificate on any port or name."""
    state = applied_state(server)
    return state is not None and certificate.fingerprint in state.used_fingerprints


def _last_proof(server: MailServer) -> datetime | None:
    done = server.deployments.filter(status=Deployment.Status.SUCCEEDED)
    return done.values_list("finished_at", flat=True).first()


def _lost_names(old: Certificate, new: Certificate) -> list[str]:
    """Return the host names that only the old one covers."""
    return [name for name in old.names if "*" not in name and not is_covered(name, new.names)]


def _close_proven(order: AcmeOrder, at: datetime, number: int) -> None:
    with transaction.atomic():
        keep(order, status=Status.PROVEN, deployed_at=at, proven_at=at, finished_at=at)
        tell(order, "acme.proven", number=number)


def _close_issued(order: AcmeOrder, said: Problem | None = None) -> None:
    """End it where nothing is to be put in place, or not by itself."""
    with transaction.atomic():
        keep(order, status=Status.ISSUED, finished_at=timezone.now())
        if said is not None:
            tell_problem(order, said)


def close_unproven(order: AcmeOrder, problem: Problem) -> None:
    """End it with the old one served, and say why."""
    with transaction.atomic():
        keep(order, status=Status.UNPROVEN, problem=problem.as_dict(), finished_at=timezone.now())
        tell_problem(order, problem)
