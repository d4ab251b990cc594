"""One certificate: reading its facts, and judging whether a mail server can serve it.

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

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailadmin.pki.der import is_der
from mailadmin.pki.keys import (
    UNKNOWN,
    UNSUPPORTED,
    PrivateKey,
    describe_key,
    key_problems,
    public_key_id,
)
from mailadmin.pki.names import is_usable_san
from mailadmin.pki.pem import armor, decode_text, find_blocks
from mailadmin.pki.problems import Param, Problem, Severity
from mailadmin.pki.x509_fields import (
    alternative_names,
    choose_hash,
    is_issued_by,
    read_attribute,
    read_san,
    to_printable,
)

CERTIFICATE_LABELS = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})

_WEAK_HASHES = frozenset({"md5", "sha1", UNKNOWN})
_USAGE_NAMES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
}
_KEY_USAGES = {
    "digital_signature": "digitalSignature",
    "content_commitment": "contentCommitment",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}
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
_MAX_TITLE = 100  # characters; more only a hostile certificate has


class CertificateProblem(ValueError):  # noqa: N818 - the word is shared with Problem
    """A certificate that cannot be read. ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


@dataclass(frozen=True)
class CertificateFacts:
    """What a certificate says.

    ``names`` are the SAN's host names as A-labels and its IP addresses, in order; ``key`` and
    ``signature_hash`` may be ``unknown``; an empty ``key_usages`` or ``extended_key_usages`` means
    that the certificate does not restrict its use.
    """

    der: bytes = field(repr=False)
    pem: str = field(repr=False)
    fingerprint: str
    subject: str
    common_name: str
    issuer: str
    issuer_common_name: str
    issuer_organization: str
    serial_hex: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    key: str
    public_key_id: str
    signature_hash: str
    is_ca: bool
    is_self_signed: bool
    key_usages: tuple[str, ...]
    extended_key_usages: tuple[str, ...]
    subject_key_id: str
    authority_key_id: str
    version: int

    @property
    def title(self) -> str:
        """The name people know it by: its common name, else its first name, else its subject."""
        known = self.common_name or next(iter(self.names), "") or self.subject or self.serial_hex
        return known[:_MAX_TITLE]

    @property
    def issuer_title(self) -> str:
        """The name people know the issuer by."""
        return (self.issuer_common_name or self.issuer_organization or self.issuer)[:_MAX_TITLE]

    def is_expired(self, now: datetime) -> bool:
        """Tell whether the last moment of validity (inclusive, RFC 5280) has passed."""
        return now > self.not_after

    def days_left(self, now: datetime) -> int:
        """Return whole days until the end, rounded down: -1 on the first day after it."""
        return (self.not_after - now).days

    def lifetime_left(self, now: datetime) -> float:
        """Return which part of the whole lifetime is left, from 1.0 (all) to 0.0 (none)."""
        lifetime = self.not_after - self.not_before
        if lifetime <= timedelta(0):
            return 0.0
        return min(1.0, max(0.0, (self.not_after - now) / lifetime))


def read_certificate(data: bytes) -> CertificateFacts:
    """Read the first certificate of a PEM text, or a DER one.

    Raises :class:`CertificateProblem` with ``certificate.unreadable``, and nothing else.
    """
    try:
        return _read_facts(x509.load_der_x509_certificate(_der_of(data)))
    except Exception:
        raise CertificateProblem(Problem("certificate.unreadable")) from None


def load_x509(facts: CertificateFacts) -> x509.Certificate:
    """Return the parsed certificate behind the facts."""
    return x509.load_der_x509_certificate(facts.der)


def _der_of(data: bytes) -> bytes:
    if is_der(data):
        return data
    blocks = find_blocks(decode_text(data))
    return next(block.content or b"" for block in blocks if block.label in CERTIFICATE_LABELS)


def _read_facts(certificate: x509.Certificate) -> CertificateFacts:
    der = certificate.public_bytes(Encoding.DER)
    public_key = _read_public_key(certificate)
    extensions = certificate.extensions
    return CertificateFacts(
        der=der,
        pem=armor("CERTIFICATE", der).decode(),
        fingerprint=hashlib.sha256(der).hexdigest(),
        subject=to_printable(certificate.subject.rfc4514_string()),
        common_name=read_attribute(certificate.subject, NameOID.COMMON_NAME),
        issuer=to_printable(certificate.issuer.rfc4514_string()),
        issuer_common_name=read_attribute(certificate.issuer, NameOID.COMMON_NAME),
        issuer_organization=read_attribute(certificate.issuer, NameOID.ORGANIZATION_NAME),
        serial_hex=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        names=read_san(extensions),
        key=describe_key(public_key) if public_key else UNKNOWN,
        public_key_id=public_key_id(public_key) if public_key else "",
        signature_hash=_read_signature_hash(certificate),
        is_ca=_is_ca(extensions),
        is_self_signed=is_issued_by(certificate, certificate),
        key_usages=_read_key_usages(extensions),
        extended_key_usages=_read_extended_key_usages(extensions),
        subject_key_id=_read_subject_key_id(extensions),
        authority_key_id=_read_authority_key_id(extensions),
        version=certificate.version.value + 1,
    )


def _read_public_key(certificate: x509.Certificate) -> PublicKeyTypes | None:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _read_signature_hash(certificate: x509.Certificate) -> str:
    """Return ``sha256`` and the like; ``""`` for a signature without one (Ed25519)."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return UNKNOWN
    return algorithm.name if algorithm else ""


def _is_ca(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _read_key_usages(extensions: x509.Extensions) -> tuple[str, ...]:
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name for attribute, name in _KEY_USAGES.items() if getattr(usage, attribute))


def _read_extended_key_usages(extensions: x509.Extensions) -> tuple[str, ...]:
    try:
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(_USAGE_NAMES.get(usage, usage.dotted_string) for usage in usages)


def _read_subject_key_id(extensions: x509.Extensions) -> str:
    try:
        return extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    except x509.ExtensionNotFound:
        return ""


def _read_authority_key_id(extensions: x509.Extensions) -> str:
    try:
        identifier = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return ""
    return (identifier.key_identifier or b"").hex()


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
    public_key = _read_public_key(load_x509(facts))
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
            names=", ".join(name[:_MAX_TITLE] for name in unusable[:_NAMES_SHOWN]),
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
