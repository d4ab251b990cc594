"""Ask the agent who used what, and keep who would notice the change that is pending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.utils import timezone

from mailadmin.agent.protocol import AgentError
from mailadmin.deployments.models import Foresight
from mailadmin.deployments.runner.asking import agent_of
from mailadmin.listeners.selectors import applied_state, desired_state
from mailadmin.mailconf.maillog.foresight import is_anything_taken, newly_open
from mailadmin.mailconf.maillog.outlook import Outlook, look_ahead
from mailadmin.mailconf.proof import expectations
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem, Severity

DAYS = 30
# Somebody else is served first: the agent reads the logs for one at a time.
_UNDER_WAY = "usage.under_way"


def run_foresight(foresight_id: int) -> bool:
    """Answer a foresight that waits; returns False if the agent must be asked again later.

    One that is answered, or that was deleted for a newer one, stays as it is.
    """
    waiting = [Foresight.Status.QUEUED, Foresight.Status.RUNNING]
    rows = Foresight.objects.filter(pk=foresight_id, status__in=waiting)
    claimed = rows.update(status=Foresight.Status.RUNNING, heartbeat_at=timezone.now())
    foresight = Foresight.objects.select_related("server").filter(pk=foresight_id).first()
    if not claimed or foresight is None:
        return True
    before, after = applied_state(foresight.server), desired_state(foresight.server)
    try:
        outlook = None
        if before and is_anything_taken(before, after):
            outlook = _ask(foresight, before, after)
    except AgentError as error:
        if error.problem.code == _UNDER_WAY:
            return False
        _finish(foresight, Foresight.Status.FAILED, error=error.problem)
        return True
    around = _look_around(foresight, before, after) if before else []
    _finish(foresight, Foresight.Status.READY, after.digest, outlook, around=around)
    return True


def _look_around(foresight: Foresight, before: DesiredState, after: DesiredState) -> list[Problem]:
    """Return how packet filter and fail2ban fit what opens; who cannot say so is no obstacle."""
    opened = newly_open(before, after)
    wanted = [item for item in expectations(after) if item.service in opened and not item.sni_name]
    if not wanted:
        return []
    try:
        return agent_of(foresight.server).look_around(wanted)
    except AgentError as error:
        return [replace(error.problem, severity=Severity.WARNING)]


def _ask(foresight: Foresight, before: DesiredState, after: DesiredState) -> Outlook:
    row = Foresight.objects.filter(pk=foresight.pk)

    def tell(progress: dict[str, Any]) -> None:
        is_there = row.update(
            lines=progress["lines"],
            source=str(progress["source"])[:300],
            heartbeat_at=timezone.now(),
        )
        if not is_there:
            # Something else is pending by now: hanging up ends the reading.
            raise AgentError.because("usage.not_wanted")

    return look_ahead(before, after, agent_of(foresight.server).usage(DAYS, tell))


def _finish(
    foresight: Foresight,
    status: Foresight.Status,
    digest: str = "",
    outlook: Outlook | None = None,
    error: Problem | None = None,
    around: Sequence[Problem] = (),
) -> None:
    """Write the answer, unless the row was deleted meanwhile; it must not come back."""
    Foresight.objects.filter(pk=foresight.pk).update(
        status=status,
        state_digest=digest or foresight.state_digest,
        outlook=outlook.as_dict() if outlook else None,
        surroundings=[item.as_dict() for item in around],
        error=error.as_dict() if error else None,
        finished_at=timezone.now(),
    )
