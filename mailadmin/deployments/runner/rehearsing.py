"""Have a certificate served beside the real mail server, before anything depends on it."""

from __future__ import annotations

from collections.abc import Sequence

from mailadmin.agent.protocol import AgentError
from mailadmin.deployments.runner.asking import agent_of
from mailadmin.mailconf.proof import Seen
from mailadmin.mailconf.state import CertificateMaterial, DesiredState
from mailadmin.pki.certificate import CertificateProblem, read_certificate
from mailadmin.pki.names import is_usable_san
from mailadmin.servers.models import MailServer

# Of a certificate with more, the rest is not asked about.
_MOST_NAMES = 100


def rehearse_certificate(
    server: MailServer,
    leaf_pem: str,
    chain_pem: str,
    key_pem: str,
    *,
    names: Sequence[str] = (),
) -> list[Seen]:
    """Return what a mail server made for this certificate alone showed, proven, on its ports.

    It runs for about half a second, ten at the most, on the host of ``server``, from the host's
    own Postfix and Dovecot and with the TLS profile of ``server``; the real one is not touched.
    ``names`` are those that clients will use (A-labels; without any, the certificate's own). The
    key is kept nowhere. Raises ``AgentError`` if the certificate is not served as wanted, and with
    ``rehearsal.under_way`` or ``rehearsal.apply_under_way`` where asking again later helps.
    """
    try:
        leaf = read_certificate(leaf_pem.encode())
    except CertificateProblem:
        raise AgentError.because("rehearsal.leaf_unreadable") from None
    material = CertificateMaterial(
        fingerprint=leaf.fingerprint,
        label=leaf.names[0] if leaf.names else leaf.common_name,
        names=leaf.names,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        leaf_pem=leaf_pem,
        chain_pem=chain_pem,
        key_pem=key_pem,
    )
    state = DesiredState(
        host_name=server.host_name,
        listeners=(),
        default_certificate=leaf.fingerprint,
        certificates=(material,),
        tls_profile=server.tls_profile,
    )
    return agent_of(server).rehearse(state, names or _askable(leaf.names))


def _askable(names: Sequence[str]) -> list[str]:
    """Leave out what no client can ask for; a certificate may have hundreds of names."""
    return [name for name in names if is_usable_san(name)][:_MOST_NAMES]
