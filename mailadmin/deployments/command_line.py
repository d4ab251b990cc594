"""What the deployment commands share: asking, waiting, and telling how it went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.deployments.models import Deployment, DeploymentStep, Plan
from mailadmin.deployments.selectors import find_deployment
from mailadmin.deployments.sentences import say_problem, say_step
from mailadmin.deployments.services import decide_deployment, request_plan
from mailadmin.deployments.waiting import (
    WaitedTooLongError,
    wait_for_plan,
    wait_until_settled,
)
from mailadmin.listeners.command_line import require_server
from mailadmin.listeners.selectors import pending_changes
from mailadmin.listeners.sentences import say_change
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer

_SEVERITIES = {"error": _("error"), "warning": _("warning"), "info": _("note")}


def obtain_plan(actor: Actor, server: MailServer) -> Plan:
    """Return a fresh, ready plan. Raises ``CommandError`` with the reason if there is none."""
    try:
        plan = wait_for_plan(request_plan(actor=actor, server=server))
    except WaitedTooLongError as error:
        raise CommandError(str(error)) from error
    if plan.error is not None:
        raise CommandError(say_problem(plan.error))
    return plan


def tell_plan(server: MailServer, plan: Plan) -> Iterator[str]:
    """Return the lines of a plan: changes as sentences, diffs, problems, digest."""
    changes = pending_changes(server)
    yield from (say_change(change) for change in changes)
    if not changes and not plan.files:
        yield _("Nothing to apply: the mail server’s files are what they should be.")
    elif not changes:
        yield _("Nothing is pending, but the mail server’s files are not what the panel writes:")
    for file in plan.files:
        yield ""
        yield from file["lines"]
    if plan.problems:
        yield ""
    yield from tell_problems(plan.problems)
    yield _("Plan %(digest)s") % {"digest": plan.digest}


def tell_problems(problems: list[dict[str, Any]]) -> Iterator[str]:
    """Return each problem as a line with its severity in front."""
    for problem in problems:
        word = _SEVERITIES.get(problem["severity"], problem["severity"])
        yield f"{word}: {say_problem(problem)}"


def step_teller(write: Callable[[str], object]) -> Callable[[DeploymentStep], None]:
    """Return a function that writes a step as one line."""

    def tell(step: DeploymentStep) -> None:
        spent = "" if step.duration_ms is None else f"  {step.duration_ms} ms"
        mark = "ok" if step.status == DeploymentStep.Status.DONE else _("failed")
        write(f"  {mark:6} {say_step(step.code, step.subject)}{spent}")

    return tell


def tell_outcome(deployment: Deployment) -> str:
    """Return how a deployment ended, in one sentence."""
    if deployment.is_awaiting:
        return _tell_awaiting(deployment)
    if deployment.status == Deployment.Status.SUCCEEDED:
        return _tell_proven(deployment)
    reason = say_problem(deployment.failure) if deployment.failure else ""
    if deployment.status == Deployment.Status.ROLLED_BACK:
        return _("Taken back: %(reason)s Mail runs as before (proven).") % {"reason": reason}
    return _("Failed: %(reason)s") % {"reason": reason}


def _tell_proven(deployment: Deployment) -> str:
    count = sum(1 for item in deployment.evidence if item.get("is_open"))
    return _("Proven: deployment #%(number)s, %(count)d handshakes, after %(seconds).2f s.") % {
        "number": deployment.number,
        "count": count,
        "seconds": (deployment.proof_ms or 0) / 1000,
    }


def _tell_awaiting(deployment: Deployment) -> str:
    said = _(
        "%(proven)s It is taken back at %(time)s unless it is confirmed: "
        "manage.py deployment_confirm %(number)s"
    )
    return said % {
        "proven": _tell_proven(deployment),
        "time": deployment.confirm_by.isoformat(timespec="seconds")
        if deployment.confirm_by
        else "",
        "number": deployment.number,
    }


def require_deployment(number: int) -> Deployment:
    """Return the deployment of this number. Raises ``CommandError`` if there is none."""
    deployment = find_deployment(require_server(), number)
    if deployment is None:
        raise CommandError(say_problem(Problem("deployment.unknown", params={"number": number})))
    return deployment


def settle(number: int, decision: Deployment.Decision, say: Callable[[str], object]) -> None:
    """Have the agent told what was decided, and say how it ended once it has answered.

    Raises ``CommandError`` if it ended otherwise, or nobody was there to tell it.
    """
    with request_id_set(draw_request_id()):
        deployment = require_deployment(number)
        try:
            decide_deployment(actor=Actor.command_line(), deployment=deployment, decision=decision)
            wait_until_settled(deployment)
        except ChangeRefusedError as refused:
            raise as_command_error(refused) from refused
        except WaitedTooLongError as error:
            raise CommandError(str(error)) from error
    said = tell_outcome(deployment)
    is_kept = deployment.status == Deployment.Status.SUCCEEDED
    is_back = deployment.status == Deployment.Status.ROLLED_BACK
    if not (is_kept if decision == Deployment.Decision.KEEP else is_back):
        raise CommandError(said)
    say(_("Kept. %(said)s") % {"said": said} if is_kept else said)


def as_command_error(refused: ChangeRefusedError) -> CommandError:
    """Return a refusal in words, to end the command with exit code 1."""
    return CommandError(" ".join(say_problem(problem) for problem in refused.problems))
