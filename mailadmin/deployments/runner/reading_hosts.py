"""Read a host as its own files have it, and take it over or leave it when somebody said so."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from mailadmin.agent.protocol import AgentError
from mailadmin.audit.actors import Actor
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.deployments.models import HostReading
from mailadmin.deployments.runner.adopting import HostAsLeft, fetch_keys, look_as_left
from mailadmin.deployments.runner.taking_over import adopt_as_left, hand_back
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError

logger = logging.getLogger(__name__)

Status = HostReading.Status


def run_reading(reading_id: int) -> None:
    """Do what is to be done next with a reading; one that is over, or waits for a yes, stays."""
    reading = HostReading.objects.select_related("server").filter(pk=reading_id).first()
    if reading is None or not reading.is_under_way:
        return
    is_accepted = reading.status == Status.ACCEPTED
    is_wanted_at_once = reading.purpose == HostReading.Purpose.HAND_BACK
    try:
        if is_accepted:
            _adopt(reading)
        elif is_wanted_at_once:
            _hand_back(reading)
        else:
            _read(reading)
    except (AgentError, CustodyProblem) as error:
        _fail(reading, error.problem)
    except (ChangeRefusedError, CertificateRefusedError) as refused:
        _fail(reading, refused.problems[0])
    except Exception as error:
        # Whoever waits is told; what was begun in the database is undone.
        logger.exception("a reading broke")
        _fail(reading, Problem("adopting.fault", params={"kind": type(error).__name__}))


def _read(reading: HostReading) -> None:
    HostReading.objects.filter(pk=reading.pk, status=Status.QUEUED).update(status=Status.RUNNING)
    found = _look(reading)
    _end(reading, Status.READ, found)


def _adopt(reading: HostReading) -> None:
    found = _look(reading)
    if found.state.digest != (reading.found or {}).get("digest"):
        raise ChangeRefusedError(Problem("adopting.changed"))
    keys = fetch_keys(found, _socket(reading)) if reading.takes_keys else {}

    def adopt() -> None:
        reading.server = adopt_as_left(
            actor=Actor(**reading.actor), found=found, server=reading.server, keys=keys
        )

    _end(reading, Status.DONE, found, adopt)


def _hand_back(reading: HostReading) -> None:
    found, server = _look(reading), reading.server
    if server is None:
        return

    def leave() -> None:
        wanted = hand_back(actor=Actor(**reading.actor), found=found, server=server)
        reading.wanted_digest = wanted.digest

    _end(reading, Status.DONE, found, leave)


def _look(reading: HostReading) -> HostAsLeft:
    return look_as_left(reading.host_name, _socket(reading))


def _socket(reading: HostReading) -> str:
    return reading.server.agent_socket if reading.server else ""


@transaction.atomic
def _end(
    reading: HostReading,
    status: HostReading.Status,
    found: HostAsLeft,
    do: Callable[[], None] = lambda: None,
) -> None:
    """Do it and keep the outcome, unless another worker, told of it twice, was quicker."""
    now = HostReading.objects.select_for_update().get(pk=reading.pk)
    if not now.is_under_way or (now.status == Status.ACCEPTED and status == Status.READ):
        return
    do()
    reading.status, reading.found, reading.problem = status, found.as_dict(), None
    reading.finished_at = timezone.now()
    reading.save(
        update_fields=["server", "status", "found", "problem", "wanted_digest", "finished_at"]
    )


def _fail(reading: HostReading, problem: Problem) -> None:
    under_way = [Status.QUEUED, Status.RUNNING, Status.ACCEPTED]
    HostReading.objects.filter(pk=reading.pk, status__in=under_way).update(
        status=Status.FAILED, problem=problem.as_dict(), finished_at=timezone.now()
    )
