"""Look at every port through the agent, and keep what was seen beside what was wanted."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from mailadmin.agent.protocol import AgentError
from mailadmin.deployments.models import Observation, ProbeRun
from mailadmin.deployments.runner.asking import agent_of
from mailadmin.deployments.runner.drifting import check_host
from mailadmin.listeners.selectors import applied_state, desired_state
from mailadmin.mailconf import proof
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.servers.models import MailServer


def run_probe(run_id: int) -> None:
    """Do a look that is queued or was left running; one that is done stays as it is."""
    waiting = [ProbeRun.Status.QUEUED, ProbeRun.Status.RUNNING]
    claimed = ProbeRun.objects.filter(pk=run_id, status__in=waiting).update(
        status=ProbeRun.Status.RUNNING
    )
    run = ProbeRun.objects.select_related("server__default_certificate").filter(pk=run_id).first()
    if not claimed or run is None:
        return
    expected = expectations_of(run.server)
    try:
        seen = agent_of(run.server).probe(expected)
    except AgentError as error:
        run.error = error.problem.as_dict()
        _finish(run, ProbeRun.Status.FAILED)
        return
    with transaction.atomic():
        run.observations.all().delete()
        store_observations(run, expected, seen)
        _finish(run, ProbeRun.Status.DONE)
    check_host(run.server)


def expectations_of(server: MailServer) -> tuple[Expectation, ...]:
    """Return what the ports should show: what was applied last, not what is pending."""
    wanted = proof.expectations(applied_state(server) or desired_state(server))
    return proof.on_fewer_ports(wanted)


@transaction.atomic
def record_look(
    server: MailServer,
    expected: Sequence[Expectation],
    seen: Sequence[Seen],
    requested_by: str,
    request_id: str,
) -> None:
    """Keep the handshakes of a deployment as a look of its own: nobody needs to look again."""
    run = ProbeRun.objects.create(
        server=server,
        trigger=ProbeRun.Trigger.DEPLOYMENT,
        requested_by=requested_by,
        request_id=request_id,
    )
    store_observations(run, expected, seen)
    _finish(run, ProbeRun.Status.DONE)


def store_observations(
    run: ProbeRun, expected: Sequence[Expectation], seen: Sequence[Seen]
) -> None:
    """Store one row for each port and name, with how it differs from what was expected.

    An apply looks at more than the listeners: a port that one moved away from must be closed.
    """
    wanted_of = {item.key: item for item in expected}
    Observation.objects.bulk_create(
        Observation(
            run=run,
            service=shown.service,
            address=shown.address,
            port=shown.port,
            sni_name=shown.sni_name,
            is_open=shown.is_open,
            problems=[item.as_dict() for item in proof.judge(wanted_of[shown.key], shown)],
            fingerprint=shown.fingerprint,
            evidence=shown.as_dict(),
        )
        for shown in seen
        if shown.key in wanted_of
    )


def _finish(run: ProbeRun, status: ProbeRun.Status) -> None:
    run.status = status
    run.finished_at = timezone.now()
    run.save()
