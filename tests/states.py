"""Certificates with keys, and desired states, for whoever tests the way to the mail server."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from mailadmin.mailconf.state import CertificateMaterial, DesiredState, SniBinding
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.keys import KeyKind
from tests.throwaway_pki import ThrowawayCa, draw_key

_CA = ThrowawayCa()
# What a client must trust to verify all of them.
ROOT_PEM = _CA.root_pem


@dataclass(frozen=True)
class Material:
    """A certificate as the state carries it, and as one PEM with its key."""

    certificate: CertificateMaterial
    bundle: str = field(repr=False)


def make_material(
    label: str, names: tuple[str, ...] = ("mail.example.test",), kind: str = KeyKind.ECDSA_P256
) -> Material:
    """Return a fresh certificate with its key."""
    issued = _CA.issue(names, key=draw_key(KeyKind(kind)))
    facts = read_certificate(issued.cert_pem)
    certificate = CertificateMaterial(
        fingerprint=facts.fingerprint,
        label=label,
        names=facts.names,
        not_before=facts.not_before,
        not_after=facts.not_after,
        leaf_pem=issued.cert_pem.decode(),
        chain_pem=issued.chain_pem.decode(),
        key_pem=issued.key_pem.decode(),
    )
    return Material(certificate, (issued.key_pem + issued.fullchain_pem).decode())


def with_default(state: DesiredState, certificate: CertificateMaterial) -> DesiredState:
    """Return the state with this certificate for everybody."""
    return replace(
        state,
        default_certificate=certificate.fingerprint,
        certificates=(*state.certificates, certificate),
    )


def with_name(
    state: DesiredState, host_name: str, certificate: CertificateMaterial
) -> DesiredState:
    """Return the state with a certificate for those who ask for this host name."""
    return replace(
        state,
        sni_bindings=(*state.sni_bindings, SniBinding(host_name, certificate.fingerprint)),
        certificates=(*state.certificates, certificate),
    )


def with_open(state: DesiredState, *services: str, is_open: bool = True) -> DesiredState:
    """Return the state with these services opened, or closed."""
    return replace(
        state,
        listeners=tuple(
            replace(item, is_enabled=is_open) if item.service in services else item
            for item in state.listeners
        ),
    )


def with_listener(state: DesiredState, service: str, **changes: Any) -> DesiredState:
    """Return the state with one listener changed."""
    return replace(
        state,
        listeners=tuple(
            replace(item, **changes) if item.service == service else item
            for item in state.listeners
        ),
    )


def without_names(state: DesiredState) -> DesiredState:
    """Return the state with one certificate for everybody again."""
    return replace(state, sni_bindings=())


def make_pair(
    label: str, names: tuple[str, ...] = ("mail.example.test",)
) -> tuple[CertificateMaterial, CertificateMaterial]:
    """Return an RSA and an ECDSA certificate, each the other's companion."""
    rsa = make_material(f"{label} RSA", names, KeyKind.RSA_2048).certificate
    ecdsa = make_material(f"{label} ECDSA", names).certificate
    return (
        replace(rsa, companion=ecdsa.fingerprint, key_algorithm="rsa"),
        replace(ecdsa, companion=rsa.fingerprint, key_algorithm="ecdsa"),
    )
