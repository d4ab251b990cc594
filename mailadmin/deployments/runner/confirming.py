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
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer

logger = logging.getLogger(__name__)

# What the agent shows by its clock and we by ours may differ by what a question takes.
_SAME = timedelta(seconds=2)
# An agent that cannot read its disk may seem to know nothing; one that keeps the time has taken it
# back, or says that it is about to, well before this.
_GIVEN_UP = timedelta(minutes=2)


def settle_deployment(deployment_id: int) -> Deployment | None:
    """Ask, and return the deployment if that ended its waiting.

    An agent that cannot be reached changes nothing: it is asked again. One that knows nothing of it
    long after the time was over will not take it back any more.
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
        return deployment if _is_forgotten(deployment, error) and _give_up(deployment) else None
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


def _is_forgotten(deployment: Deployment, error: AgentError) -> bool:
    """Tell whether nobody is left who could take it back."""
    is_over = timezone.now() - (deployment.confirm_by or timezone.now()) > _GIVEN_UP
    return is_over and error.problem.code == "confirm.unknown"


@transaction.atomic
def _give_up(deployment: Deployment) -> bool:
    """End its waiting without knowing how it stands: what it applied goes on being what is wanted.

    Most likely that is in effect, since whoever would have taken it back knows nothing of it; the
    next look tells.
    """
    report = ApplyReport(Outcome.FAILED, (), problem=Problem("confirm.unknown", Severity.ERROR))
    if not _write_end(deployment, report):
        return False
    record_outcome(deployment, Deployment.Status.FAILED, report, Actor.system("agent"))
    return True


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
    if not _write_end(deployment, report):
        return False
    for event in report.steps:
        keep_step(deployment, event)
    MailServer.objects.filter(pk=deployment.server_id).update(applied_state=deployment.state_before)
    who = _who(deployment, Deployment.Decision.TAKE_BACK)
    record_outcome(deployment, STATUSES[report.outcome], report, who)
    return True


def _write_end(deployment: Deployment, report: ApplyReport) -> bool:
    """Write how its waiting ended; returns whether we were the first."""
    deployment.status = STATUSES[report.outcome]
    closed = (
        awaiting_deployments()
        .filter(pk=deployment.pk)
        .update(
            status=deployment.status,
            finished_at=timezone.now(),
            failure=report.problem.as_dict() if report.problem else None,
            evidence=[item.as_dict() for item in report.evidence],
        )
    )
    return bool(closed)


def _who(deployment: Deployment, decision: Deployment.Decision) -> Actor:
    """Return who decided that; the agent, if what happened is not what anybody decided."""
    if deployment.decision == decision:
        return Actor(**deployment.decided_by)
    return Actor.system("agent")
