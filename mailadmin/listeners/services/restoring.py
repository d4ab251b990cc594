"""Taking changes back: one of them, or all by going to another state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.pairing import match_pairs
from mailadmin.listeners.selectors import applied_state, read_wanted
from mailadmin.listeners.services.storing import Difference, store_state
from mailadmin.mailconf.plan import SERVER
from mailadmin.mailconf.services import SERVICES
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import lock_server

# Which field of the server each of its changes is about.
_SERVER_FIELDS = {
    "host_name.changed": "host_name",
    "tls_profile.changed": "tls_profile",
    "default_certificate.changed": "default_certificate",
    "dovecot.split": "is_dovecot_split",
    "dovecot.joined": "is_dovecot_split",
}


@transaction.atomic
def restore_state(
    *,
    actor: Actor,
    server: MailServer,
    state: DesiredState,
    verb: str = "changes.discarded",
    reason: str = "",
) -> bool:
    """Make everything wanted what the state says. Returns whether that changed anything.

    Listeners the state does not speak of are closed. Raises :class:`ChangeRefusedError` if a
    certificate it needs was deleted; then nothing is changed.
    """
    row = lock_server(server)
    difference = store_state(read_wanted(row), state)
    _store_pairs(state, state.chosen_fingerprints, difference)
    if difference:
        record_event(
            actor=actor,
            verb=verb,
            object_type="server",
            object_id=row.pk,
            object_label=row.host_name,
            before=difference.before,
            after=difference.after,
            reason=reason,
        )
    return bool(difference)


@transaction.atomic
def undo_change(*, actor: Actor, server: MailServer, subject: str, code: str = "") -> bool:
    """Put one listener, host name or value of the server back to what was applied last.

    ``subject`` is that of a :class:`~mailadmin.mailconf.plan.Change`; for ``server`` its code
    chooses one value, and no code means all. Returns whether that changed anything. Raises
    :class:`ChangeRefusedError` if nothing was applied yet, or a certificate was deleted since.
    """
    row = lock_server(server)
    applied = applied_state(row)
    if applied is None:
        raise ChangeRefusedError(Problem("undo.nothing_applied", subject=subject))
    wanted = read_wanted(row)
    put_back = _choose_undo(subject, code)
    target = put_back(wanted.as_state(), applied)
    # The applied state names the certificates it needs even when they were deleted since.
    target = target.with_certificates((*target.certificates, *applied.certificates))
    difference = store_state(wanted, target)
    if code.startswith("pair."):
        _store_pairs(applied, [subject], difference)
    if difference:
        record_event(
            actor=actor,
            verb="change.undone",
            object_type=_object_type(subject),
            object_id=(str(row.pk) if subject == SERVER else subject)[:64],
            object_label=row.host_name if subject == SERVER else subject,
            before=difference.before[subject],
            after=difference.after[subject],
        )
    return bool(difference)


def _store_pairs(state: DesiredState, fingerprints: Iterable[str], difference: Difference) -> None:
    """Put the companions of these certificates back to what the state says.

    Raises :class:`ChangeRefusedError` if one was deleted since.
    """
    wanted = {item: _companion(state, item) for item in fingerprints}
    try:
        changed = match_pairs(wanted)
    except CertificateRefusedError as refused:
        raise ChangeRefusedError(*refused.problems) from refused
    for fingerprint, (before, after) in changed.items():
        difference.note(fingerprint, {"served_beside": before}, {"served_beside": after})


def _companion(state: DesiredState, fingerprint: str) -> str:
    certificate = state.certificate(fingerprint)
    return certificate.companion if certificate else ""


_Undo = Callable[[DesiredState, DesiredState], DesiredState]


def _choose_undo(subject: str, code: str) -> _Undo:
    if subject == SERVER:
        fields = [_SERVER_FIELDS[code]] if code in _SERVER_FIELDS else _SERVER_FIELDS.values()
        return lambda wanted, applied: replace(
            wanted, **{name: getattr(applied, name) for name in fields}
        )
    if subject in SERVICES:
        return lambda wanted, applied: _with_listener_of(wanted, applied, subject)
    return lambda wanted, applied: _with_binding_of(wanted, applied, subject)


def _with_listener_of(wanted: DesiredState, applied: DesiredState, service: str) -> DesiredState:
    """A listener that was not there when the state was applied goes back to closed."""
    was = applied.listener(service)
    return replace(
        wanted,
        listeners=tuple(
            state if state.service != service else (was or replace(state, is_enabled=False))
            for state in wanted.listeners
        ),
    )


def _with_binding_of(wanted: DesiredState, applied: DesiredState, host_name: str) -> DesiredState:
    bindings = {item.host_name: item for item in wanted.sni_bindings if item.host_name != host_name}
    bindings |= {
        item.host_name: item for item in applied.sni_bindings if item.host_name == host_name
    }
    return replace(wanted, sni_bindings=tuple(bindings[name] for name in sorted(bindings)))


def _object_type(subject: str) -> str:
    if subject == SERVER:
        return "server"
    if subject in SERVICES:
        return "listener"
    # No host name is without a dot, and no fingerprint has one.
    return "name" if "." in subject else "certificate"
