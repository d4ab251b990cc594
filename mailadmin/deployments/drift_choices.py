"""What can be done about a drift: want what was found, put back what was applied, or leave it.

Putting back is an ordinary plan, review and apply (``services.request_plan``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from django.db import transaction
from django.utils import timezone

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.services import register_found_certificate
from mailadmin.deployments.drift import open_drift
from mailadmin.deployments.models import Drift
from mailadmin.listeners.selectors import applied_state, desired_state
from mailadmin.listeners.services.restoring import restore_state
from mailadmin.mailconf import material
from mailadmin.mailconf.plan import Change, describe_changes
from mailadmin.mailconf.rules import judge_values
from mailadmin.mailconf.state import DesiredState, ListenerState
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import lock_server


@dataclass(frozen=True, slots=True)
class Offer:
    """What of a drift the panel could want: listeners that differ, certificates by their file."""

    listeners: tuple[ListenerState, ...] = ()
    certificates: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.listeners or self.certificates)


def read_offer(server: MailServer, drift: Drift) -> Offer:
    """Return what of the drift is understood. A companion beside another certificate is not: the
    two would have to be made a pair first.
    """
    applied = applied_state(server)
    if applied is None:
        return Offer()
    certificates = {
        piece["name"]: piece["certificate"]["fingerprint"]
        for piece in drift.pieces
        if piece["certificate"] and material.first_of(piece["name"]) == piece["name"]
    }
    return Offer(tuple(_moved(applied, drift)), certificates)


def describe_offer(server: MailServer, drift: Drift) -> tuple[Change, ...]:
    """Return what taking over would let be pending, beside what is wanted now."""
    wanted = desired_state(server)
    return describe_changes(wanted, _with_offer(server, wanted, read_offer(server, drift)))


@transaction.atomic
def take_over_drift(*, actor: Actor, server: MailServer, drift_id: int, reason: str = "") -> None:
    """Want what was found; it still has to be reviewed and applied. Keys stay on the host.

    Raises :class:`ChangeRefusedError` if the drift is another one by now, nothing of it is
    understood, or no listener can be as it was found.
    """
    server = lock_server(server)
    drift = _take(server, drift_id)
    offer = read_offer(server, drift)
    problems = [problem for state in offer.listeners for problem in judge_values(state)]
    if problems:
        raise ChangeRefusedError(*problems)
    for piece in drift.pieces:
        if piece["name"] in offer.certificates:
            found = piece["certificate"]
            register_found_certificate(
                actor=actor, leaf_pem=found["leaf_pem"], chain_pem=found["chain_pem"]
            )
    target = _with_offer(server, desired_state(server), offer)
    is_changed = offer and restore_state(
        actor=actor, server=server, state=target, verb="drift.taken_over", reason=reason
    )
    if not is_changed:
        raise ChangeRefusedError(Problem("drift.not_understood"))


@transaction.atomic
def leave_drift(*, actor: Actor, server: MailServer, drift_id: int, reason: str = "") -> Drift:
    """Let the drift stay and be quiet until it changes. Raises :class:`ChangeRefusedError`."""
    server = lock_server(server)
    drift = _take(server, drift_id)
    drift.left_at, drift.left_by, drift.left_reason = timezone.now(), actor.name, reason[:300]
    drift.save(update_fields=["left_at", "left_by", "left_reason"])
    record_event(
        actor=actor,
        verb="drift.left",
        object_type="server",
        object_id=server.pk,
        object_label=server.host_name,
        reason=reason[:300],
        after={"drift": drift.pk, "digest": drift.digest, "files": drift.names},
    )
    return drift


def _take(server: MailServer, drift_id: int) -> Drift:
    drift = open_drift(server)
    if drift is None or drift.pk != drift_id:
        raise ChangeRefusedError(Problem("drift.gone"))
    return drift


def _moved(applied: DesiredState, drift: Drift) -> Iterator[ListenerState]:
    """Return the listeners that the changed files have in another way than was applied."""
    for found in DesiredState.from_dict({"listeners": drift.listeners}).listeners:
        was = applied.listener(found.service)
        if was is None or not (was.is_enabled or found.is_enabled):
            continue
        now = replace(was, is_enabled=found.is_enabled)
        if found.is_enabled:
            now = replace(now, address=found.address, port=found.port, tls_mode=found.tls_mode)
        if now != was:
            yield now


def _with_offer(server: MailServer, wanted: DesiredState, offer: Offer) -> DesiredState:
    """Return what is wanted now, with what was found in its place."""
    applied = applied_state(server)
    found = {item.service: item for item in offer.listeners}
    state = replace(
        wanted,
        listeners=tuple(
            replace(found[item.service], certificate=item.certificate)
            if item.service in found
            else item
            for item in wanted.listeners
        ),
    )
    for name, fingerprint in offer.certificates.items():
        state = _with_certificate(state, applied or wanted, name, fingerprint)
    return state


def _with_certificate(
    state: DesiredState, applied: DesiredState, name: str, fingerprint: str
) -> DesiredState:
    """Let whoever was served from this file be served the certificate found in it."""
    host_name = material.host_name_of(name)
    if host_name:
        bindings = tuple(
            replace(item, certificate=fingerprint) if item.host_name == host_name else item
            for item in state.sni_bindings
        )
        return replace(state, sni_bindings=bindings)
    is_default = name == material.DEFAULT
    own = "" if is_default else name
    served = {
        item.service
        for item in applied.listeners
        if item.certificate and material.own_certificate_file(applied, item) == own
    }
    listeners = tuple(
        replace(item, certificate=fingerprint) if item.service in served else item
        for item in state.listeners
    )
    state = replace(state, listeners=listeners)
    return replace(state, default_certificate=fingerprint) if is_default else state
