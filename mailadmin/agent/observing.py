"""Say what is on the host, for the first look of the panel. Keys stay where they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mailadmin.agent.host import Found, Host
from mailadmin.agent.host.ports import find_holder
from mailadmin.agent.keys import read_host_file, read_host_keys
from mailadmin.mailconf.adopting.taking_over import Adopted, adopt
from mailadmin.mailconf.state import CertificateMaterial
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.chain import order_chain
from mailadmin.pki.keys import algorithm_of


def observe(host: Host) -> dict[str, Any]:
    """Return versions, listeners and certificates. Raises :class:`AgentError`."""
    found = host.read()
    return {
        "versions": found.versions,
        "running": {str(name): is_on for name, is_on in host.running_daemons().items()},
        "protocols": list(found.dovecot.protocols),
        "listeners": [item.as_dict() for item in host.read_listeners(found)],
        "certificates": [
            {
                "fingerprint": item.fingerprint,
                "leaf_pem": item.leaf_pem,
                "chain_pem": item.chain_pem,
            }
            for item in served_certificates(host, found)
        ],
    }


def observe_as_left(host: Host, host_name: str) -> tuple[Found, Adopted]:
    """Return the host as its own files have it, and the state that leaves it so.

    Without a name it is called as Postfix calls itself (postconf(5), myhostname). Raises
    :class:`AgentError`.
    """
    found = host.read()
    certificates = {item.fingerprint: item for item in served_certificates(host, found)}
    name = host_name or found.postfix_parameters["myhostname"]
    return found, adopt(name, host.read_base(found), certificates)


def describe_as_left(host: Host, host_name: str) -> dict[str, Any]:
    """Return the same as what crosses to the panel: certificates, but no key; and by port which
    program listens on it now.
    """
    found, adopted = observe_as_left(host, host_name)
    return {
        "versions": found.versions,
        "state": adopted.state.as_dict(with_pem=True),
        "findings": [item.as_dict() for item in adopted.findings],
        "programs": {
            str(item.port): holder.program
            for item in adopted.state.listeners
            if (holder := find_holder(item.address, item.port)) is not None
        },
    }


def served_certificates(host: Host, found: Found) -> Iterator[CertificateMaterial]:
    """Yield the leaves whose key is on the host too: only those can be served again."""
    keys = read_host_keys(host, found)
    told: set[str] = set()
    for content in host.read_pem_files(found).values():
        certificates = read_host_file(content).certificates
        for leaf in certificates:
            if leaf.public_key_id in keys and leaf.fingerprint not in told:
                told.add(leaf.fingerprint)
                yield _material(leaf, certificates)


def _material(leaf: CertificateFacts, others: tuple[CertificateFacts, ...]) -> CertificateMaterial:
    rest = [item for item in others if item.fingerprint != leaf.fingerprint]
    return CertificateMaterial(
        fingerprint=leaf.fingerprint,
        label=leaf.names[0] if leaf.names else leaf.fingerprint[:16],
        names=leaf.names,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        leaf_pem=leaf.pem,
        chain_pem="".join(item.pem for item in order_chain(leaf, rest).chain),
        key_algorithm=str(algorithm_of(leaf.key) or ""),
    )
