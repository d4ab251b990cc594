"""Say what is on the host, for the first look of the panel. Keys stay where they are."""

from __future__ import annotations

from typing import Any

from mailadmin.agent.host import Found, Host
from mailadmin.agent.planner import read_host_file, read_host_keys
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.chain import order_chain


def observe(host: Host) -> dict[str, Any]:
    """Return versions, listeners and certificates. Raises :class:`AgentError`."""
    found = host.read()
    return {
        "versions": found.versions,
        "running": {str(name): is_on for name, is_on in host.running_daemons().items()},
        "protocols": list(found.dovecot.protocols),
        "listeners": [item.as_dict() for item in host.read_listeners(found)],
        "certificates": _certificates(host, found),
    }


def _certificates(host: Host, found: Found) -> list[dict[str, Any]]:
    """Return the leaves whose key is on the host too: only those can be served again."""
    keys = read_host_keys(host, found)
    shown: dict[str, dict[str, Any]] = {}
    for content in host.read_pem_files(found).values():
        certificates = read_host_file(content).certificates
        for leaf in certificates:
            if leaf.public_key_id in keys:
                shown.setdefault(leaf.fingerprint, _as_dict(leaf, certificates))
    return list(shown.values())


def _as_dict(leaf: CertificateFacts, others: tuple[CertificateFacts, ...]) -> dict[str, Any]:
    rest = [item for item in others if item.fingerprint != leaf.fingerprint]
    return {
        "fingerprint": leaf.fingerprint,
        "leaf_pem": leaf.pem,
        "chain_pem": "".join(item.pem for item in order_chain(leaf, rest).chain),
    }
