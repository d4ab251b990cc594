"""Changing what the panel knows of a mail server. Saving is not applying."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.models import Certificate
from mailadmin.mailconf.profiles import PROFILES
from mailadmin.pki.names import NameProblem, normalize_host_name
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer


class Unchanged(Enum):
    """The value of an argument that leaves things as they are, where ``None`` means something."""

    UNCHANGED = "unchanged"


UNCHANGED: Literal[Unchanged.UNCHANGED] = Unchanged.UNCHANGED


@transaction.atomic
def register_server(*, actor: Actor, host_name: str, agent_socket: str = "") -> MailServer:
    """Let the panel look after a mail server.

    Raises :class:`ChangeRefusedError` when the host name is not one.
    """
    server = MailServer.objects.create(host_name=_normalized(host_name), agent_socket=agent_socket)
    record_event(
        actor=actor,
        verb="server.registered",
        object_type="server",
        object_id=server.pk,
        object_label=server.host_name,
        after={"host_name": server.host_name},
    )
    return server


@transaction.atomic
def change_server(
    *,
    actor: Actor,
    server: MailServer,
    host_name: str | None = None,
    tls_profile: str | None = None,
    default_certificate: Certificate | Unchanged | None = UNCHANGED,
    is_dovecot_split: bool | None = None,
) -> MailServer:
    """Change what is given and leave the rest. Returns the row as stored.

    Raises :class:`ChangeRefusedError` for a host name that is none, a TLS profile that does not
    exist, or a certificate that was deleted.
    """
    row = lock_server(server)
    before = snapshot_server(row)
    if host_name is not None:
        row.host_name = _normalized(host_name)
    if tls_profile is not None:
        if tls_profile not in PROFILES:
            raise ChangeRefusedError(Problem("profile.unknown", subject=tls_profile))
        row.tls_profile = tls_profile
    if default_certificate is not UNCHANGED:
        row.default_certificate = take_certificate(default_certificate)
    if is_dovecot_split is not None:
        row.is_dovecot_split = is_dovecot_split
    after = snapshot_server(row)
    changed = [name for name in after if after[name] != before[name]]
    if changed:
        row.save(update_fields=changed)
        record_event(
            actor=actor,
            verb="server.changed",
            object_type="server",
            object_id=row.pk,
            object_label=row.host_name,
            before={name: before[name] for name in changed},
            after={name: after[name] for name in changed},
        )
    return row


def set_default_certificate(
    *, actor: Actor, server: MailServer, certificate: Certificate | None
) -> MailServer:
    """Choose what ports without a certificate of their own serve. See :func:`change_server`."""
    return change_server(actor=actor, server=server, default_certificate=certificate)


def lock_server(server: MailServer) -> MailServer:
    """Return the row, locked until the transaction ends.

    Everything that belongs to a server is changed under its lock, so that two people who save at
    once are served one after the other. It is taken before the lock of a certificate, always: the
    other way round two of them could wait for each other.
    """
    rows = MailServer.objects.select_related("default_certificate")
    return rows.select_for_update(of=("self",)).get(pk=server.pk)


def snapshot_server(server: MailServer) -> dict[str, object]:
    """Return what an audit event says of the server, by the names of its fields."""
    certificate = server.default_certificate
    return {
        "host_name": server.host_name,
        "tls_profile": server.tls_profile,
        "default_certificate": name_certificate(certificate),
        "is_dovecot_split": server.is_dovecot_split,
    }


def name_certificate(certificate: Certificate | None) -> dict[str, str] | None:
    """Return how an audit event names a certificate: its label and its fingerprint."""
    if certificate is None:
        return None
    return {"label": certificate.label, "fingerprint": certificate.fingerprint}


def take_certificate(certificate: Certificate | None) -> Certificate | None:
    """Return the certificate's row, locked, so that nobody deletes it while it is assigned.

    Raises :class:`ChangeRefusedError` if it was deleted: its key is gone.
    """
    if certificate is None:
        return None
    row = Certificate.objects.select_for_update().get(pk=certificate.pk)
    if row.deleted_at is not None:
        raise ChangeRefusedError(
            Problem("certificate.deleted", subject=row.fingerprint, params={"label": row.label})
        )
    return row


def _normalized(host_name: str) -> str:
    try:
        return normalize_host_name(host_name)
    except NameProblem as error:
        raise ChangeRefusedError(error.problem) from error
