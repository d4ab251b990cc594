"""Waiting for a worker, for the command line: every wait has an end and says what is the matter."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.utils.translation import gettext as _

from mailadmin.deployments.models import Deployment, DeploymentStep, Foresight, Plan, ProbeRun

_PAUSE = 0.1
# A worker takes a message within milliseconds; beat sends forgotten ones again every 10 s.
_UNTIL_TAKEN = 30.0
_UNTIL_DONE = 180.0


class WaitedTooLongError(Exception):
    """Nobody did the work in time; the text says what to look at."""


def wait_for_plan(plan: Plan) -> Plan:
    """Return the plan when it is answered. Raises :class:`WaitedTooLongError`."""
    _wait(plan, lambda: plan.status in {Plan.Status.READY, Plan.Status.FAILED})
    return plan


def wait_for_probe(run: ProbeRun) -> ProbeRun:
    """Return the look when it is over. Raises :class:`WaitedTooLongError`."""
    _wait(run, lambda: run.status in {ProbeRun.Status.DONE, ProbeRun.Status.FAILED})
    return run


def wait_for_foresight(foresight: Foresight) -> Foresight:
    """Return the foresight when it is answered. Raises :class:`WaitedTooLongError`."""
    _wait(foresight, lambda: not foresight.is_waiting)
    return foresight


def wait_for_deployment(
    deployment: Deployment, tell: Callable[[DeploymentStep], None]
) -> Deployment:
    """Return the deployment when it is over, telling each step once when it has ended.

    Raises :class:`WaitedTooLongError`.
    """
    told: set[int] = set()

    def look() -> bool:
        for step in deployment.steps.exclude(status=DeploymentStep.Status.RUNNING):
            if step.position not in told:
                told.add(step.position)
                tell(step)
        return deployment.is_finished

    _wait(deployment, look)
    look()
    return deployment


def wait_until_settled(deployment: Deployment) -> Deployment:
    """Return the deployment when what was decided about it has reached the agent.

    Raises :class:`WaitedTooLongError`.
    """
    _wait(deployment, lambda: not deployment.is_awaiting, is_queued=lambda: True)
    return deployment


def _wait(
    row: Plan | ProbeRun | Deployment | Foresight,
    is_over: Callable[[], bool],
    is_queued: Callable[[], bool] | None = None,
) -> None:
    is_queued = is_queued or (lambda: row.status == "queued")
    started = time.monotonic()
    while True:
        row.refresh_from_db()
        if is_over():
            return
        spent = time.monotonic() - started
        if is_queued() and spent > _UNTIL_TAKEN:
            raise WaitedTooLongError(
                _(
                    "No worker has taken the work for %(seconds)d seconds. It stays queued. "
                    "Check that the Celery worker and Redis are running."
                )
                % {"seconds": spent}
            )
        if spent > _UNTIL_DONE:
            raise WaitedTooLongError(
                _(
                    "The work has not ended within %(seconds)d seconds. It goes on; look at its "
                    "page or ask again."
                )
                % {"seconds": spent}
            )
        time.sleep(_PAUSE)
