"""One certificate alone: what was proven last, with the new one in the place of the old one.

What else is pending stays pending: the state comes from what was applied, not from the rows, and
only when it is proven do the rows want the new one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from mailadmin.agent.protocol import AgentError
from mailadmin.audit.actors import Actor
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.pairing import judge_beside
from mailadmin.deployments.drift import overwritten_pieces
from mailadmin.deployments.models import Deployment, Plan
from mailadmin.deployments.runner.planning import run_plan
from mailadmin.listeners.selectors import applied_state, certificate_material, changes_between
from mailadmin.listeners.services import want_exchanged
from mailadmin.mailconf.exchanging import carry_material, exchange_certificate
from mailadmin.mailconf.state import CertificateMaterial, DesiredState
from mailadmin.pki.problems import Problem, has_errors
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Swap:
    """Which certificate takes the place of which, by fingerprint.

    ``keeps_old_for`` are host names that only the old one covers; they go on being shown it.
    """

    old: str
    new: str
    keeps_old_for: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, as kept with a deployment."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Swap:
        """Read the JSON form back."""
        return cls(**value)


def swapped_state(server: MailServer, swap: Swap) -> DesiredState:
    """Return what was proven last with the new certificate in the place of the old one.

    Raises :class:`ChangeRefusedError` if the old one is not served, one of them was deleted, or the
    old one only stands beside another that the new one cannot stand beside.
    """
    applied = applied_state(server)
    if applied is None or swap.old not in applied.used_fingerprints:
        raise ChangeRefusedError(Problem("deployment.old_not_served", subject=swap.old))
    arriving = _arriving(applied, swap)
    state = exchange_certificate(applied, swap.old, swap.new, swap.keeps_old_for)
    return carry_material(state, arriving)


def _arriving(applied: DesiredState, swap: Swap) -> list[CertificateMaterial]:
    """Return the new certificate, and what it is served beside."""
    new = _take(swap.new)
    companion = _companion(applied, swap, new)
    if companion is None:
        return [certificate_material(new)]
    return [
        certificate_material(companion, new.fingerprint),
        certificate_material(new, companion.fingerprint),
    ]


def _companion(applied: DesiredState, swap: Swap, new: Certificate) -> Certificate | None:
    """Return what the new one is served beside: its own, or else the one of the old one."""
    if new.companion is not None and new.companion.fingerprint != swap.old:
        return new.companion
    known = applied.certificate(swap.old)
    if known is None or known.companion in {"", swap.new}:
        return None
    companion = _take(known.companion)
    problems = judge_beside(new, companion, timezone.now())
    if not has_errors(problems):
        return companion
    if swap.old not in applied.chosen_fingerprints:
        # It is only served beside that one: nobody would be shown the new one.
        raise ChangeRefusedError(*problems)
    return None


def _take(fingerprint: str) -> Certificate:
    rows = Certificate.objects.select_related("companion")
    row = rows.filter(fingerprint=fingerprint, deleted_at=None).first()
    if row is None:
        params = {"label": fingerprint[:16]}
        raise ChangeRefusedError(Problem("certificate.deleted", subject=fingerprint, params=params))
    return row


def plan_swap(deployment: Deployment) -> None:
    """Let the agent plan, now that it is this deployment's turn, and keep the digest in the row.

    Raises :class:`AgentError` with what forbids it: nothing was touched then.
    """
    if deployment.swap is None:
        raise AgentError.because("plan.not_ready")
    server = MailServer.objects.get(pk=deployment.server_id)
    try:
        # What was proven since it was asked for is part of it.
        state = swapped_state(server, Swap.from_dict(deployment.swap))
    except ChangeRefusedError as refused:
        raise AgentError(refused.problems[0]) from None
    plan = Plan.objects.create(
        server=server,
        state_digest=state.digest,
        state=state.as_dict(),
        requested_by=deployment.requested_by,
        request_id=deployment.request_id,
    )
    run_plan(plan.pk)
    plan.refresh_from_db()
    _refuse_unready(plan)
    deployment.state, deployment.state_digest = state.as_dict(), state.digest
    deployment.changes = [item.as_dict() for item in changes_between(applied_state(server), state)]
    deployment.plan, deployment.files, deployment.plan_digest = plan, plan.files, plan.digest
    # The digest is what a second worker goes by: it comes with the rest, or not at all.
    deployment.save(
        update_fields=["plan", "state", "state_digest", "changes", "files", "plan_digest"]
    )


def _refuse_unready(plan: Plan) -> None:
    if plan.error is not None:
        raise AgentError(Problem.from_dict(plan.error))
    if plan.status != Plan.Status.READY:
        raise AgentError.because("plan.not_ready")
    errors = [item for item in plan.problems if item["severity"] == "error"]
    if errors:
        raise AgentError(Problem.from_dict(errors[0]))
    overwritten = overwritten_pieces(plan)
    if overwritten:
        # Nobody reviews a swap, so nobody can say that these edits may go.
        raise AgentError.because("drift.would_overwrite", files=", ".join(overwritten))


def want_what_was_swapped(deployment: Deployment) -> None:
    """Let the rows want what is proven; in the transaction that closes the deployment."""
    if deployment.swap is None:
        return
    swap = Swap.from_dict(deployment.swap)
    rows = Certificate.objects.in_bulk([swap.old, swap.new], field_name="fingerprint")
    try:
        with transaction.atomic():
            want_exchanged(
                actor=Actor(**deployment.actor),
                server=deployment.server,
                old=rows[swap.old],
                new=rows[swap.new],
                keeps_old_for=swap.keeps_old_for,
                now=timezone.now(),
            )
    except ChangeRefusedError as refused:
        # It is served and proven all the same; the difference shows as pending.
        codes = [problem.code for problem in refused.problems]
        logger.warning("after deployment %s the rows stay: %s", deployment.number, codes)
