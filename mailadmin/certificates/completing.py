"""Completing the chain of a certificate that is stored, by the rules that hold for uploads."""

from __future__ import annotations

from datetime import datetime

from mailadmin.audit.actors import Actor
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.fetching_issuers import fetch_issuer, find_offer
from mailadmin.certificates.judging import judge_completed, judge_stored
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.services import complete_chain
from mailadmin.pki.bundle import Verdict
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.problems import Problem, Severity


def fetch_missing(
    *, actor: Actor, certificate: Certificate, address: str, now: datetime
) -> CertificateFacts | None:
    """Fetch what the chain lacks from an address that it offers, and store it.

    Returns what was fetched, or ``None`` if nothing is missing any more. Raises
    :class:`~mailadmin.certificates.fetching.FetchProblem`, and :class:`CertificateRefusedError`
    where the chain would be refused for what it was completed with.
    """
    before = judge_stored(certificate, now)
    offer = find_offer(before)
    if offer is None:
        return None
    issuer = fetch_issuer(actor=actor, offer=offer, address=address)
    verdict = judge_completed(certificate, issuer, now)
    # What was wrong before is no reason to keep the gap as well.
    new_errors = [problem for problem in _errors(verdict) if problem not in _errors(before)]
    if new_errors:
        raise CertificateRefusedError(*new_errors)
    complete_chain(actor=actor, certificate=certificate, verdict=verdict)
    return issuer


def _errors(verdict: Verdict) -> list[Problem]:
    return [problem for problem in verdict.problems if problem.severity is Severity.ERROR]
