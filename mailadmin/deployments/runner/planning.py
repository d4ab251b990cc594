"""Ask the agent what would change, and keep the answer for the reviewer."""

from __future__ import annotations

from django.utils import timezone

from mailadmin.agent.protocol import AgentError
from mailadmin.deployments.models import Plan
from mailadmin.deployments.runner.asking import agent_of, with_material
from mailadmin.listeners.selectors import desired_state
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem


def run_plan(plan_id: int) -> None:
    """Answer a plan that is queued or was left running; one that is answered stays as it is."""
    waiting = [Plan.Status.QUEUED, Plan.Status.RUNNING]
    claimed = Plan.objects.filter(pk=plan_id, status__in=waiting).update(status=Plan.Status.RUNNING)
    plan = Plan.objects.select_related("server__default_certificate").filter(pk=plan_id).first()
    if not claimed or plan is None:
        return
    state = DesiredState.from_dict(plan.state) if plan.state else desired_state(plan.server)
    plan.state_digest = state.digest
    try:
        report = agent_of(plan.server).plan(with_material(state))
    except AgentError as error:
        _fail(plan, error.problem)
        return
    plan.status = Plan.Status.READY
    plan.digest = report.digest
    plan.files = [dict(item) for item in report.files]
    plan.problems = [item.as_dict() for item in report.problems]
    plan.error = None
    plan.finished_at = timezone.now()
    plan.save()


def _fail(plan: Plan, problem: Problem) -> None:
    plan.status = Plan.Status.FAILED
    plan.error = problem.as_dict()
    plan.finished_at = timezone.now()
    plan.save()
