"""The host as found, kept as a deployment: a state that one can go back to."""

from __future__ import annotations

from dataclasses import asdict

from django.db.models import Max
from django.utils import timezone

from mailadmin.audit.actors import Actor
from mailadmin.deployments.models import Deployment
from mailadmin.listeners.selectors import desired_state
from mailadmin.servers.models import MailServer


def record_baseline(actor: Actor, server: MailServer) -> None:
    """Keep what is wanted as what is there; call with the server's row locked."""
    state = desired_state(server)
    server.applied_state = state.as_dict()
    server.save(update_fields=["applied_state"])
    now = timezone.now()
    Deployment.objects.create(
        server=server,
        number=next_number(server),
        kind=Deployment.Kind.BASELINE,
        status=Deployment.Status.SUCCEEDED,
        state_digest=state.digest,
        state=state.as_dict(),
        requested_by=actor.name,
        actor=asdict(actor),
        request_id=actor.request_id,
        started_at=now,
        finished_at=now,
    )


def next_number(server: MailServer) -> int:
    """Return the number of the next deployment; call with the server's row locked."""
    last = server.deployments.aggregate(last=Max("number"))["last"]
    return 0 if last is None else last + 1
