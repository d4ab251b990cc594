"""Reading what the listeners should be, what was applied, and what lies between.

Every function costs a fixed number of queries, however many listeners and names there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from mailadmin.certificates.models import Certificate
from mailadmin.listeners.models import Listener, SniBinding
from mailadmin.mailconf.plan import Change, describe_changes
from mailadmin.mailconf.rules import check_state
from mailadmin.mailconf.services import SERVICES, TlsMode
from mailadmin.mailconf.state import CertificateMaterial, DesiredState, ListenerState
from mailadmin.mailconf.state import SniBinding as BindingState
from mailadmin.pki.keys import algorithm_of
from mailadmin.pki.problems import Problem
from mailadmin.servers.models import MailServer

_LONGEST_ID = 9  # digits; a longer number is the start of a fingerprint
_ORDER = {name: position for position, name in enumerate(SERVICES)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rows of one server, read once."""

    server: MailServer
    listeners: tuple[Listener, ...]
    bindings: tuple[SniBinding, ...]
    # What is served beside the certificates that the rows name.
    companions: tuple[Certificate, ...] = ()

    @property
    def certificates(self) -> dict[str, Certificate]:
        """Return every certificate the rows name and their companions, by fingerprint, in a fixed
        order."""
        named = _named(self.server, self.listeners, self.bindings)
        found = {item.fingerprint: item for item in (*named, *self.companions)}
        return dict(sorted(found.items()))

    def companion_of(self, certificate: Certificate | None) -> Certificate | None:
        """Return what is served beside a certificate that the rows name."""
        wanted = certificate.companion_id if certificate else None
        return next((item for item in self.companions if item.pk == wanted), None)

    def as_state(self) -> DesiredState:
        """Return the typed form: public parts only, keys never."""
        return DesiredState(
            host_name=self.server.host_name,
            tls_profile=self.server.tls_profile,
            is_dovecot_split=self.server.is_dovecot_split,
            default_certificate=_fingerprint(self.server.default_certificate),
            listeners=tuple(listener_state(listener) for listener in self.listeners),
            sni_bindings=tuple(
                BindingState(binding.host_name, binding.certificate.fingerprint)
                for binding in self.bindings
            ),
            certificates=tuple(self._materials()),
        )

    def _materials(self) -> Iterator[CertificateMaterial]:
        fingerprints = {item.pk: name for name, item in self.certificates.items()}
        for item in self.certificates.values():
            companion = fingerprints.get(item.companion_id, "") if item.companion_id else ""
            yield certificate_material(item, companion)


def read_wanted(server: MailServer) -> Wanted:
    """Read the rows of the server: listeners in the order of the registry, names by alphabet."""
    listeners = Listener.objects.filter(server=server).select_related("certificate")
    bindings = SniBinding.objects.filter(server=server).select_related("certificate")
    # Not the database's order, which depends on its language: the digest is over this one.
    in_order = tuple(sorted(bindings, key=lambda item: item.host_name))
    in_registry = tuple(sorted(listeners, key=lambda item: _ORDER[item.service]))
    named = _named(server, in_registry, in_order)
    companions = {item.companion_id for item in named} - {None}
    return Wanted(
        server=server,
        listeners=in_registry,
        bindings=in_order,
        companions=tuple(Certificate.objects.filter(pk__in=companions)) if companions else (),
    )


def _named(
    server: MailServer, listeners: Iterable[Listener], bindings: Iterable[SniBinding]
) -> list[Certificate]:
    named = [
        server.default_certificate,
        *(listener.certificate for listener in listeners),
        *(binding.certificate for binding in bindings),
    ]
    return [item for item in named if item is not None]


def desired_state(server: MailServer) -> DesiredState:
    """Return what is wanted of the server, with the public parts of the certificates it uses."""
    return read_wanted(server).as_state()


def applied_state(server: MailServer) -> DesiredState | None:
    """Return the last state that was proven on the host, or ``None`` before the first."""
    return DesiredState.from_dict(server.applied_state) if server.applied_state else None


def changes_between(applied: DesiredState | None, desired: DesiredState) -> tuple[Change, ...]:
    """Return what applying would change; before the first apply all that is open is new."""
    nothing = DesiredState(
        host_name=desired.host_name, listeners=(), tls_profile=desired.tls_profile
    )
    return describe_changes(applied or nothing, desired)


def pending_changes(server: MailServer) -> tuple[Change, ...]:
    """Return what is wanted but not applied yet."""
    return changes_between(applied_state(server), desired_state(server))


def state_problems(server: MailServer, now: datetime) -> list[Problem]:
    """Return every rule that the wanted state breaks, errors first."""
    return check_state(desired_state(server), now)


def find_listener(server: MailServer, service: str) -> Listener | None:
    """Return the listener of this service, if the server has one."""
    return server.listeners.filter(service=service).select_related("certificate").first()


def find_certificates(text: str) -> list[Certificate]:
    """Return the certificates that a person means by an id or the start of a fingerprint."""
    typed = text.strip().replace(":", "").lower()
    if typed.isdecimal() and len(typed) <= _LONGEST_ID:
        by_id = list(Certificate.objects.filter(pk=int(typed), deleted_at=None)[:1])
        if by_id:
            return by_id
    matching = Certificate.objects.filter(fingerprint__startswith=typed, deleted_at=None)
    return list(matching.order_by("pk")[:2]) if typed else []


def listener_state(listener: Listener) -> ListenerState:
    """Return the typed form of a row."""
    return ListenerState(
        service=listener.service,
        is_enabled=listener.is_enabled,
        address=listener.address,
        port=listener.port,
        tls_mode=TlsMode(listener.tls_mode),
        is_login_required=listener.is_login_required,
        certificate=_fingerprint(listener.certificate),
    )


def certificate_material(certificate: Certificate, companion: str = "") -> CertificateMaterial:
    """Return the public parts of a certificate as the agent is told them.

    ``companion`` is the fingerprint of what is served beside it.
    """
    return CertificateMaterial(
        fingerprint=certificate.fingerprint,
        label=certificate.label,
        names=tuple(certificate.names),
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        leaf_pem=certificate.leaf_pem,
        chain_pem=certificate.chain_pem,
        companion=companion,
        key_algorithm=str(algorithm_of(certificate.key_description) or ""),
    )


def _fingerprint(certificate: Certificate | None) -> str:
    return certificate.fingerprint if certificate else ""
