"""What people ask for before the panel looks after a host: read it, take it over, leave it."""

from __future__ import annotations

from dataclasses import asdict

from django.db import transaction
from django.utils import timezone

from mailadmin.audit.actors import Actor
from mailadmin.deployments import tasks
from mailadmin.deployments.models import HostReading
from mailadmin.listeners.selectors import applied_state
from mailadmin.pki.names import NameProblem, normalize_host_name
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer

Purpose, Status = HostReading.Purpose, HostReading.Status


def latest_reading(purpose: HostReading.Purpose) -> HostReading | None:
    """Return the newest reading for this."""
    return HostReading.objects.select_related("server").filter(purpose=purpose).first()


def is_left(server: MailServer) -> bool:
    """Tell whether what was applied last leaves the host to its own files, as somebody asked."""
    reading, applied = latest_reading(Purpose.HAND_BACK), applied_state(server)
    if reading is None or applied is None or reading.server != server:
        return False
    return reading.wanted_digest == applied.digest


@transaction.atomic
def request_reading(
    *,
    actor: Actor,
    server: MailServer | None,
    host_name: str = "",
    purpose: HostReading.Purpose = Purpose.ADOPT,
) -> HostReading:
    """Have the host read; one that is under way is shared.

    ``host_name`` is what clients connect to, if no server is registered yet. Raises
    :class:`ChangeRefusedError` if it is none.
    """
    running = latest_reading(purpose)
    if running is not None and running.is_under_way:
        return running
    try:
        name = server.host_name if server else normalize_host_name(host_name)
    except NameProblem as error:
        raise ChangeRefusedError(error.problem) from error
    reading = HostReading.objects.create(
        server=server,
        purpose=purpose,
        host_name=name,
        requested_by=actor.name,
        actor=asdict(actor),
        request_id=actor.request_id,
        asked_at=timezone.now(),
    )
    _send(reading)
    return reading


@transaction.atomic
def accept_reading(*, actor: Actor, reading_id: int, takes_keys: bool) -> HostReading:
    """Have the host taken over as it was shown. Said twice it is no mistake.

    Raises :class:`ChangeRefusedError` if another look was taken since.
    """
    reading = HostReading.objects.select_for_update().filter(pk=reading_id).first()
    newest = latest_reading(Purpose.ADOPT)
    if reading is None or newest is None or newest.pk != reading.pk:
        raise ChangeRefusedError(Problem("adopting.changed"))
    if reading.status in {Status.ACCEPTED, Status.DONE}:
        return reading
    if reading.status != Status.READ:
        raise ChangeRefusedError(Problem("adopting.changed"))
    reading.status, reading.takes_keys = Status.ACCEPTED, takes_keys
    reading.requested_by, reading.actor = actor.name, asdict(actor)
    reading.request_id, reading.asked_at = actor.request_id, timezone.now()
    reading.finished_at = None
    reading.save()
    _send(reading)
    return reading


def _send(reading: HostReading) -> None:
    transaction.on_commit(lambda: tasks.send(tasks.read_host, reading.pk))
