"""What people ask for: a plan, a deployment, a look, the way back. The work itself is queued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.pairing import pair_certificates
from mailadmin.certificates.sentences import say
from mailadmin.certificates.services import register_found_certificate
from mailadmin.deployments import selectors, tasks
from mailadmin.deployments.baseline import next_number, record_baseline
from mailadmin.deployments.drift import overwritten_pieces
from mailadmin.deployments.joining import find_joinable, join
from mailadmin.deployments.models import Deployment, Plan, ProbeRun
from mailadmin.deployments.runner import HostReport, look_at_host
from mailadmin.deployments.runner.swapping import Swap, swapped_state
from mailadmin.listeners.selectors import (
    applied_state,
    changes_between,
    desired_state,
    pending_changes,
)
from mailadmin.listeners.services.editing import create_listeners
from mailadmin.listeners.services.restoring import restore_state
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import lock_server, register_server, set_default_certificate

MOST_CONFIRM_MINUTES = 60


@transaction.atomic
def request_plan(*, actor: Actor, server: MailServer) -> Plan:
    """Ask what applying would change now; a plan under way for the same state is shared."""
    digest = desired_state(server).digest
    running = selectors.running_plan(server, digest)
    if running:
        return running
    plan = Plan.objects.create(
        server=server,
        state_digest=digest,
        requested_by=actor.name,
        request_id=actor.request_id,
    )
    transaction.on_commit(lambda: tasks.send(tasks.make_plan, plan.pk))
    return plan


def request_deployment(
    *,
    actor: Actor,
    server: MailServer,
    plan: Plan,
    reason: str = "",
    confirm_minutes: int | None = None,
    may_overwrite: bool = False,
) -> Deployment:
    """Queue the reviewed plan, exactly as it was reviewed.

    With ``confirm_minutes`` (1 to 60) the agent takes it back by itself unless it is confirmed.
    ``may_overwrite``: somebody saw which hand edits the plan overwrites, and said yes. Raises
    :class:`ChangeRefusedError` without that where there are any; when the plan is not ready,
    forbids applying, or is no longer what is wanted; and while another deployment is under way or
    waits to be confirmed. The refusal is recorded. One that has not begun is joined and returned.
    """
    try:
        return _queue_deployment(
            actor, server, plan, reason, confirm_minutes, may_overwrite=may_overwrite
        )
    except ChangeRefusedError as refused:
        # Outside the transaction that was rolled back: who tried, and why not, is kept.
        _record_refusal(actor, plan, refused, reason)
        raise


@transaction.atomic
def _queue_deployment(
    actor: Actor,
    server: MailServer,
    plan: Plan,
    reason: str,
    confirm_minutes: int | None,
    *,
    may_overwrite: bool,
) -> Deployment:
    if confirm_minutes is not None and confirm_minutes not in range(1, MOST_CONFIRM_MINUTES + 1):
        params = {"most": MOST_CONFIRM_MINUTES}
        raise ChangeRefusedError(Problem("confirm.minutes", params=params))
    server = lock_server(server)
    _refuse_unready(plan)
    overwritten = overwritten_pieces(plan)
    if overwritten and not may_overwrite:
        about = {"files": ", ".join(overwritten)}
        raise ChangeRefusedError(Problem("drift.not_accepted", params=about))
    state = desired_state(server)
    if state.digest != plan.state_digest:
        raise ChangeRefusedError(Problem("plan.outdated"))
    wanted = {
        "restores": selectors.restored_deployment(server, state),
        "state_digest": state.digest,
        "state": state.as_dict(),
        "changes": [change.as_dict() for change in pending_changes(server)],
    }
    waiting = find_joinable(server, state.digest)
    if waiting and selectors.latest_plan(server, state.digest) != plan:
        # The agent would refuse it, and with it what the other has reviewed.
        raise ChangeRefusedError(Problem("plan.outdated"))
    if waiting and _join(actor, waiting, plan, wanted, reason, confirm_minutes):
        return waiting
    _refuse_unless_free(server)
    deployment = Deployment.objects.create(
        server=server,
        number=next_number(server),
        kind=Deployment.Kind.APPLY,
        confirm_minutes=confirm_minutes,
        plan=plan,
        plan_digest=plan.digest,
        files=plan.files,
        requested_by=actor.name,
        actor=asdict(actor),
        reason=reason[:300],
        request_id=actor.request_id,
        **wanted,
    )
    _record_deployment(actor, deployment, "deployment.requested")
    transaction.on_commit(lambda: tasks.send(tasks.run_deployment, deployment.pk))
    return deployment


def _join(
    actor: Actor,
    waiting: Deployment,
    plan: Plan,
    wanted: dict[str, Any],
    reason: str,
    confirm_minutes: int | None,
) -> bool:
    is_joined = join(
        actor=actor,
        waiting=waiting,
        plan=plan,
        wanted=wanted,
        reason=reason,
        confirm_minutes=confirm_minutes,
    )
    if is_joined:
        waiting.refresh_from_db()
        _record_deployment(actor, waiting, "deployment.joined")
    return is_joined


def _refuse_unless_free(server: MailServer) -> None:
    under_way = selectors.unfinished_deployment(server)
    if under_way:
        raise ChangeRefusedError(
            Problem("deployment.under_way", params={"number": under_way.number})
        )
    awaiting = selectors.awaiting_deployment(server)
    if awaiting:
        raise ChangeRefusedError(Problem("deployment.awaiting", params={"number": awaiting.number}))


@transaction.atomic
def request_certificate_swap(
    *,
    actor: Actor,
    server: MailServer,
    old: Certificate,
    new: Certificate,
    reason: str = "",
    keeps_old_for: Sequence[str] = (),
) -> Deployment:
    """Queue one certificate alone in the place of another; all else that is pending stays so.

    It is planned, applied and proven when it is its turn, and one that is under way already is
    returned. ``keeps_old_for`` are host names that are to go on being shown the old one. Raises
    :class:`ChangeRefusedError` if the old one is not served or one of them was deleted.
    """
    server = lock_server(server)
    swap = Swap(old.fingerprint, new.fingerprint, sorted(set(keeps_old_for)))
    unfinished = selectors.unfinished_swaps(server)
    already = next((item for item in unfinished if item.swap == swap.as_dict()), None)
    if already:
        return already
    state = swapped_state(server, swap)
    changes = changes_between(applied_state(server), state)
    deployment = Deployment.objects.create(
        server=server,
        number=next_number(server),
        kind=Deployment.Kind.SWAP,
        state_digest=state.digest,
        state=state.as_dict(),
        swap=swap.as_dict(),
        changes=[change.as_dict() for change in changes],
        requested_by=actor.name,
        actor=asdict(actor),
        reason=reason[:300],
        request_id=actor.request_id,
    )
    _record_deployment(actor, deployment, "deployment.requested")
    transaction.on_commit(lambda: tasks.send(tasks.run_deployment, deployment.pk))
    return deployment


def _refuse_unready(plan: Plan) -> None:
    if plan.status != Plan.Status.READY:
        raise ChangeRefusedError(Problem("plan.not_ready"))
    errors = [Problem.from_dict(item) for item in plan.problems if item["severity"] == "error"]
    if errors:
        raise ChangeRefusedError(*errors)


@transaction.atomic
def decide_deployment(*, actor: Actor, deployment: Deployment, decision: str) -> bool:
    """Have the agent told that a deployment stays, or is to be taken back at once.

    Returns False if it was to be kept and is kept already. How it ends is recorded when the agent
    has answered. Raises :class:`ChangeRefusedError` if it does not wait (any more).
    """
    lock_server(deployment.server)
    deployment.refresh_from_db()
    if not deployment.is_awaiting:
        is_kept = deployment.status == Deployment.Status.SUCCEEDED
        if is_kept and decision == Deployment.Decision.KEEP:
            return False
        code = "confirm.kept" if is_kept else "confirm.too_late"
        raise ChangeRefusedError(Problem(code, params={"number": deployment.number}))
    deployment.decision = decision
    deployment.decided_by = asdict(actor)
    deployment.save(update_fields=["decision", "decided_by"])
    transaction.on_commit(lambda: tasks.send(tasks.settle_deployment, deployment.pk))
    return True


@transaction.atomic
def request_probe(*, actor: Actor, server: MailServer) -> ProbeRun:
    """Look at every port now; a look under way is shared."""
    running = selectors.running_probe(server)
    if running:
        return running
    run = ProbeRun.objects.create(
        server=server,
        trigger=ProbeRun.Trigger.MANUAL,
        requested_by=actor.name,
        request_id=actor.request_id,
    )
    transaction.on_commit(lambda: tasks.send(tasks.run_probe, run.pk))
    return run


@transaction.atomic
def discard_changes(*, actor: Actor, server: MailServer) -> bool:
    """Make everything wanted what was applied last; returns whether that changed anything.

    Raises :class:`ChangeRefusedError` if a certificate of that state was deleted since.
    """
    # The row as it is now: a deployment may have ended since the page was shown.
    server = lock_server(server)
    applied = applied_state(server)
    if applied is None:
        raise ChangeRefusedError(Problem("undo.nothing_applied"))
    return restore_state(actor=actor, server=server, state=applied)


def restore_deployment(*, actor: Actor, deployment: Deployment, reason: str = "") -> bool:
    """Want again what that deployment had; it still has to be reviewed and applied.

    Returns whether that changed anything. Raises :class:`ChangeRefusedError` if a certificate of
    that state was deleted since, or the state was never proven.
    """
    if deployment.status != Deployment.Status.SUCCEEDED:
        params = {"number": deployment.number}
        raise ChangeRefusedError(Problem("deployment.never_proven", params=params))
    return restore_state(
        actor=actor,
        server=deployment.server,
        state=DesiredState.from_dict(deployment.state),
        verb="state.restored",
        reason=reason or f"#{deployment.number}",
    )


def adopt_server(
    *,
    actor: Actor,
    host_name: str,
    agent_socket: str = "",
    closed_ports: Mapping[str, int] | None = None,
) -> MailServer:
    """Register a host as it is found: nothing is pending, nothing on it is touched.

    An RSA and an ECDSA certificate that a port shows side by side become a pair, unless they cannot
    be one here (one has expired, or its key is not on the host); the audit log says why not.
    ``closed_ports`` says where services that are not open would be, if not on their usual ports.
    Raises ``AgentError`` when the agent cannot be asked, :class:`ChangeRefusedError` for a host
    name that is none.
    """
    found = look_at_host(agent_socket)
    with transaction.atomic():
        server = register_server(actor=actor, host_name=host_name, agent_socket=agent_socket)
        server.versions = found.versions
        server.save(update_fields=["versions"])
        rows = _store_found(actor, found)
        served = rows.get(found.served_fingerprint)
        if served is not None:
            set_default_certificate(actor=actor, server=server, certificate=served)
        states = [
            item
            if item.is_enabled
            else replace(item, port=(closed_ports or {}).get(item.service, item.port))
            for item in found.listeners
        ]
        create_listeners(server=server, actor=actor, states=states)
        server.refresh_from_db()
        record_baseline(actor, server)
    return server


def _store_found(actor: Actor, found: HostReport) -> dict[str, Certificate]:
    """Store the certificates that were found, paired as they are served; by fingerprint."""
    stored = [
        register_found_certificate(
            actor=actor, leaf_pem=item["leaf_pem"], chain_pem=item["chain_pem"]
        )
        for item in found.certificates
    ]
    rows = {row.fingerprint: row for row in stored}
    now = timezone.now()
    for rsa, ecdsa in found.served_pairs:
        if rsa in rows and ecdsa in rows:
            _pair_found(actor, rows[rsa], rows[ecdsa], now)
    return rows


def _pair_found(actor: Actor, rsa: Certificate, ecdsa: Certificate, now: datetime) -> None:
    """Pair two as they are served, or leave on record why they stay apart."""
    try:
        # Names that only one covers are served so already.
        pair_certificates(actor=actor, certificate=rsa, companion=ecdsa, now=now, is_confirmed=True)
    except CertificateRefusedError as refused:
        record_event(
            actor=actor,
            verb="certificate.paired",
            object_type="certificate",
            object_id=rsa.pk,
            object_label=rsa.label,
            outcome="refused",
            reason=" ".join(say(problem) for problem in refused.problems),
        )


@transaction.atomic
def _record_refusal(actor: Actor, plan: Plan, refused: ChangeRefusedError, reason: str) -> None:
    record_event(
        actor=actor,
        verb="deployment.refused",
        object_type="plan",
        object_id=plan.pk,
        object_label=plan.digest[:16],
        outcome="refused",
        reason=reason,
        evidence={"problems": [problem.as_dict() for problem in refused.problems]},
    )


def _record_deployment(actor: Actor, deployment: Deployment, verb: str) -> None:
    record_event(
        actor=actor,
        verb=verb,
        object_type="deployment",
        object_id=deployment.number,
        object_label=f"#{deployment.number}",
        reason=deployment.reason,
        after={
            "changes": deployment.changes,
            "plan": deployment.plan_digest,
            "overwrites": overwritten_pieces(deployment.plan) if deployment.plan else [],
        },
    )
