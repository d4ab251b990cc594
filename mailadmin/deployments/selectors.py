"""Reading plans, deployments and looks. Every function costs a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from mailadmin.deployments.models import Deployment, Foresight, Observation, Plan, ProbeRun
from mailadmin.mailconf.state import DesiredState
from mailadmin.servers.models import MailServer

# A plan is about the host's files too, which may be edited by hand: it does not stay good for long.
PLAN_AGE = timedelta(minutes=10)
# It names people, so it is kept no longer than a reviewer reads.
FORESIGHT_AGE = timedelta(hours=1)
_LATEST_LOOKS = 12
# The agent remembers its last 200 deployments; who looks after so long looks at the overview.
_UNPROVEN_AGE = timedelta(days=30)


def has_applied(server: MailServer) -> bool:
    """Tell whether a deployment of ours may have left something on the host."""
    ours = server.deployments.exclude(kind=Deployment.Kind.BASELINE)
    return ours.exclude(status=Deployment.Status.ROLLED_BACK).exists()


def running_plan(server: MailServer, state_digest: str) -> Plan | None:
    """Return the plan for this state that is still being answered."""
    waiting = [Plan.Status.QUEUED, Plan.Status.RUNNING]
    since = timezone.now() - timedelta(seconds=60)
    plans = server.plans.filter(state_digest=state_digest, state__isnull=True, status__in=waiting)
    return plans.filter(created_at__gt=since).order_by("-pk").first()


def latest_plan(server: MailServer, state_digest: str) -> Plan | None:
    """Return the newest plan for this state that is not too old to be believed."""
    since = timezone.now() - PLAN_AGE
    # One with a state of its own belongs to a deployment that is not the reviewer's.
    plans = server.plans.filter(state_digest=state_digest, created_at__gt=since)
    plans = plans.filter(state__isnull=True)
    changed_at = _changed_at(server)
    if changed_at is not None:
        plans = plans.filter(created_at__gt=changed_at)
    return plans.order_by("-pk").first()


def latest_foresight(server: MailServer, state_digest: str) -> Foresight | None:
    """Return who would notice this state, if that was found out lately."""
    since = timezone.now() - PLAN_AGE
    found = server.foresights.filter(state_digest=state_digest, created_at__gt=since)
    changed_at = _changed_at(server)
    if changed_at is not None:
        found = found.filter(created_at__gt=changed_at)
    return found.order_by("-pk").first()


def forgotten_foresights(before: datetime) -> QuerySet[Foresight]:
    """Return those that nobody works on: not taken since, or by a worker that is silent since."""
    queued = Q(status=Foresight.Status.QUEUED, created_at__lt=before)
    return Foresight.objects.filter(
        queued | Q(status=Foresight.Status.RUNNING, heartbeat_at__lt=before)
    )


def _changed_at(server: MailServer) -> datetime | None:
    """Return when the last deployment ended: whatever it did, the host is not what it was; one
    that waited to be confirmed may have been taken back long after it was asked for.
    """
    last = server.deployments.order_by("-number").only("requested_at", "finished_at").first()
    return (last.finished_at or last.requested_at) if last else None


def running_probe(server: MailServer) -> ProbeRun | None:
    """Return the look that is under way."""
    waiting = [ProbeRun.Status.QUEUED, ProbeRun.Status.RUNNING]
    since = timezone.now() - timedelta(seconds=60)
    return server.probe_runs.filter(status__in=waiting, requested_at__gt=since).last()


def latest_done_probe(server: MailServer) -> ProbeRun | None:
    """Return the newest look that saw something."""
    done = server.probe_runs.filter(status=ProbeRun.Status.DONE)
    return done.order_by("-finished_at").first()


def observations_of(run: ProbeRun) -> list[Observation]:
    """Return what a look saw, one row for each port and name."""
    return list(run.observations.order_by("pk"))


def recent_verdicts(server: MailServer) -> dict[str, list[tuple[ProbeRun, bool]]]:
    """Return for each service how the last looks went, oldest first."""
    runs = server.probe_runs.filter(status=ProbeRun.Status.DONE).order_by("-finished_at")
    latest = list(runs[:_LATEST_LOOKS])
    rows = Observation.objects.filter(run__in=latest).only("run_id", "service", "problems")
    is_good: dict[tuple[int, str], bool] = defaultdict(lambda: True)
    for row in rows:
        is_good[row.run_id, row.service] &= not row.problems
    verdicts: dict[str, list[tuple[ProbeRun, bool]]] = defaultdict(list)
    for run in reversed(latest):
        for (run_id, service), good in is_good.items():
            if run_id == run.pk:
                verdicts[service].append((run, good))
    return dict(verdicts)


def list_deployments(server: MailServer) -> QuerySet[Deployment]:
    """Return every deployment, newest first, without what only its own page shows."""
    heavy = ("state", "files", "evidence", "actor")
    return server.deployments.select_related("restores").defer(*heavy).order_by("-number")


def find_deployment(server: MailServer, number: int) -> Deployment | None:
    """Return the deployment of this number."""
    rows = server.deployments.select_related("restores", "server")
    return rows.filter(number=number).first()


def unfinished_deployment(server: MailServer) -> Deployment | None:
    """Return the deployment that waits or runs."""
    unfinished = [Deployment.Status.QUEUED, Deployment.Status.RUNNING]
    return server.deployments.filter(status__in=unfinished).order_by("number").first()


def awaiting_deployment(server: MailServer) -> Deployment | None:
    """Return the deployment that is taken back unless it is confirmed."""
    return awaiting_deployments().filter(server=server).order_by("number").first()


def awaiting_deployments() -> QuerySet[Deployment]:
    """Return the deployments of every server that are taken back unless they are confirmed."""
    proven = Deployment.objects.filter(status=Deployment.Status.SUCCEEDED, confirmed_at=None)
    return proven.exclude(confirm_by=None).select_related("server")


def unproven_deployments() -> QuerySet[Deployment]:
    """Return what was taken back without proof on any server; the agent tries it again."""
    failed = Deployment.objects.filter(
        status=Deployment.Status.FAILED, failure__code="rollback.not_proven"
    )
    since = timezone.now() - _UNPROVEN_AGE
    return failed.filter(finished_at__gt=since).select_related("server")


def forgotten_deployments(before: datetime) -> list[Deployment]:
    """Return those whose turn it is and that nobody has been heard to work on since then.

    What waits for another one is not forgotten: whoever ends that sends it.
    """
    unfinished = [Deployment.Status.QUEUED, Deployment.Status.RUNNING]
    rows = Deployment.objects.filter(status__in=unfinished)
    rows = rows.exclude(server__in=awaiting_deployments().values("server"))
    rows = rows.only("server_id", "number", "heartbeat_at", "requested_at")
    first = {row.server_id: row for row in rows.order_by("-number")}
    return [row for row in first.values() if (row.heartbeat_at or row.requested_at) < before]


def unfinished_swaps(server: MailServer) -> list[Deployment]:
    """Return the deployments of one certificate alone that wait or run."""
    unfinished = [Deployment.Status.QUEUED, Deployment.Status.RUNNING]
    rows = server.deployments.filter(kind=Deployment.Kind.SWAP, status__in=unfinished)
    return list(rows.order_by("number"))


def last_deployment(server: MailServer) -> Deployment | None:
    """Return the newest deployment, light."""
    return list_deployments(server).first()


def restored_deployment(server: MailServer, state: DesiredState) -> Deployment | None:
    """Return the earlier proven deployment whose state this is, newest first, if there is one."""
    rows = server.deployments.filter(status=Deployment.Status.SUCCEEDED, state_digest=state.digest)
    return rows.order_by("-number").first()


def has_ever_written(server: MailServer) -> bool:
    """Tell whether an apply was proven; before the first, the files are as they were found."""
    proven = server.deployments.filter(status=Deployment.Status.SUCCEEDED)
    return proven.exclude(kind=Deployment.Kind.BASELINE).exists()
