"""Makes a mail server with its listeners and certificates for the tests.

The certificates are rows without real PEM: enough for everything that does not parse them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from mailadmin.certificates.models import Certificate
from mailadmin.listeners.models import Listener, SniBinding
from mailadmin.listeners.selectors import desired_state
from mailadmin.mailconf.services import SERVICES
from mailadmin.servers.models import MailServer

HOST_NAME = "mail.example.org"
# As Debian installs Postfix and Dovecot: these are open, the rest is closed.
OPEN_SERVICES = ("smtp", "imap", "imaps", "pop3", "pop3s")
_numbers = count(1)


def make_certificate(*names: str, **values: Any) -> Certificate:
    """Return a stored certificate for the names, good for 60 days unless ``values`` say else."""
    number = next(_numbers)
    now = datetime.now(UTC)
    wanted: dict[str, Any] = {
        "fingerprint": hashlib.sha256(f"certificate {number}".encode()).hexdigest(),
        "leaf_pem": f"-----BEGIN CERTIFICATE-----\nleaf {number}\n-----END CERTIFICATE-----\n",
        "chain_pem": f"-----BEGIN CERTIFICATE-----\nchain {number}\n-----END CERTIFICATE-----\n",
        "names": list(names or (HOST_NAME,)),
        "common_name": (names or (HOST_NAME,))[0],
        "issuer_name": "R11",
        "serial": str(number),
        "not_before": now - timedelta(days=30),
        "not_after": now + timedelta(days=60),
        "key_description": "ECDSA P-256",
        "public_key_id": hashlib.sha256(f"key {number}".encode()).hexdigest(),
        "origin": Certificate.Origin.UPLOADED,
        "created_by": "ada",
        **values,
    }
    return Certificate.objects.create(**wanted)


def make_pair(*names: str, **values: Any) -> tuple[Certificate, Certificate]:
    """Return a stored RSA and a stored ECDSA certificate that are served side by side."""
    rsa = make_certificate(*names, **({"key_description": "RSA 2048"} | values))
    ecdsa = make_certificate(*names)
    for row, other in ((rsa, ecdsa), (ecdsa, rsa)):
        row.companion = other
        row.save(update_fields=["companion"])
    return rsa, ecdsa


def make_server(
    *,
    default_certificate: Certificate | None = None,
    services: Sequence[str] = tuple(SERVICES),
    is_applied: bool = True,
) -> MailServer:
    """Return a stored server with a listener per service, applied as it stands."""
    server = MailServer.objects.create(
        host_name=HOST_NAME, default_certificate=default_certificate or make_certificate()
    )
    for name in services:
        make_listener(server, name)
    return apply_wanted(server) if is_applied else server


def make_listener(server: MailServer, service: str, **values: Any) -> Listener:
    """Return a stored listener with the usual values of its service."""
    definition = SERVICES[service]
    wanted: dict[str, Any] = {
        "is_enabled": service in OPEN_SERVICES,
        "port": definition.port,
        "tls_mode": str(definition.usual_tls_mode),
        "is_login_required": definition.is_login_expected,
        **values,
    }
    return Listener.objects.create(server=server, service=service, **wanted)


def make_binding(server: MailServer, host_name: str, certificate: Certificate) -> SniBinding:
    """Return a stored host name with its certificate."""
    return SniBinding.objects.create(server=server, host_name=host_name, certificate=certificate)


def apply_wanted(server: MailServer) -> MailServer:
    """Take what is wanted now for what is applied, as a proven deployment does."""
    server.applied_state = desired_state(server).as_dict()
    server.save(update_fields=["applied_state"])
    return server
