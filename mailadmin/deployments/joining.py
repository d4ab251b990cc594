"""Let what is asked for while a deployment still waits for its turn become part of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mailadmin.audit.actors import Actor
from mailadmin.deployments import selectors
from mailadmin.deployments.models import Deployment, Plan
from mailadmin.servers.models import MailServer

_LONGEST_NAMES = 150
_LONGEST_REASON = 300


def find_joinable(server: MailServer, state_digest: str) -> Deployment | None:
    """Return the deployment that waits and to which this state would add something."""
    waiting = selectors.unfinished_deployment(server)
    is_joinable = (
        waiting is not None
        and waiting.status == Deployment.Status.QUEUED
        and waiting.kind == Deployment.Kind.APPLY
        and waiting.state_digest != state_digest
    )
    return waiting if is_joinable else None


def join(
    *,
    actor: Actor,
    waiting: Deployment,
    plan: Plan,
    wanted: dict[str, Any],
    reason: str,
    confirm_minutes: int | None,
) -> bool:
    """Make the waiting deployment this plan, asked for by both; False if it has begun meanwhile.

    What is wanted is shared, so the later plan holds the earlier one's changes too, and whoever
    asks now has reviewed them. Who wanted a chance to take it back keeps it.
    """
    minutes = [item for item in (waiting.confirm_minutes, confirm_minutes) if item]
    rows = Deployment.objects.filter(pk=waiting.pk, status=Deployment.Status.QUEUED)
    return bool(
        rows.update(
            **wanted,
            plan=plan,
            plan_digest=plan.digest,
            files=plan.files,
            requested_by=_both(waiting.requested_by, actor.name, ", ")[:_LONGEST_NAMES],
            actor=asdict(actor),
            reason=_both(waiting.reason, reason, " / ")[:_LONGEST_REASON],
            confirm_minutes=min(minutes, default=None),
        )
    )


def _both(earlier: str, later: str, between: str) -> str:
    known = earlier.split(between) if earlier else []
    return earlier if not later or later in known else between.join([*known, later])
