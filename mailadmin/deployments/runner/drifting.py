"""Ask the agent whether the host is still what was applied, and keep how it is not."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from mailadmin.agent.protocol import AgentError, CheckReport, Piece
from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import current_request_id
from mailadmin.audit.services import record_event
from mailadmin.deployments.drift import Upgrade, open_drift
from mailadmin.deployments.models import Drift, Plan
from mailadmin.deployments.runner.asking import agent_of
from mailadmin.deployments.runner.planning import run_plan
from mailadmin.listeners.selectors import applied_state
from mailadmin.servers.models import MailServer

logger = logging.getLogger(__name__)
_WHO = "look"


def check_host(server: MailServer) -> None:
    """Bring drift and upgrade of the server in line with its host.

    Whoever cannot be asked, an agent of before too, leaves what is known as it is.
    """
    try:
        report = agent_of(server).check()
    except AgentError as error:
        logger.info("the files of %s were not compared: %s", server, error.problem.code)
        return
    _store(server, report)
    _find_upgrade(server, report)


@transaction.atomic
def _store(server: MailServer, report: CheckReport) -> None:
    row = MailServer.objects.select_for_update().get(pk=server.pk)
    row.versions, row.rendered_versions = dict(report.versions), dict(report.versions_applied)
    row.save(update_fields=["versions", "rendered_versions"])
    now, known = timezone.now(), open_drift(row)
    digest = _digest(report.drifted)
    if known is not None and report.drifted and known.digest == digest:
        known.seen_at = now
        known.save(update_fields=["seen_at"])
        return
    close_drift(row.pk)
    if report.drifted:
        _open(row, report, digest)


def _open(server: MailServer, report: CheckReport, digest: str) -> None:
    now = timezone.now()
    drift = Drift.objects.create(
        server=server,
        digest=digest,
        pieces=[item.as_dict() for item in report.drifted],
        listeners=[dict(item) for item in report.listeners],
        found_at=now,
        seen_at=now,
    )
    record_event(
        actor=Actor.system(_WHO),
        verb="drift.found",
        object_type="server",
        object_id=server.pk,
        object_label=server.host_name,
        after={"drift": drift.pk, "files": drift.names},
    )


def close_drift(server_id: int) -> None:
    """Close what stands open: the host is as applied again, or differs in another way."""
    Drift.objects.filter(server_id=server_id, closed_at=None).update(closed_at=timezone.now())


def _digest(pieces: Iterable[Piece]) -> str:
    """Return a SHA-256 over what drifted and into what; when somebody merely touches a file, or
    edits what is his own in it, it stays.
    """
    facts = [(item.name, str(item.status), item.digest) for item in pieces]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _find_upgrade(server: MailServer, report: CheckReport) -> None:
    """Plan what other versions ask for, once for each pair of versions before and now."""
    before, now = dict(report.versions_applied), dict(report.versions)
    known = MailServer.objects.get(pk=server.pk).upgrade
    if not before or before == now:
        upgrade = None
    elif known and (known["before"], known["now"]) == (before, now):
        return
    else:
        upgrade = _plan_upgrade(server, report).as_dict()
    if upgrade != known:
        MailServer.objects.filter(pk=server.pk).update(upgrade=upgrade)


def _plan_upgrade(server: MailServer, report: CheckReport) -> Upgrade:
    """Return which files must be rewritten to serve, in the new versions, what is applied.

    One that somebody edited besides is told as drift.
    """
    before, now, state = report.versions_applied, report.versions, applied_state(server)
    if state is None:
        return Upgrade(before, now)
    plan = Plan.objects.create(
        server=server,
        state_digest=state.digest,
        state=state.as_dict(),
        requested_by=_WHO,
        request_id=current_request_id(),
    )
    run_plan(plan.pk)
    plan.refresh_from_db()
    edited = {item.name for item in report.drifted}
    files = tuple(item["name"] for item in plan.files if item["name"] not in edited)
    return Upgrade(before, now, files, plan.error)
