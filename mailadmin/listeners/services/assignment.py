"""Giving certificates to ports and host names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.models import Certificate
from mailadmin.listeners.selectors import read_wanted
from mailadmin.listeners.services.storing import store_state
from mailadmin.mailconf.state import DesiredState, SniBinding
from mailadmin.pki.names import NameProblem, both_forms, normalize_host_name
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import lock_server, take_certificate


@transaction.atomic
def assign_certificate(
    *,
    actor: Actor,
    server: MailServer,
    certificate: Certificate,
    as_default: bool,
    services: Sequence[str],
    host_names: Sequence[str],
) -> bool:
    """Use the certificate as the default, on the services, and for the host names; add only.

    Returns whether that changed anything. Raises :class:`ChangeRefusedError` for a deleted
    certificate, a service the server does not have, or a host name that is none.
    """
    row = lock_server(server)
    take_certificate(certificate)
    wanted = read_wanted(row)
    current = wanted.as_state()
    _refuse_unknown(services, {listener.service for listener in wanted.listeners})
    difference = store_state(
        wanted,
        replace(
            current,
            default_certificate=(
                certificate.fingerprint if as_default else current.default_certificate
            ),
            listeners=tuple(
                replace(state, certificate=certificate.fingerprint)
                if state.service in services
                else state
                for state in current.listeners
            ),
            sni_bindings=_bound(current, _normalized(host_names), certificate.fingerprint),
        ),
    )
    if difference:
        record_event(
            actor=actor,
            verb="certificate.assigned",
            object_type="certificate",
            object_id=certificate.pk,
            object_label=certificate.label,
            before=difference.before,
            after=difference.after,
        )
    return bool(difference)


@transaction.atomic
def bind_name(*, actor: Actor, server: MailServer, host_name: str, certificate: Certificate) -> str:
    """Show the certificate to clients that ask for this host name (SNI). Returns its A-label.

    Raises :class:`ChangeRefusedError` for a name that is none or a certificate that was deleted.
    """
    (name,) = _normalized([host_name])
    row = lock_server(server)
    take_certificate(certificate)
    wanted = read_wanted(row)
    current = wanted.as_state()
    bindings = _bound(current, [name], certificate.fingerprint)
    difference = store_state(wanted, replace(current, sni_bindings=bindings))
    if difference:
        record_event(
            actor=actor,
            verb="name.bound",
            object_type="name",
            object_id=name[:64],
            object_label=both_forms(name),
            before=difference.before[name],
            after=difference.after[name],
        )
    return name


@transaction.atomic
def unbind_name(*, actor: Actor, server: MailServer, host_name: str) -> bool:
    """Show clients that ask for this name what everybody is shown. Returns whether it was bound."""
    wanted = read_wanted(lock_server(server))
    current = wanted.as_state()
    kept = tuple(item for item in current.sni_bindings if item.host_name != host_name)
    difference = store_state(wanted, replace(current, sni_bindings=kept))
    if difference:
        record_event(
            actor=actor,
            verb="name.unbound",
            object_type="name",
            object_id=host_name[:64],
            object_label=both_forms(host_name),
            before=difference.before[host_name],
            after=difference.after[host_name],
        )
    return bool(difference)


def _bound(
    current: DesiredState, host_names: Iterable[str], fingerprint: str
) -> tuple[SniBinding, ...]:
    bindings = {binding.host_name: binding for binding in current.sni_bindings}
    bindings |= {name: SniBinding(name, fingerprint) for name in host_names}
    return tuple(bindings[name] for name in sorted(bindings))


def _normalized(host_names: Sequence[str]) -> list[str]:
    try:
        return [normalize_host_name(name) for name in host_names]
    except NameProblem as error:
        raise ChangeRefusedError(error.problem) from error


def _refuse_unknown(services: Iterable[str], known: set[str]) -> None:
    unknown = [service for service in services if service not in known]
    if unknown:
        raise ChangeRefusedError(
            *(Problem("listener.unknown", subject=service) for service in unknown)
        )
