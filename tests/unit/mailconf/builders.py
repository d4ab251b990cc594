"""Short ways to write down states for the tests of the pure layer."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mailadmin.mailconf.services import SERVICES
from mailadmin.mailconf.state import CertificateMaterial, DesiredState, ListenerState, SniBinding

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LIVE = "/var/lib/mailadmin/live"
CHAIN = "-----BEGIN CERTIFICATE-----\nintermediate\n-----END CERTIFICATE-----\n"


def fingerprint(label: str) -> str:
    """Return what stands for the leaf of this name."""
    return hashlib.sha256(label.encode()).hexdigest()


def listener(service: str, **values: Any) -> ListenerState:
    """Return the listener as the registry has it, open, but for ``values``."""
    definition = SERVICES[service]
    usual = ListenerState(
        service=service,
        is_enabled=True,
        address="*",
        port=definition.port,
        tls_mode=definition.usual_tls_mode,
        is_login_required=definition.is_login_expected,
    )
    return replace(usual, **values)


def certificate(label: str, *names: str, **values: Any) -> CertificateMaterial:
    """Return a certificate without PEM that is valid at :data:`NOW`."""
    usual = CertificateMaterial(
        fingerprint=fingerprint(label),
        label=label,
        names=names or ("mail.example.test",),
        not_before=datetime(2026, 10, 1, tzinfo=UTC),
        not_after=datetime(2027, 1, 1, tzinfo=UTC),
        chain_pem=CHAIN,
    )
    return replace(usual, **values)


def pair_up(rsa: CertificateMaterial, ecdsa: CertificateMaterial) -> dict[str, CertificateMaterial]:
    """Return the two by their labels, each the other's companion."""
    return {
        rsa.label: replace(rsa, companion=ecdsa.fingerprint, key_algorithm="rsa"),
        ecdsa.label: replace(ecdsa, companion=rsa.fingerprint, key_algorithm="ecdsa"),
    }


def bind(host_name: str, label: str) -> SniBinding:
    """Return a binding of the name to the certificate of this label."""
    return SniBinding(host_name, fingerprint(label))


def make_state(*listeners: ListenerState, **values: Any) -> DesiredState:
    """Return a sound state with the default certificate ``mail``, but for ``values``."""
    usual = DesiredState(
        host_name="mail.example.test",
        listeners=listeners,
        default_certificate=fingerprint("mail"),
        certificates=(certificate("mail"),),
    )
    return replace(usual, **values)


def all_open(**values: Any) -> DesiredState:
    """Return a state in which every port of the registry is open."""
    return make_state(*map(listener, SERVICES), **values)
