"""Which request an upload answers, how the two differ, and what is known of a key that is not here.

What it says is added to the verdict; it refuses nothing.
"""

from __future__ import annotations

from dataclasses import replace

from mailadmin.certificates import selectors
from mailadmin.certificates.models import Certificate, CertificateSigningRequest
from mailadmin.pki.bundle import KeySource, Parts, Verdict
from mailadmin.pki.certificate import CertificateFacts, read_certificate
from mailadmin.pki.csr import read_csr
from mailadmin.pki.csr_judging import compare_with_answer
from mailadmin.pki.keys import public_key_id
from mailadmin.pki.offered import read_certificates
from mailadmin.pki.problems import Problem, Severity

_BY_SEVERITY = list(Severity)


def add_stored_certificate(parts: Parts) -> Parts:
    """Return the parts with the stored certificate that an uploaded key alone belongs to.

    The newest of them, with its chain; so a key that comes later is matched.
    """
    if parts.certificates or not parts.private_keys:
        return parts
    key_ids = [public_key_id(key) for key in parts.private_keys]
    row = selectors.find_newest_with_key(key_ids)
    if row is None:
        waiting = selectors.find_waiting_requests(key_ids)
        hints = [_about(csr, "csr.key_of_tracked") for csr in waiting if csr.is_key_elsewhere]
        return replace(parts, problems=(*parts.problems, *hints))
    certificates = read_stored(row)
    leaf = certificates[0]
    told = Problem("key.completes_stored", Severity.INFO, params={"name": leaf.title})
    return replace(
        parts,
        certificates=certificates,
        problems=(*parts.problems, told),
    )


def read_stored(certificate: Certificate) -> tuple[CertificateFacts, ...]:
    """Return all that is here of a certificate: itself, its chain, a private root."""
    above = (certificate.chain_pem + certificate.root_pem).encode()
    return read_certificate(certificate.leaf_pem.encode()), *read_certificates(above)


def add_answer(verdict: Verdict) -> Verdict:
    """Return the verdict with what a comparison with the requests that wait here shows."""
    if verdict.leaf is None:
        return verdict
    found = [*verdict.problems, *_answer_problems(verdict.leaf), *_key_problems(verdict)]
    problems = sorted(found, key=lambda problem: _BY_SEVERITY.index(problem.severity))
    return replace(verdict, problems=tuple(problems))


def _answer_problems(leaf: CertificateFacts) -> list[Problem]:
    for csr in selectors.find_waiting_requests([leaf.public_key_id]):
        if selectors.is_answer(csr, leaf):
            facts = read_csr(csr.pem.encode())
            return [_about(csr, "csr.answered"), *compare_with_answer(facts, leaf)]
    same_names = selectors.find_waiting_for(leaf.names)
    if same_names is None or selectors.is_stored(leaf.fingerprint):
        return []
    return compare_with_answer(read_csr(same_names.pem.encode()), leaf)


def _key_problems(verdict: Verdict) -> list[Problem]:
    """Say what is known of a key that is elsewhere."""
    if verdict.leaf is None or verdict.key_source is not KeySource.ELSEWHERE:
        return []
    waiting = selectors.find_waiting_requests([verdict.leaf.public_key_id])
    if waiting:
        return [_about(waiting[0], "csr.key_elsewhere")]
    return [Problem("key.on_mail_server", Severity.INFO, params={"name": verdict.leaf.title})]


def _about(csr: CertificateSigningRequest, code: str) -> Problem:
    return Problem(code, Severity.INFO, subject=str(csr.pk), params={"name": str(csr)})
