"""The messages to the workers: each carries a primary key, never content."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.sealed_uploads import drop_expired_uploads
from mailadmin.deployments import runner, selectors
from mailadmin.deployments.models import (
    Deployment,
    Drift,
    Foresight,
    HostReading,
    Plan,
    ProbeRun,
)
from mailadmin.servers.models import MailServer

logger = logging.getLogger(__name__)

_STALE = timedelta(seconds=15)
# As often as beat has ``resume_interrupted`` done.
_UNTIL_SENT_AGAIN = 10.0
_BUSY_COUNTDOWN = 2


def send(
    task: Any, pk: int, *, countdown: float | None = None, expires: float | None = None
) -> bool:
    """Queue a task; with Redis away the row stays and ``resume_interrupted`` sends it later.

    A worker that takes it more than ``expires`` seconds from now throws it away.
    """
    try:
        task.apply_async((pk,), countdown=countdown, expires=expires)
    except (OperationalError, OSError) as error:
        logger.warning("the queue cannot be reached, row %s waits: %s", pk, type(error).__name__)
        return False
    return True


@shared_task
def make_plan(plan_id: int) -> None:
    """Answer a plan."""
    with request_id_set(_request_id(Plan, plan_id)):
        runner.run_plan(plan_id)


@shared_task
def foresee(foresight_id: int) -> None:
    """Find out who would notice a change; while the agent does that for another, try again."""
    with request_id_set(_request_id(Foresight, foresight_id)):
        if not runner.run_foresight(foresight_id):
            send(foresee, foresight_id, countdown=_BUSY_COUNTDOWN)


@shared_task
def run_deployment(deployment_id: int) -> None:
    """Run a deployment if it is its turn; when it is over, the next has its turn.

    One that is held back because another ended just now comes back when it may begin.
    """
    with request_id_set(_request_id(Deployment, deployment_id)):
        deployment = runner.run_deployment(deployment_id)
    if deployment is not None:
        _send_next(deployment.server)
        return
    pause = runner.seconds_to_wait(deployment_id)
    if pause:
        send(run_deployment, deployment_id, countdown=pause)


@shared_task
def settle_deployment(deployment_id: int) -> None:
    """See to a deployment that waits to be confirmed; when that is over, others have their turn."""
    with request_id_set(_request_id(Deployment, deployment_id)):
        deployment = runner.settle_deployment(deployment_id)
    if deployment is None:
        return
    if deployment.status != Deployment.Status.SUCCEEDED:
        _look_at(deployment.server)
    _send_next(deployment.server)


@shared_task
def follow_recovery(deployment_id: int) -> None:
    """Ask about a way back that was not proven; once it is, look at what every port shows."""
    with request_id_set(_request_id(Deployment, deployment_id)):
        deployment = runner.follow_recovery(deployment_id)
    if deployment is not None:
        _look_at(deployment.server)


def _send_next(server: MailServer) -> None:
    """Send the deployment that waits longest."""
    following = selectors.unfinished_deployment(server)
    if following is not None:
        send(run_deployment, following.pk)


@shared_task
def read_host(reading_id: int) -> None:
    """Read a host, or take it over as it was read."""
    with request_id_set(_request_id(HostReading, reading_id)):
        runner.run_reading(reading_id)


@shared_task
def run_probe(run_id: int) -> None:
    """Do a look."""
    with request_id_set(_request_id(ProbeRun, run_id)):
        runner.run_probe(run_id)


@shared_task
def probe_all_servers() -> None:
    """Look at every server, because nobody asked for a while."""
    for server in MailServer.objects.all():
        _look_at(server)


def _look_at(server: MailServer) -> None:
    run = ProbeRun.objects.create(
        server=server,
        trigger=ProbeRun.Trigger.BEAT,
        requested_by="beat",
        request_id=draw_request_id(),
    )
    send(run_probe, run.pk)


@shared_task
def resume_interrupted() -> None:
    """Send again what a dead worker or a dead Redis left behind, and ask about what waits.

    It comes every ten seconds and cannot know whether the last message is lost or merely waits for
    a busy worker: each is thrown away once the next one is there.
    """
    before = timezone.now() - _STALE
    for deployment in selectors.forgotten_deployments(before):
        send(run_deployment, deployment.pk, expires=_UNTIL_SENT_AGAIN)
    for deployment in selectors.awaiting_deployments():
        # The agent may have taken it back; and what was decided may not have reached it.
        send(settle_deployment, deployment.pk, expires=_UNTIL_SENT_AGAIN)
    for deployment in selectors.unproven_deployments():
        send(follow_recovery, deployment.pk, expires=_UNTIL_SENT_AGAIN)
    waiting = ["queued", "running"]
    for plan in Plan.objects.filter(status__in=waiting, created_at__lt=before)[:20]:
        send(make_plan, plan.pk, expires=_UNTIL_SENT_AGAIN)
    under_way = [*waiting, HostReading.Status.ACCEPTED]
    for reading in HostReading.objects.filter(status__in=under_way, asked_at__lt=before)[:20]:
        send(read_host, reading.pk, expires=_UNTIL_SENT_AGAIN)
    for run in ProbeRun.objects.filter(status__in=waiting, requested_at__lt=before)[:20]:
        send(run_probe, run.pk, expires=_UNTIL_SENT_AGAIN)
    for foresight in selectors.forgotten_foresights(before):
        send(foresee, foresight.pk, expires=_UNTIL_SENT_AGAIN)
    Foresight.objects.filter(created_at__lt=timezone.now() - selectors.FORESIGHT_AGE).delete()


@shared_task
def drop_old_observations() -> None:
    """Forget looks and plans that are older than the settings keep them; never a deployment.

    And uploads whose page was left alone: nobody can open them any more.
    """
    before = timezone.now() - timedelta(days=settings.OBSERVATION_DAYS)
    ProbeRun.objects.filter(requested_at__lt=before).delete()
    Plan.objects.filter(created_at__lt=before, deployments=None).delete()
    Drift.objects.filter(closed_at__lt=before).delete()
    drop_expired_uploads(now=timezone.now())


def _request_id(
    model: type[Plan | Deployment | ProbeRun | Foresight | HostReading], pk: int
) -> str:
    return model.objects.filter(pk=pk).values_list("request_id", flat=True).first() or ""
