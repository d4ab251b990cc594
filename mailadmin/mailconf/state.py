"""The desired state of one mail server: frozen, typed, and the only thing the agent is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self, TypeVar

from mailadmin.mailconf.services import SERVICES, Service, TlsMode

ANY_ADDRESS = "*"
DEFAULT_PROFILE = "intermediate"
_OF_PAIRS = ("companion", "key_algorithm")

_Named = TypeVar("_Named")


class StateError(ValueError):
    """The JSON form of a state is not one we wrote; says which part."""


@dataclass(frozen=True, slots=True)
class ListenerState:
    """What one port should be. ``certificate`` is a fingerprint; empty means the default one."""

    service: str
    is_enabled: bool
    address: str
    port: int
    tls_mode: TlsMode
    is_login_required: bool
    certificate: str = ""

    @property
    def definition(self) -> Service:
        """Return the registry entry of this listener's service."""
        return SERVICES[self.service]

    @property
    def is_encrypted(self) -> bool:
        """Tell whether a certificate is needed: TLS is spoken or offered here."""
        return self.tls_mode is not TlsMode.NONE

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "service": self.service,
            "is_enabled": self.is_enabled,
            "address": self.address,
            "port": self.port,
            "tls_mode": str(self.tls_mode),
            "is_login_required": self.is_login_required,
            "certificate": self.certificate,
        }


@dataclass(frozen=True, slots=True)
class CertificateMaterial:
    """A leaf with its chain and key. Without a key the agent looks for the one on its host."""

    fingerprint: str
    label: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    leaf_pem: str = field(default="", repr=False)
    chain_pem: str = field(default="", repr=False)
    key_pem: str = field(default="", repr=False)
    # What a state without PEM remembers of the chain; see ``chain_digest``.
    known_chain: str = ""
    # The certificate served beside this one, to clients that want the other kind of key.
    companion: str = ""
    # ``rsa`` or ``ecdsa``; anything else cannot be one of a pair.
    key_algorithm: str = ""

    @property
    def chain_digest(self) -> str:
        """Return a SHA-256 over the chain; empty if there is none.

        Two states with the same leaf but another chain serve something else.
        """
        chain = self.chain_pem.strip()
        return hashlib.sha256(chain.encode()).hexdigest() if chain else self.known_chain

    def as_dict(self, *, with_pem: bool, with_key: bool) -> dict[str, object]:
        """Return the JSON form; a snapshot kept in the database has neither PEM nor key."""
        shown: dict[str, object] = {
            "fingerprint": self.fingerprint,
            "label": self.label,
            "names": list(self.names),
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "chain_digest": self.chain_digest,
        }
        # Left out where there is none, so that a snapshot of before keeps its digest.
        shown |= {name: getattr(self, name) for name in _OF_PAIRS if getattr(self, name)}
        if with_pem:
            shown |= {"leaf_pem": self.leaf_pem, "chain_pem": self.chain_pem}
        if with_key:
            shown["key_pem"] = self.key_pem
        return shown


@dataclass(frozen=True, slots=True)
class SniBinding:
    """Clients that ask for this host name (an A-label) are shown this certificate."""

    host_name: str
    certificate: str

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return {"host_name": self.host_name, "certificate": self.certificate}


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Everything the panel wants of one mail server."""

    host_name: str
    listeners: tuple[ListenerState, ...]
    default_certificate: str = ""
    certificates: tuple[CertificateMaterial, ...] = ()
    sni_bindings: tuple[SniBinding, ...] = ()
    tls_profile: str = DEFAULT_PROFILE
    # Dovecot's ports in an instance of their own (``mailconf.front``).
    is_dovecot_split: bool = False

    def listener(self, service: str) -> ListenerState | None:
        """Return the listener of this service, if the state speaks of it."""
        return next((item for item in self.listeners if item.service == service), None)

    def certificate(self, fingerprint: str) -> CertificateMaterial | None:
        """Return the certificate with this fingerprint, if the state carries it."""
        return next((item for item in self.certificates if item.fingerprint == fingerprint), None)

    def certificate_for(self, listener: ListenerState) -> str:
        """Return the fingerprint a client without SNI should see here; empty if there is none."""
        return listener.certificate or self.default_certificate

    def pair_of(self, fingerprint: str) -> tuple[str, ...]:
        """Return what is served where this certificate is wanted: it, and its companion."""
        certificate = self.certificate(fingerprint)
        companion = certificate.companion if certificate else ""
        return tuple(item for item in (fingerprint, companion) if item)

    def is_same_pair(self, one: str, other: str) -> bool:
        """Tell whether clients are shown the same, whichever of the two is wanted."""
        return set(self.pair_of(one)) == set(self.pair_of(other))

    @property
    def enabled_listeners(self) -> tuple[ListenerState, ...]:
        """Return the listeners that should be open."""
        return tuple(item for item in self.listeners if item.is_enabled)

    @property
    def chosen_fingerprints(self) -> tuple[str, ...]:
        """Return every fingerprint that is wanted somewhere, sorted; companions come with them."""
        chosen = {binding.certificate for binding in self.sni_bindings}
        chosen |= {item.certificate for item in self.enabled_listeners if item.is_encrypted}
        return tuple(sorted((chosen | {self.default_certificate}) - {""}))

    @property
    def used_fingerprints(self) -> tuple[str, ...]:
        """Return every fingerprint that some file needs, companions too, sorted."""
        return tuple(
            sorted({item for chosen in self.chosen_fingerprints for item in self.pair_of(chosen)})
        )

    def with_certificates(self, certificates: Iterable[CertificateMaterial]) -> DesiredState:
        """Return the same state with this certificate material instead."""
        return replace(self, certificates=tuple(certificates))

    def as_dict(self, *, with_pem: bool = False, with_key: bool = False) -> dict[str, object]:
        """Return the JSON form. Keys only ever cross the agent's Unix socket."""
        # Left out where it is not so: snapshots of before keep their digest.
        split = {"is_dovecot_split": True} if self.is_dovecot_split else {}
        return split | {
            "host_name": self.host_name,
            "tls_profile": self.tls_profile,
            "default_certificate": self.default_certificate,
            "listeners": [item.as_dict() for item in self.listeners],
            "sni_bindings": [item.as_dict() for item in self.sni_bindings],
            "certificates": [
                item.as_dict(with_pem=with_pem, with_key=with_key) for item in self.certificates
            ],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Self:
        """Read the JSON form back. Raises :class:`StateError` naming the part that is wrong."""
        return cls(
            host_name=_text(value, "host_name"),
            tls_profile=_text(value, "tls_profile"),
            default_certificate=_text(value, "default_certificate"),
            is_dovecot_split=_truth({"is_dovecot_split": False} | dict(value), "is_dovecot_split"),
            listeners=_without_twins(
                [_listener(item) for item in _rows(value, "listeners")], "service"
            ),
            sni_bindings=_without_twins(
                [
                    SniBinding(_text(item, "host_name"), _text(item, "certificate"))
                    for item in _rows(value, "sni_bindings")
                ],
                "host_name",
            ),
            certificates=tuple(_material(item) for item in _rows(value, "certificates")),
        )

    @property
    def digest(self) -> str:
        """Return a SHA-256 over what this state says, without key material."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _without_twins(items: list[_Named], name: str) -> tuple[_Named, ...]:
    """Return the items. Raises :class:`StateError` if two are about the same."""
    if len({getattr(item, name) for item in items}) < len(items):
        raise StateError(f"{name} is named twice")
    return tuple(items)


def _text(value: Mapping[str, object], name: str) -> str:
    found = value.get(name, "")
    # JSON can hold halves of a character, which no file can (RFC 8259 8.2).
    if not isinstance(found, str) or not _is_encodable(found):
        raise StateError(f"{name} is not text")
    return found


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _truth(value: Mapping[str, object], name: str) -> bool:
    found = value.get(name)
    if not isinstance(found, bool):
        raise StateError(f"{name} is not true or false")
    return found


def _rows(value: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    found = value.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise StateError(f"{name} is not a list of objects")
    return found


def _moment(value: Mapping[str, object], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(value, name))
    except ValueError:
        raise StateError(f"{name} is not a time") from None
    if moment.tzinfo is None:
        raise StateError(f"{name} has no time zone")
    return moment


def _listener(value: Mapping[str, object]) -> ListenerState:
    service, port = _text(value, "service"), value.get("port")
    if service not in SERVICES:
        raise StateError("service is not in the registry")
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        raise StateError("port is not between 1 and 65535")
    try:
        tls_mode = TlsMode(_text(value, "tls_mode"))
    except ValueError:
        raise StateError("tls_mode is unknown") from None
    return ListenerState(
        service=service,
        is_enabled=_truth(value, "is_enabled"),
        address=_text(value, "address"),
        port=port,
        tls_mode=tls_mode,
        is_login_required=_truth(value, "is_login_required"),
        certificate=_text(value, "certificate"),
    )


def _material(value: Mapping[str, object]) -> CertificateMaterial:
    names = value.get("names", [])
    if not isinstance(names, list) or not all(
        isinstance(name, str) and _is_encodable(name) for name in names
    ):
        raise StateError("names is not a list of text")
    chain_pem = _text(value, "chain_pem")
    return CertificateMaterial(
        fingerprint=_text(value, "fingerprint"),
        label=_text(value, "label"),
        names=tuple(names),
        not_before=_moment(value, "not_before"),
        not_after=_moment(value, "not_after"),
        leaf_pem=_text(value, "leaf_pem"),
        chain_pem=chain_pem,
        key_pem=_text(value, "key_pem"),
        known_chain="" if chain_pem else _text(value, "chain_digest"),
        # States of before there were pairs have neither.
        companion=_text(value, "companion"),
        key_algorithm=_text(value, "key_algorithm"),
    )
