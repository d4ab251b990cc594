"""Carry a deployment to its end: claim, ask the agent, keep its steps, close with an event.

Every line may be run twice. The agent answers by the deployment's id, so a message that is
delivered again, or a second worker, follows the same apply; only one of them closes the row.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Max
from django.utils import timezone

from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome, StepEvent
from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.deployments.models import Deployment, DeploymentStep
from mailadmin.deployments.runner.asking import agent_of, with_material
from mailadmin.deployments.runner.drifting import close_drift
from mailadmin.deployments.runner.probing import record_look
from mailadmin.deployments.runner.swapping import plan_swap, want_what_was_swapped
from mailadmin.deployments.selectors import awaiting_deployments
from mailadmin.mailconf import proof
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem
from mailadmin.servers.models import MailServer

logger = logging.getLogger(__name__)

_UNREACHABLE = frozenset({"agent.unreachable", "agent.hung_up", "agent.silent"})
# A restarted agent first undoes what it left half done, which it proves for up to 8 seconds.
_PATIENCE = 45.0
_PAUSE = 1.0
STATUSES = {
    Outcome.SUCCEEDED: Deployment.Status.SUCCEEDED,
    Outcome.ROLLED_BACK: Deployment.Status.ROLLED_BACK,
    Outcome.REFUSED: Deployment.Status.FAILED,
    Outcome.FAILED: Deployment.Status.FAILED,
}
_Answer = TypeVar("_Answer")
_VERBS = {
    Deployment.Status.SUCCEEDED: "deployment.succeeded",
    Deployment.Status.ROLLED_BACK: "deployment.rolled_back",
    Deployment.Status.FAILED: "deployment.failed",
}


def run_deployment(deployment_id: int) -> Deployment | None:
    """Run a deployment, and return it if it was us who ended it.

    While another one runs or waits to be confirmed nothing is done: whoever ends that one sends
    the next (``tasks``).
    """
    if _is_another_awaiting(deployment_id) or not _claim(deployment_id):
        return None
    deployment = Deployment.objects.select_related("server").get(pk=deployment_id)
    if deployment.is_finished:
        return None
    try:
        if deployment.kind == Deployment.Kind.SWAP and not deployment.plan_digest:
            _patiently(deployment, lambda: plan_swap(deployment))
        report = _follow(deployment)
    except AgentError as error:
        report = ApplyReport(Outcome.FAILED, (), problem=error.problem)
    except (OperationalError, InterfaceError) as error:
        # The database is busy or away, and the agent goes on. Calling it failed could be untrue:
        # the row stays as it is, the beat sends it again, and the agent says how it ended.
        name = type(error).__name__
        logger.warning("deployment %s waits for the database: %s", deployment.number, name)
        return None
    except Exception:
        # A mistake of our own must end it too: a row that runs for ever blocks all that come.
        logger.exception("deployment %s broke", deployment.number)
        report = ApplyReport(Outcome.FAILED, (), problem=Problem("deployment.fault"))
    if not _close(deployment, report):
        return None
    _keep_look(deployment, report)
    return deployment


def _claim(deployment_id: int) -> bool:
    """Turn queued into running by compare-and-set. A row that runs already is followed too."""
    now = timezone.now()
    queued = Deployment.objects.filter(pk=deployment_id, status=Deployment.Status.QUEUED)
    if _must_wait(deployment_id) or seconds_to_wait(deployment_id):
        return False
    try:
        with transaction.atomic():
            queued.update(status=Deployment.Status.RUNNING, started_at=now, heartbeat_at=now)
    except IntegrityError:
        # The constraint of one running deployment per server.
        return False
    return True


def seconds_to_wait(deployment_id: int) -> float:
    """Return for how long one that waits is held back, because another ended just now.

    Closer reloads starve Postfix. The agent sees to that too; but what is still in the queue can be
    joined by what somebody else asks for meanwhile.
    """
    waiting = Deployment.objects.filter(pk=deployment_id, status=Deployment.Status.QUEUED).first()
    if waiting is None:
        return 0.0
    ended = waiting.server.deployments.exclude(kind=Deployment.Kind.BASELINE)
    last = ended.exclude(finished_at=None).aggregate(last=Max("finished_at"))["last"]
    if last is None:
        return 0.0
    passed = (timezone.now() - last).total_seconds()
    # A clock that was set back must not hold anything for longer than the distance itself.
    return max(0.0, settings.APPLY_SPACING - passed) if passed >= 0 else 0.0


def _is_another_awaiting(deployment_id: int) -> bool:
    """Tell whether it has not begun, and one that is on trial comes before it."""
    queued = Deployment.objects.filter(pk=deployment_id, status=Deployment.Status.QUEUED)
    server_ids = queued.values_list("server_id", flat=True)
    return awaiting_deployments().filter(server_id__in=server_ids).exists()


def _must_wait(deployment_id: int) -> bool:
    """Tell whether a swap has another before it: it is planned for what that one leaves."""
    swap = Deployment.objects.filter(
        pk=deployment_id, kind=Deployment.Kind.SWAP, status=Deployment.Status.QUEUED
    ).first()
    if swap is None:
        return False
    unfinished = [Deployment.Status.QUEUED, Deployment.Status.RUNNING]
    earlier = swap.server.deployments.filter(number__lt=swap.number, status__in=unfinished)
    return earlier.exists()


def _follow(deployment: Deployment) -> ApplyReport:
    """Ask the agent, and ask again while it is away: it knows how far it came."""
    state = with_material(DesiredState.from_dict(deployment.state))
    return _patiently(
        deployment,
        lambda: agent_of(deployment.server).apply(
            state,
            digest=deployment.plan_digest,
            deployment_id=str(deployment.uuid),
            on_step=lambda event: keep_step(deployment, event),
            confirm_within=deployment.confirm_minutes and deployment.confirm_minutes * 60,
        ),
    )


def _patiently(deployment: Deployment, ask: Callable[[], _Answer]) -> _Answer:
    """Return what the agent says, asked again for a while where it is away."""
    given_up_at = time.monotonic() + _PATIENCE
    while True:
        try:
            return ask()
        except AgentError as error:
            if error.problem.code not in _UNREACHABLE or time.monotonic() > given_up_at:
                raise
        _beat(deployment)
        time.sleep(_PAUSE)


def keep_step(deployment: Deployment, event: StepEvent) -> None:
    """Keep a step as the agent told it; the second telling replaces the first."""
    DeploymentStep.objects.update_or_create(
        deployment=deployment,
        position=event.position,
        defaults={
            "code": event.code,
            "subject": event.subject[:300],
            "status": str(event.status),
            "at": _moment(event.at),
            "duration_ms": event.duration_ms,
            "evidence": dict(event.evidence),
        },
    )
    _beat(deployment)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text) if text else timezone.now()


def _beat(deployment: Deployment) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(heartbeat_at=timezone.now())


@transaction.atomic
def _close(deployment: Deployment, report: ApplyReport) -> bool:
    """Write how it ended, with its evidence and one audit event; only the first to come does.

    Returns whether that was us.
    """
    status = STATUSES[report.outcome]
    closed = Deployment.objects.filter(pk=deployment.pk, status=Deployment.Status.RUNNING).update(
        status=status,
        finished_at=timezone.now(),
        failure=report.problem.as_dict() if report.problem else None,
        evidence=[item.as_dict() for item in report.evidence],
        proof_ms=report.proof_ms,
        confirm_by=_confirm_by(report),
        state_before=_applied_state(deployment) if report.confirm_by else None,
    )
    if not closed:
        return False
    for event in report.steps:
        keep_step(deployment, event)
    if status == Deployment.Status.SUCCEEDED:
        state = DesiredState.from_dict(deployment.state)
        # Pending changes are measured against this from now on.
        MailServer.objects.filter(pk=deployment.server_id).update(applied_state=state.as_dict())
        close_drift(deployment.server_id)
        want_what_was_swapped(deployment)
    record_outcome(deployment, status, report)
    return True


def _confirm_by(report: ApplyReport) -> datetime | None:
    is_awaited = report.confirm_by and report.outcome is Outcome.SUCCEEDED
    return datetime.fromisoformat(report.confirm_by) if is_awaited else None


def _applied_state(deployment: Deployment) -> dict[str, Any] | None:
    rows = MailServer.objects.filter(pk=deployment.server_id)
    return rows.values_list("applied_state", flat=True).get()


def _keep_look(deployment: Deployment, report: ApplyReport) -> None:
    """Let the overview show what was proven. Beat looks again anyway, so a failure costs little."""
    if report.outcome is not Outcome.SUCCEEDED:
        return
    expected = proof.on_fewer_ports(proof.expectations(DesiredState.from_dict(deployment.state)))
    who, request_id = deployment.requested_by, deployment.request_id
    try:
        record_look(deployment.server, expected, report.evidence, who, request_id)
    except Exception:
        logger.exception("what deployment %s showed is not kept as a look", deployment.number)


def record_outcome(
    deployment: Deployment,
    status: Deployment.Status,
    report: ApplyReport,
    actor: Actor | None = None,
) -> None:
    """Write the audit event; ``actor`` is whose doing it was, if not of who asked for it."""
    record_event(
        actor=actor or Actor(**deployment.actor),
        verb=_VERBS[status],
        object_type="deployment",
        object_id=deployment.number,
        object_label=f"#{deployment.number}",
        outcome="ok" if status == Deployment.Status.SUCCEEDED else "failed",
        reason=deployment.reason,
        after={"changes": deployment.changes},
        evidence=_evidence(report.problem, report),
    )


def _evidence(problem: Problem | None, report: ApplyReport) -> dict[str, Any]:
    """Return what an auditor wants to read: what each port showed, not the whole conversation."""
    return {
        "proof_ms": report.proof_ms,
        "problem": problem.as_dict() if problem else None,
        "listeners": [
            {
                "service": item.service,
                "address": item.address,
                "port": item.port,
                "sni_name": item.sni_name,
                "key_algorithm": item.key_algorithm,
                "is_open": item.is_open,
                "tls_version": item.tls_version,
                "cipher": item.cipher,
                "fingerprint": item.fingerprint,
                "reply_without_login": item.reply_without_login,
            }
            for item in report.evidence
        ],
    }
