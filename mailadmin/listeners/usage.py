"""Where each certificate is used: as wanted now, and as it was applied last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mailadmin.listeners.selectors import applied_state, desired_state
from mailadmin.mailconf.services import SERVICES
from mailadmin.mailconf.state import DesiredState, ListenerState
from mailadmin.pki.names import is_covered
from mailadmin.servers.models import MailServer


class UseKind(StrEnum):
    """What a certificate is used for."""

    DEFAULT = "default"
    LISTENER = "listener"
    NAME = "name"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One place a certificate can be used: the default, an open port, or a host name."""

    kind: UseKind
    subject: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Use:
    """A certificate at a place. Wanted but not applied is pending; the other way it is leaving."""

    place: Place
    is_wanted: bool
    is_applied: bool

    @property
    def is_pending(self) -> bool:
        """Tell whether applying changes this."""
        return self.is_wanted != self.is_applied


def usage_by_certificate(server: MailServer) -> Mapping[str, tuple[Use, ...]]:
    """Return the uses of every certificate by fingerprint: default, ports, then host names."""
    wanted = places_by_certificate(desired_state(server))
    applied_now = applied_state(server)
    applied = places_by_certificate(applied_now) if applied_now else {}
    return {
        fingerprint: tuple(
            Use(place, place in wanted.get(fingerprint, ()), place in applied.get(fingerprint, ()))
            for place in _in_order({*wanted.get(fingerprint, ()), *applied.get(fingerprint, ())})
        )
        for fingerprint in wanted.keys() | applied.keys()
    }


def places_by_certificate(state: DesiredState) -> Mapping[str, set[Place]]:
    """Return, by fingerprint, where the state uses a certificate; closed ports serve none."""
    places: dict[str, set[Place]] = defaultdict(set)
    wanted = [(state.default_certificate, Place(UseKind.DEFAULT))]
    wanted += [
        (state.certificate_for(item), Place(UseKind.LISTENER, item.service, item.port))
        for item in encrypted_listeners(state)
    ]
    wanted += [
        (item.certificate, Place(UseKind.NAME, item.host_name)) for item in state.sni_bindings
    ]
    for chosen, place in wanted:
        # A companion is shown at every place that its certificate is.
        for fingerprint in state.pair_of(chosen):
            places[fingerprint].add(place)
    return places


def encrypted_listeners(state: DesiredState) -> list[ListenerState]:
    """Return the listeners that are wanted open and show a certificate."""
    return [item for item in state.enabled_listeners if item.is_encrypted]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Where a certificate with certain names could be used without a warning in mail programs."""

    host_name: str
    is_host_name_covered: bool
    listeners: tuple[ListenerState, ...]
    bound_names: tuple[str, ...]


def coverage_of(names: Iterable[str], state: DesiredState) -> Coverage:
    """Return which of the open ports and bound names the certificate's names are right for.

    Mail programs are set up with the server's host name unless the name is bound.
    """
    covering = list(names)
    is_host_name_covered = is_covered(state.host_name, covering)
    return Coverage(
        host_name=state.host_name,
        is_host_name_covered=is_host_name_covered,
        listeners=tuple(encrypted_listeners(state)) if is_host_name_covered else (),
        bound_names=tuple(
            binding.host_name
            for binding in state.sni_bindings
            if is_covered(binding.host_name, covering)
        ),
    )


def _in_order(places: Iterable[Place]) -> list[Place]:
    kinds, services = list(UseKind), list(SERVICES)
    return sorted(
        places,
        key=lambda place: (
            kinds.index(place.kind),
            services.index(place.subject) if place.kind is UseKind.LISTENER else 0,
            place,
        ),
    )
