"""When it is worth finding out who would notice a change, and asking for it."""

from __future__ import annotations

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.deployments import selectors, tasks
from mailadmin.deployments.models import Foresight
from mailadmin.listeners.selectors import applied_state, desired_state
from mailadmin.mailconf.maillog.foresight import is_anything_taken, newly_open
from mailadmin.mailconf.state import DesiredState
from mailadmin.servers.models import MailServer


def is_worth_asking(before: DesiredState | None, after: DesiredState) -> bool:
    """Tell whether the change takes anything away from those who use the server, or opens a port.

    Before the first apply nobody knows what stood on the host, so nothing is compared.
    """
    if before is None:
        return False
    return is_anything_taken(before, after) or bool(newly_open(before, after))


@transaction.atomic
def request_foresight(*, actor: Actor, server: MailServer) -> Foresight | None:
    """Ask who would notice what is pending; a question under way for the same state is shared.

    Returns None where nobody could. What an earlier one named of people is forgotten.
    """
    before, after = applied_state(server), desired_state(server)
    if not is_worth_asking(before, after):
        return None
    latest = selectors.latest_foresight(server, after.digest)
    if latest is not None and latest.is_waiting:
        return latest
    server.foresights.all().delete()
    foresight = Foresight.objects.create(
        server=server,
        state_digest=after.digest,
        requested_by=actor.name,
        request_id=actor.request_id,
    )
    transaction.on_commit(lambda: tasks.send(tasks.foresee, foresight.pk))
    return foresight
