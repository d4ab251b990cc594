"""The end of a rehearsal: a certificate from the staging directory, looked at and thrown away."""

from __future__ import annotations

import time

from mailadmin.acme.client import AcmeFailure, Authority, OrderState
from mailadmin.acme.models import AcmeOrder
from mailadmin.acme.runner.claiming import keep
from mailadmin.acme.runner.events import tell
from mailadmin.agent.protocol import AgentError
from mailadmin.deployments.runner import rehearse_certificate
from mailadmin.pki.bundle import read_parts
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.csr import CsrSubject, build_csr
from mailadmin.pki.keys import KeyKind, PrivateKey, generate_key, private_key_to_pem
from mailadmin.pki.names import parse_address
from mailadmin.pki.problems import Problem

# A rehearsal that is interrupted begins anew, so all of it is done in one go.
_PATIENCE = 60.0
# Seconds in which an apply or another rehearsal on the host ends.
_TURN = 30.0
_BUSY = frozenset({"rehearsal.under_way", "rehearsal.apply_under_way"})


def rehearse_issuance(order: AcmeOrder, authority: Authority, state: OrderState) -> None:
    """Have a certificate issued for a key that only this function knows, and serve it once.

    Raises ``AcmeFailure``, also when the authority takes too long.
    """
    key = generate_key(KeyKind(order.acme_certificate.key_kind))
    csr = build_csr(key, CsrSubject(), order.names).decode()
    if state.status == "ready":
        state = authority.finalize(state.url, csr)
    until = time.monotonic() + _PATIENCE
    pause = 0.1
    while state.status in {"ready", "processing"}:
        wait = state.retry_after if state.retry_after is not None else pause
        if time.monotonic() + wait > until:
            raise AcmeFailure(Problem("acme.too_slow", params={"seconds": int(_PATIENCE)}))
        time.sleep(wait)
        pause = min(2 * pause, 1.0)
        keep(order)
        state = authority.read_order(state.url)
    if state.status != "valid":
        raise AcmeFailure(state.problem or Problem("acme.order_invalid"))
    leaf, *chain = _check(order, authority.download(state.certificate_url))
    _try_on(order, leaf, chain, key)


def _try_on(
    order: AcmeOrder, leaf: CertificateFacts, chain: list[CertificateFacts], key: PrivateKey
) -> None:
    """Serve it from a mail server made for it alone; raise ``AcmeFailure`` unless it is proven."""
    server = order.acme_certificate.server
    if server is None:
        return
    key_pem = private_key_to_pem(key).decode()
    chain_pem = "".join(facts.pem for facts in chain)
    until = time.monotonic() + _TURN
    while True:
        try:
            seen = rehearse_certificate(server, leaf.pem, chain_pem, key_pem, names=_hosts(order))
        except AgentError as error:
            if error.problem.code not in _BUSY or time.monotonic() > until:
                raise AcmeFailure(error.problem) from None
        else:
            tell(order, "acme.rehearsed_on_wire", ports=len(seen))
            return
        keep(order)
        time.sleep(1.0)


def _hosts(order: AcmeOrder) -> list[str]:
    """Return the names that a client can ask for."""
    return [name for name in order.names if "*" not in name and parse_address(name) is None]


def _check(order: AcmeOrder, chain_pem: str) -> list[CertificateFacts]:
    """Return what came, the leaf first; raise ``AcmeFailure`` if it is not what was ordered."""
    parts = read_parts([chain_pem.encode()])
    names = set(parts.certificates[0].names) if parts.certificates else set()
    if names != set(order.names):
        params = {"names": ", ".join(sorted(names)[:5])}
        raise AcmeFailure(Problem("acme.other_names_issued", params=params))
    return list(parts.certificates)
