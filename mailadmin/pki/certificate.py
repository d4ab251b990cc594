"""One certificate: judging whether a mail server can serve it, and making one that it can.

===========================  ========  ==========================================================
code                         severity  params (each also has ``name``: what the certificate is for)
===========================  ========  ==========================================================
certificate.unreadable       error     raised by the reader; no params
certificate.expired          error     not_after
certificate.not_yet_valid    error     not_before
certificate.not_for_servers  error     lacks: ``serverAuth`` or ``digitalSignature``
certificate.is_ca            error
certificate.no_usable_name   error
certificate.weak_signature   error     hash
key.rsa_too_small            error     bits, minimum
key.unsupported              error     key
certificate.self_signed      warning
certificate.expires_soon     warning   not_after, days
certificate.unusable_names   warning   names, count
certificate.long_lived       info      days, limit
===========================  ========  ==========================================================

``Problem.subject`` is the fingerprint of the certificate. Times are ISO 8601 text, in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailadmin.pki.facts import (
    CERTIFICATE_LABELS,
    MAX_TITLE,
    CertificateFacts,
    CertificateProblem,
    load_x509,
    read_certificate,
    read_public_key,
)
from mailadmin.pki.keys import UNKNOWN, UNSUPPORTED, PrivateKey, key_problems
from mailadmin.pki.names import is_usable_san
from mailadmin.pki.problems import Param, Problem, Severity
from mailadmin.pki.x509_fields import alternative_names, choose_hash

__all__ = [
    "CERTIFICATE_LABELS",
    "CertificateFacts",
    "CertificateProblem",
    "certificate_problem",
    "judge_leaf",
    "load_x509",
    "make_self_signed",
    "read_certificate",
    "strength_problems",
]

_WEAK_HASHES = frozenset({"md5", "sha1", UNKNOWN})
# Longest validity that public authorities may give, by the day of issue (CA/Browser Forum
# Baseline Requirements, 6.3.2); the newest first.
_VALIDITY_LIMITS = (
    (datetime(2029, 3, 15, tzinfo=UTC), 47),
    (datetime(2027, 3, 15, tzinfo=UTC), 100),
    (datetime(2026, 3, 15, tzinfo=UTC), 200),
    (datetime(2020, 9, 1, tzinfo=UTC), 398),
)
_OLDEST_LIMIT = 825
_SHORT_LIFETIME = timedelta(days=10)
_CLOCK_TOLERANCE = timedelta(hours=1)
_NAMES_SHOWN = 3


def judge_leaf(facts: CertificateFacts, now: datetime) -> list[Problem]:
    """Say all that keeps mail clients from accepting a server certificate, and what to watch."""
    return [
        *_validity_problems(facts, now),
        *_use_problems(facts),
        *strength_problems(facts),
        *_name_problems(facts),
        *_lifetime_problems(facts, now),
    ]


def certificate_problem(
    code: str, facts: CertificateFacts, severity: Severity = Severity.ERROR, **params: Param
) -> Problem:
    """Build a problem that names the certificate it is about."""
    return Problem(code, severity, facts.fingerprint, {"name": facts.title, **params})


def _validity_problems(facts: CertificateFacts, now: datetime) -> Iterator[Problem]:
    if facts.is_expired(now):
        yield certificate_problem(
            "certificate.expired", facts, not_after=facts.not_after.isoformat()
        )
    elif now < facts.not_before:
        yield certificate_problem(
            "certificate.not_yet_valid", facts, not_before=facts.not_before.isoformat()
        )


def _use_problems(facts: CertificateFacts) -> Iterator[Problem]:
    usages, extended = facts.key_usages, facts.extended_key_usages
    if facts.is_ca:
        yield certificate_problem("certificate.is_ca", facts)
    if extended and "serverAuth" not in extended:
        yield certificate_problem("certificate.not_for_servers", facts, lacks="serverAuth")
    elif usages and "digitalSignature" not in usages:
        # RFC 8446, section 4.4.2.2; TLS 1.2 without it would need a key exchange nobody offers.
        yield certificate_problem("certificate.not_for_servers", facts, lacks="digitalSignature")


def strength_problems(facts: CertificateFacts) -> Iterator[Problem]:
    """Say what is too weak in a leaf or an intermediate: its key or its signature."""
    public_key = read_public_key(load_x509(facts))
    problems = (
        key_problems(public_key) if public_key else [Problem(UNSUPPORTED, params={"key": UNKNOWN})]
    )
    for problem in problems:
        yield certificate_problem(problem.code, facts, problem.severity, **problem.params)
    if facts.signature_hash in _WEAK_HASHES:
        yield certificate_problem("certificate.weak_signature", facts, hash=facts.signature_hash)


def _name_problems(facts: CertificateFacts) -> Iterator[Problem]:
    unusable = [name for name in facts.names if not is_usable_san(name)]
    if len(unusable) == len(facts.names):
        yield certificate_problem("certificate.no_usable_name", facts)
    elif unusable:
        yield certificate_problem(
            "certificate.unusable_names",
            facts,
            Severity.WARNING,
            names=", ".join(name[:MAX_TITLE] for name in unusable[:_NAMES_SHOWN]),
            count=len(unusable),
        )


def _lifetime_problems(facts: CertificateFacts, now: datetime) -> Iterator[Problem]:
    lifetime = facts.not_after - facts.not_before
    renewal_share = 1 / 2 if lifetime < _SHORT_LIFETIME else 1 / 3
    if not facts.is_expired(now) and facts.lifetime_left(now) < renewal_share:
        yield certificate_problem(
            "certificate.expires_soon",
            facts,
            Severity.WARNING,
            not_after=facts.not_after.isoformat(),
            days=facts.days_left(now),
        )
    if facts.is_self_signed:
        yield certificate_problem("certificate.self_signed", facts, Severity.WARNING)
        return
    limits = (days for since, days in _VALIDITY_LIMITS if facts.not_before >= since)
    limit = next(limits, _OLDEST_LIMIT)
    if lifetime >= timedelta(days=limit):  # both ends count: a whole number of days is one too long
        yield certificate_problem(
            "certificate.long_lived", facts, Severity.INFO, days=lifetime.days, limit=limit
        )


def make_self_signed(
    key: PrivateKey, names: Sequence[str], now: datetime, days: int = 365
) -> bytes:
    """Make a server certificate signed by its own key, as PEM, for a start without an authority.

    It is valid from an hour before ``now``, so that a client whose clock is behind accepts it.
    Raises ``NameProblem`` for names that cannot be used.
    """
    san = alternative_names(names)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _choose_common_name(san))])
    begin = now.replace(microsecond=0)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    server_use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - _CLOCK_TOLERANCE)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(server_use, critical=False)
        .add_extension(san, critical=False)
        .add_extension(key_id, critical=False)
        .sign(key, choose_hash(key))
    )
    return certificate.public_bytes(Encoding.PEM)


def _choose_common_name(san: x509.SubjectAlternativeName) -> str:
    """Return the first name that fits into a common name (64 characters)."""
    names = (str(entry.value) for entry in san)
    return next((name for name in names if len(name) <= 64), "mail server")
