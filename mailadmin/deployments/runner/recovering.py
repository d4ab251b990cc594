"""Follow a way back that was not proven: the agent tries it again by itself, and knows how it went.

Asked for as long as the row says that it is not proven; what the agent says then stands.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome, Standing
from mailadmin.audit.actors import Actor
from mailadmin.deployments.models import Deployment
from mailadmin.deployments.runner.applying import keep_step, record_outcome
from mailadmin.deployments.runner.asking import agent_of
from mailadmin.deployments.selectors import unproven_deployments

logger = logging.getLogger(__name__)

# The agent tells whole seconds, and the question takes its time: nearer than that is the same.
_SAME = timedelta(seconds=2)


def follow_recovery(deployment_id: int) -> Deployment | None:
    """Ask how it stands, and return the deployment if it is proven by now."""
    deployment = unproven_deployments().filter(pk=deployment_id).first()
    if deployment is None:
        return None
    try:
        standing = agent_of(deployment.server).standing(str(deployment.uuid))
    except AgentError as error:
        # It may be about to start again, which is a try of its own.
        logger.warning("deployment %s: %s", deployment.number, error.problem.code)
        standing = Standing(None, None)
    report = standing.report
    if report is not None and report.outcome is Outcome.ROLLED_BACK:
        return deployment if _close(deployment, report) else None
    _keep(deployment, standing)
    return None


def _keep(deployment: Deployment, standing: Standing) -> None:
    """Write down when it is tried next, and what keeps it from being proven now."""
    retry_at, was = _moment(standing.retry_in), deployment.retry_at
    if retry_at and was and abs(retry_at - was) < _SAME:
        retry_at = was
    problem = standing.report.problem if standing.report else None
    failure = problem.as_dict() if problem else deployment.failure
    if (retry_at, failure) != (was, deployment.failure):
        rows = unproven_deployments().filter(pk=deployment.pk)
        rows.update(retry_at=retry_at, failure=failure)


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else timezone.now() + timedelta(seconds=seconds)


@transaction.atomic
def _close(deployment: Deployment, report: ApplyReport) -> bool:
    """Write down that the old state is proven; returns whether we were the first."""
    status = Deployment.Status.ROLLED_BACK
    rows = unproven_deployments().filter(pk=deployment.pk)
    closed = rows.update(
        status=status,
        retry_at=None,
        finished_at=timezone.now(),
        failure=report.problem.as_dict() if report.problem else None,
        evidence=[item.as_dict() for item in report.evidence],
    )
    if not closed:
        return False
    deployment.status = status
    for event in report.steps:
        keep_step(deployment, event)
    record_outcome(deployment, status, report, Actor.system("agent"))
    return True
