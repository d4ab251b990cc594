"""The end of a rehearsal: a certificate from the staging directory, looked at and thrown away."""

from __future__ import annotations

import time

from mailadmin.acme.client import AcmeFailure, Authority, OrderState
from mailadmin.acme.models import AcmeOrder
from mailadmin.acme.runner.claiming import keep
from mailadmin.pki.bundle import read_parts
from mailadmin.pki.csr import CsrSubject, build_csr
from mailadmin.pki.keys import KeyKind, generate_key
from mailadmin.pki.problems import Problem

# A rehearsal that is interrupted begins anew, so all of it is done in one go.
_PATIENCE = 60.0


def rehearse_issuance(order: AcmeOrder, authority: Authority, state: OrderState) -> None:
    """Have a certificate issued for a key that only this function knows, and check its names.

    Raises ``AcmeFailure``, also when the authority takes too long.
    """
    key = generate_key(KeyKind(order.acme_certificate.key_kind))
    csr = build_csr(key, CsrSubject(), order.names).decode()
    if state.status == "ready":
        state = authority.finalize(state.url, csr)
    until = time.monotonic() + _PATIENCE
    pause = 0.1
    while state.status in {"ready", "processing"}:
        if time.monotonic() > until:
            raise AcmeFailure(Problem("acme.too_slow", params={"seconds": int(_PATIENCE)}))
        time.sleep(state.retry_after if state.retry_after is not None else pause)
        pause = min(2 * pause, 1.0)
        keep(order)
        state = authority.read_order(state.url)
    if state.status != "valid":
        raise AcmeFailure(state.problem or Problem("acme.order_invalid"))
    _check(order, authority.download(state.certificate_url))


def _check(order: AcmeOrder, chain_pem: str) -> None:
    """Raise ``AcmeFailure`` if what came is not what was ordered."""
    parts = read_parts([chain_pem.encode()])
    names = set(parts.certificates[0].names) if parts.certificates else set()
    if names != set(order.names):
        params = {"names": ", ".join(sorted(names)[:5])}
        raise AcmeFailure(Problem("acme.other_names_issued", params=params))
