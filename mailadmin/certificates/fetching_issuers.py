"""Completing a chain from where the authority itself offers its certificate.

That is only done when somebody asks for it, after they were shown the address: the request tells
the authority, and everybody on the way, that this machine has the certificate.

======================  ==========================================================================
code                    params (each also has ``address``)
======================  ==========================================================================
fetch.no_certificate
fetch.not_the_issuer    issuer: who should have been there
fetch.not_offered
======================  ==========================================================================

To these come the codes of :mod:`mailadmin.certificates.fetching`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.bounded import ReadingProblem, read_offered
from mailadmin.certificates.fetching import Fetched, FetchProblem, fetch
from mailadmin.certificates.sentences import say
from mailadmin.pki.bundle import Verdict
from mailadmin.pki.certificate import (
    CertificateFacts,
    load_x509,
)
from mailadmin.pki.problems import Problem
from mailadmin.pki.x509_fields import is_issued_by


@dataclass(frozen=True, slots=True)
class Offer:
    """Where the issuer of the topmost certificate may be had, as that certificate says."""

    below: CertificateFacts
    addresses: tuple[str, ...]

    @property
    def issuer(self) -> str:
        """The name of what is missing."""
        return self.below.issuer_title


def find_offer(verdict: Verdict) -> Offer | None:
    """Return where the missing certificate is offered, if one is missing and it is offered."""
    leaf = verdict.leaf
    if leaf is None or leaf.is_self_signed or verdict.anchor is not None:
        return None
    top = (verdict.chain or (leaf,))[-1]
    return Offer(top, top.ca_issuers) if top.ca_issuers else None


def fetch_issuer(*, actor: Actor, offer: Offer, address: str) -> CertificateFacts:
    """Fetch the missing certificate from one of the offered addresses; nothing is stored.

    It takes five seconds at most, and is recorded whether it works or not. Raises
    :class:`~mailadmin.certificates.fetching.FetchProblem`.
    """
    try:
        found, issuer = _fetch(offer, address)
    except FetchProblem as error:
        _record(actor, offer, {"address": address[:500]}, failure=say(error.problem))
        raise
    after = {
        "address": found.address,
        "ip": found.ip,
        "fingerprint": issuer.fingerprint,
        "subject": issuer.subject,
    }
    _record(actor, offer, after)
    return issuer


def _fetch(offer: Offer, address: str) -> tuple[Fetched, CertificateFacts]:
    if address not in offer.addresses:
        raise FetchProblem(Problem("fetch.not_offered", params={"address": address[:500]}))
    found = fetch(address, is_private_allowed=settings.IS_PRIVATE_FETCH_ALLOWED)
    try:
        certificates = read_offered(found.content)
    except ReadingProblem as error:
        raise FetchProblem(error.problem) from None
    if not certificates:
        raise FetchProblem(Problem("fetch.no_certificate", params={"address": address}))
    issuer = _choose_issuer(offer.below, certificates)
    if issuer is None:
        params = {"address": address, "issuer": offer.issuer}
        raise FetchProblem(Problem("fetch.not_the_issuer", params=params))
    return found, issuer


def _choose_issuer(
    below: CertificateFacts, certificates: Iterable[CertificateFacts]
) -> CertificateFacts | None:
    """Return the one whose key signed the certificate below; names alone prove nothing."""
    parsed = load_x509(below)
    return next((facts for facts in certificates if is_issued_by(parsed, load_x509(facts))), None)


def _record(actor: Actor, offer: Offer, after: dict[str, Any], *, failure: str = "") -> None:
    with transaction.atomic():
        record_event(
            actor=actor,
            verb="authority.fetched",
            object_type="authority",
            object_label=offer.issuer,
            after=after | {"for": offer.below.title},
            outcome="failed" if failure else "ok",
            reason=failure,
        )
