"""The first look at a host: what is there, before the panel wants anything of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from mailadmin.agent.client import AgentClient
from mailadmin.audit.request_id import current_request_id
from mailadmin.mailconf.proof import Expectation
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import DesiredState, ListenerState
from mailadmin.pki.keys import KeyAlgorithm


@dataclass(frozen=True, slots=True)
class HostReport:
    """What the agent found: versions, listeners, certificates, and which of them are served.

    ``served_pairs`` are fingerprints of an RSA and an ECDSA certificate that one port shows, each
    to the clients that know only its kind of key.
    """

    versions: dict[str, str]
    listeners: tuple[ListenerState, ...]
    certificates: tuple[dict[str, Any], ...]
    served_fingerprint: str
    served_pairs: tuple[tuple[str, str], ...] = ()


def look_at_host(agent_socket: str = "") -> HostReport:
    """Ask the agent what is there, and each open port what it serves. Raises AgentError."""
    socket = Path(agent_socket) if agent_socket else settings.AGENT_SOCKET
    agent = AgentClient(socket, current_request_id())
    found = agent.observe()
    state = DesiredState.from_dict({"listeners": found["listeners"]})
    looked_at = [
        Expectation(item.service, item.address, item.port, item.is_enabled, item.tls_mode)
        for item in state.listeners
    ]
    seen = agent.probe(looked_at)
    is_open = {item.service: item.is_open for item in seen}
    served = [item.fingerprint for item in seen if item.fingerprint]
    return HostReport(
        versions=found["versions"],
        # A port that the files name but nobody answers on is closed, whatever the files say.
        listeners=tuple(
            replace(item, is_enabled=item.is_enabled and is_open[item.service])
            for item in state.listeners
        ),
        certificates=tuple(found["certificates"]),
        served_fingerprint=max(served, key=served.count) if served else "",
        served_pairs=_find_pairs(agent, [item for item in looked_at if is_open[item.service]]),
    )


def _find_pairs(agent: AgentClient, opened: Sequence[Expectation]) -> tuple[tuple[str, str], ...]:
    """Ask each encrypted port as a client of each kind of key, and return the pairs shown.

    What a port shows is asked, and not what the files say: a file that is named may hold a key
    that the daemon could not load.
    """
    encrypted = [item for item in opened if item.tls_mode is not TlsMode.NONE]
    shown = [
        agent.probe([replace(item, key_algorithm=str(kind)) for item in encrypted])
        for kind in (KeyAlgorithm.RSA, KeyAlgorithm.ECDSA)
    ]
    pairs = (
        (rsa.fingerprint, ecdsa.fingerprint)
        for rsa, ecdsa in zip(*shown, strict=True)
        if rsa.fingerprint and ecdsa.fingerprint and rsa.fingerprint != ecdsa.fingerprint
    )
    return tuple(dict.fromkeys(pairs))
