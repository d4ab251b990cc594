"""How the runner reaches the agent of a server, and what it adds to a state before it goes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from django.conf import settings

from mailadmin.agent.client import AgentClient
from mailadmin.agent.protocol import AgentError
from mailadmin.audit.request_id import current_request_id
from mailadmin.certificates.custody import open_key_pem
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.models import Certificate
from mailadmin.mailconf.state import CertificateMaterial, DesiredState
from mailadmin.servers.models import MailServer


def agent_of(server: MailServer) -> AgentClient:
    """Return the agent of the server."""
    socket = Path(server.agent_socket) if server.agent_socket else settings.AGENT_SOCKET
    return AgentClient(socket, current_request_id())


def with_material(state: DesiredState) -> DesiredState:
    """Return the state with the certificates it uses, keys opened for the agent's eyes.

    Raises :class:`AgentError` when a certificate is gone or its key cannot be opened.
    """
    wanted = state.used_fingerprints
    rows = {
        row.fingerprint: row
        for row in Certificate.objects.filter(fingerprint__in=wanted).select_related("private_key")
    }
    return state.with_certificates(_material(rows, fingerprint, state) for fingerprint in wanted)


def _material(
    rows: dict[str, Certificate], fingerprint: str, state: DesiredState
) -> CertificateMaterial:
    row = rows.get(fingerprint)
    known = state.certificate(fingerprint)
    if row is None or known is None:
        label = known.label if known else ""
        raise AgentError.because("material.certificate_gone", fingerprint, label=label)
    try:
        # A certificate that was found on the host has its key there, and only there.
        key_pem = open_key_pem(row.private_key) if row.private_key else ""
    except CustodyProblem as error:
        raise AgentError(error.problem) from None
    return replace(known, leaf_pem=row.leaf_pem, chain_pem=row.chain_pem, key_pem=key_pem)
