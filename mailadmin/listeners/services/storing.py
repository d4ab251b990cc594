"""Making the rows of a server say what a state says. The one place that writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mailadmin.certificates.models import Certificate
from mailadmin.listeners.models import Listener, SniBinding
from mailadmin.listeners.selectors import Wanted
from mailadmin.mailconf.plan import SERVER
from mailadmin.mailconf.state import DesiredState, ListenerState
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.services import name_certificate, snapshot_server

_Values = Mapping[str, object]
_Certificates = Mapping[str, Certificate]


@dataclass(frozen=True, slots=True)
class Difference:
    """What was written: by subject (service, host name or ``server``), the fields that changed."""

    before: dict[str, dict[str, object]] = field(default_factory=dict)
    after: dict[str, dict[str, object]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.after)

    def note(self, subject: str, before: _Values, after: _Values) -> list[str]:
        """Keep those values that differ; return their names."""
        changed = [name for name in after if before.get(name) != after[name]]
        if changed:
            self.before[subject] = {name: before.get(name) for name in changed}
            self.after[subject] = {name: after[name] for name in changed}
        return changed


def store_state(wanted: Wanted, target: DesiredState) -> Difference:
    """Write what differs between the rows and the target.

    The caller holds the server's lock. Listeners that the target does not speak of are closed.
    Raises :class:`ChangeRefusedError` if the target needs a certificate that was deleted.
    """
    certificates = _take_certificates(wanted, target)
    difference = Difference()
    _store_server(wanted, target, certificates, difference)
    _store_listeners(wanted, target, certificates, difference)
    _store_bindings(wanted, target, certificates, difference)
    return difference


def _take_certificates(wanted: Wanted, target: DesiredState) -> _Certificates:
    """Return every certificate that the target names, by fingerprint, the new ones locked."""
    named = {target.default_certificate, *(item.certificate for item in target.listeners)}
    named |= {binding.certificate for binding in target.sni_bindings}
    known = wanted.certificates
    new = Certificate.objects.select_for_update().filter(
        fingerprint__in=named - {""} - known.keys(), deleted_at=None
    )
    found = known | {certificate.fingerprint: certificate for certificate in new}
    missing = sorted(named - {""} - found.keys())
    if missing:
        raise ChangeRefusedError(*(_deleted(target, fingerprint) for fingerprint in missing))
    return found


def _deleted(target: DesiredState, fingerprint: str) -> Problem:
    certificate = target.certificate(fingerprint)
    label = certificate.label if certificate else fingerprint[:16]
    return Problem("certificate.deleted", subject=fingerprint, params={"label": label})


def _store_server(
    wanted: Wanted, target: DesiredState, certificates: _Certificates, difference: Difference
) -> None:
    server = wanted.server
    before = snapshot_server(server)
    server.host_name = target.host_name
    server.tls_profile = target.tls_profile
    server.is_dovecot_split = target.is_dovecot_split
    server.default_certificate = certificates.get(target.default_certificate)
    changed = difference.note(SERVER, before, snapshot_server(server))
    if changed:
        server.save(update_fields=changed)


def _store_listeners(
    wanted: Wanted, target: DesiredState, certificates: _Certificates, difference: Difference
) -> None:
    rows = {listener.service: listener for listener in wanted.listeners}
    for state in target.listeners:
        row = rows.pop(state.service, None)
        before = snapshot_listener(row) if row else {}
        row = row or Listener(server=wanted.server, service=state.service)
        _copy_values(row, state, certificates)
        if difference.note(state.service, before, snapshot_listener(row)):
            row.save()
    for row in rows.values():
        before = snapshot_listener(row)
        row.is_enabled = False
        if difference.note(row.service, before, snapshot_listener(row)):
            row.save(update_fields=["is_enabled", "updated_at"])


def _copy_values(row: Listener, state: ListenerState, certificates: _Certificates) -> None:
    row.is_enabled = state.is_enabled
    row.address = state.address
    row.port = state.port
    row.tls_mode = str(state.tls_mode)
    row.is_login_required = state.is_login_required
    row.certificate = certificates.get(state.certificate)


def _store_bindings(
    wanted: Wanted, target: DesiredState, certificates: _Certificates, difference: Difference
) -> None:
    rows = {binding.host_name: binding for binding in wanted.bindings}
    for state in target.sni_bindings:
        row = rows.pop(state.host_name, None)
        before = _snapshot_binding(row)
        row = row or SniBinding(server=wanted.server, host_name=state.host_name)
        row.certificate = certificates[state.certificate]
        if difference.note(state.host_name, before, _snapshot_binding(row)):
            row.save()
    for row in rows.values():
        difference.note(row.host_name, _snapshot_binding(row), _snapshot_binding(None))
        row.delete()


def snapshot_listener(listener: Listener) -> dict[str, object]:
    """Return what an audit event says of a listener; certificate ``None`` is the default one."""
    return {
        "is_enabled": listener.is_enabled,
        "address": listener.address,
        "port": listener.port,
        "tls_mode": listener.tls_mode,
        "is_login_required": listener.is_login_required,
        "certificate": name_certificate(listener.certificate),
    }


def _snapshot_binding(binding: SniBinding | None) -> dict[str, object]:
    return {"certificate": name_certificate(binding.certificate if binding else None)}
