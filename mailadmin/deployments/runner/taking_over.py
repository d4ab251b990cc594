"""Want a host as its own files have it: to begin with, or to leave it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.services import keep_found_key, register_found_certificate
from mailadmin.deployments.baseline import record_baseline
from mailadmin.deployments.runner.adopting import HostAsLeft
from mailadmin.deployments.selectors import has_applied
from mailadmin.listeners.selectors import desired_state
from mailadmin.listeners.services.restoring import restore_state
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import lock_server, register_server


@transaction.atomic
def adopt_as_left(
    *,
    actor: Actor,
    found: HostAsLeft,
    server: MailServer | None = None,
    agent_socket: str = "",
    keys: Mapping[str, str] | None = None,
) -> MailServer:
    """Take over a host as its own files have it: nothing is pending, nothing would be written.

    ``server`` is the one on which nothing was applied yet; without it a new one is registered.
    ``keys`` (PEM by fingerprint) are those that an administrator wants here too; without them all
    stay on the host. Raises :class:`ChangeRefusedError` when applying what was understood would
    change a file, when something was applied already, and for a host name that is none;
    ``CertificateRefusedError`` or ``CustodyProblem`` when a key cannot be stored.
    """
    if not found.is_unchanged:
        names = ", ".join(str(item["name"]) for item in found.plan.files)
        raise ChangeRefusedError(Problem("adopting.would_change", params={"files": names}))
    if server is None:
        name = found.state.host_name
        server = register_server(actor=actor, host_name=name, agent_socket=agent_socket)
    server = lock_server(server)
    if has_applied(server):
        raise ChangeRefusedError(Problem("adopting.in_use", subject=server.host_name))
    server.versions = found.versions
    server.save(update_fields=["versions"])
    for row in _register_certificates(actor, found):
        if row.fingerprint in (keys or {}):
            keep_found_key(actor=actor, certificate=row, key_pem=(keys or {})[row.fingerprint])
    state = replace(found.state, host_name=server.host_name)
    restore_state(actor=actor, server=server, state=state, verb="server.adopted")
    server.refresh_from_db()
    record_baseline(actor, server)
    return server


@transaction.atomic
def hand_back(*, actor: Actor, found: HostAsLeft, server: MailServer) -> DesiredState:
    """Want what the host's own files say, and nothing of ours; it has still to be applied.

    Returns what is wanted then. Raises :class:`ChangeRefusedError`
    when a part of ours would stay in the files.
    """
    if not found.plan.is_hosts_own:
        names = ", ".join(str(item["name"]) for item in found.plan.files)
        raise ChangeRefusedError(Problem("adopting.not_own", params={"files": names}))
    server = lock_server(server)
    _register_certificates(actor, found)
    state = replace(found.state, host_name=server.host_name)
    restore_state(actor=actor, server=server, state=state, verb="server.handed_back")
    return desired_state(lock_server(server))


def _register_certificates(actor: Actor, found: HostAsLeft) -> list[Certificate]:
    return [
        register_found_certificate(actor=actor, leaf_pem=item.leaf_pem, chain_pem=item.chain_pem)
        for item in found.state.certificates
    ]
