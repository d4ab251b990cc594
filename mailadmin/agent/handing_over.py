"""Hand the keys of certificates to the panel, which asks for them only when an administrator said
so. Until something was applied, and only if the agent's configuration does not forbid it.
"""

from __future__ import annotations

from collections.abc import Collection

from mailadmin.agent.host import Host
from mailadmin.agent.keys import read_host_keys
from mailadmin.agent.observing import served_certificates
from mailadmin.agent.protocol import AgentError
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.problems import Problem


def find_refusal(host: Host, *, is_allowed: bool) -> Problem | None:
    """Return why no key is handed over, or None."""
    if not is_allowed:
        return Problem("adopting.keys_forbidden")
    if host.store.generation:
        return Problem("adopting.keys_too_late")
    return None


def hand_over_keys(
    host: Host, fingerprints: Collection[str], *, is_allowed: bool
) -> dict[str, str]:
    """Return the keys (PEM) of those certificates that the daemons' files serve, by fingerprint.

    Raises :class:`AgentError`.
    """
    refusal = find_refusal(host, is_allowed=is_allowed)
    if refusal is not None:
        raise AgentError(refusal)
    found = host.read()
    keys = read_host_keys(host, found)
    return {
        item.fingerprint: keys[read_certificate(item.leaf_pem.encode()).public_key_id]
        for item in served_certificates(host, found)
        if item.fingerprint in fingerprints
    }
