"""See to a deployment that waits to be confirmed: tell the agent what was decided, and learn.

The agent keeps the time. It may have taken the deployment back while nobody here was awake; so
whatever was decided, what it says is what stands.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from mailadmin.agent.client import AgentClient
from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome, Standing
from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.deployments.models import Deployment
from mailadmin.deployments.runner.applying import STATUSES, keep_step, record_outcome
from mailadmin.deployments.runner.asking import agent_of
from mailadmin.deployments.selectors import awaiting_deployments
from mailadmin.servers.models import MailServer

logger = logging.getLogger(__name__)

# What the agent shows by its clock and we by ours may differ by what a question takes.
_SAME = timedelta(seconds=2)


def settle_deployment(deployment_id: int) -> Deployment | None:
    """Ask, and return the deployment if that ended its waiting.

    An agent that cannot be reached changes nothing: it is asked again.
    """
    deployment = awaiting_deployments().filter(pk=deployment_id).first()
    if deployment is None:
        return None
    agent = agent_of(deployment.server)
    try:
        _tell(agent, deployment)
        standing = agent.standing(str(deployment.uuid))
    except AgentError as error:
        logger.warning("deployment %s: %s", deployment.number, error.problem.code)
        return None
    return deployment if _keep(deployment, standing) else None


def _tell(agent: AgentClient, deployment: Deployment) -> None:
    """Tell the agent what was decided. Raises :class:`AgentError` if it cannot be reached."""
    name = str(deployment.uuid)
    try:
        if deployment.decision == Deployment.Decision.KEEP:
            agent.confirm(name)
        elif deployment.decision == Deployment.Decision.TAKE_BACK:
            agent.take_back(name, lambda event: keep_step(deployment, event))
    except AgentError as error:
        if not error.problem.code.startswith("confirm."):
            raise
        # It is over already, one way or the other; the next question says which.
        logger.info("deployment %s: %s", deployment.number, error.problem.code)


def _keep(deployment: Deployment, standing: Standing) -> bool:
    """Write down how it stands; returns whether its waiting is over, and we were the first."""
    if standing.seconds_left is not None:
        until = timezone.now() + timedelta(seconds=standing.seconds_left)
        if deployment.confirm_by is None or abs(until - deployment.confirm_by) > _SAME:
            awaiting_deployments().filter(pk=deployment.pk).update(confirm_by=until)
        return False
    report = standing.report
    if report is None:
        return False
    if report.outcome is Outcome.SUCCEEDED:
        return _close_confirmed(deployment)
    return _close_taken_back(deployment, report)


@transaction.atomic
def _close_confirmed(deployment: Deployment) -> bool:
    now = timezone.now()
    if not awaiting_deployments().filter(pk=deployment.pk).update(confirmed_at=now):
        return False
    deployment.confirmed_at = now
    record_event(
        actor=_who(deployment, Deployment.Decision.KEEP),
        verb="deployment.confirmed",
        object_type="deployment",
        object_id=deployment.number,
        object_label=f"#{deployment.number}",
        reason=deployment.reason,
        after={"changes": deployment.changes},
    )
    return True


@transaction.atomic
def _close_taken_back(deployment: Deployment, report: ApplyReport) -> bool:
    """Make what was applied before the applied state again: the changes are pending once more."""
    status = STATUSES[report.outcome]
    closed = (
        awaiting_deployments()
        .filter(pk=deployment.pk)
        .update(
            status=status,
            finished_at=timezone.now(),
            failure=report.problem.as_dict() if report.problem else None,
            evidence=[item.as_dict() for item in report.evidence],
        )
    )
    if not closed:
        return False
    deployment.status = status
    for event in report.steps:
        keep_step(deployment, event)
    MailServer.objects.filter(pk=deployment.server_id).update(applied_state=deployment.state_before)
    record_outcome(deployment, status, report, _who(deployment, Deployment.Decision.TAKE_BACK))
    return True


def _who(deployment: Deployment, decision: Deployment.Decision) -> Actor:
    """Return who decided that; the agent, if what happened is not what anybody decided."""
    if deployment.decision == decision:
        return Actor(**deployment.decided_by)
    return Actor.system("agent")
