"""One certificate: judging whether a mail server can serve it, and making one that it can.

===============================  ========  ======  ===============================================
code                             severity  params  source
===============================  ========  ======  ===============================================
certificate.unreadable           error             raised by the reader
certificate.not_for_servers      error     lacks   C13; BR 7.1.2.7.10; RFC 8446 4.4.2.2
certificate.is_ca                error             C13; BR 7.1.2.7.8
certificate.no_server_usage      warning           BR 7.1.2.7.10; Apple: no EKU at all
certificate.any_usage            warning           BR 7.1.2.7.10: anyExtendedKeyUsage
certificate.signs_certificates   warning           RFC 5280 4.2.1.3: keyCertSign without being a CA
certificate.must_staple          warning           T15; RFC 7633: Postfix and Dovecot do not staple
certificate.self_signed          warning           C3
===============================  ========  ======  ===============================================

To these come the problems of :mod:`structure`, :mod:`lifetimes` and :mod:`san`. ``lacks`` is
``serverAuth`` or ``digitalSignature``. Every problem also has the param ``name``, what the
certificate is for, and ``Problem.subject`` is its fingerprint. C1 to C15 are the items of that name
in the project's list of standards; BR are the Baseline Requirements of the CA/Browser Forum 2.2.6;
numbers without a word are sections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from mailadmin.pki.facts import (
    CERTIFICATE_LABELS,
    CertificateFacts,
    CertificateProblem,
    certificate_problem,
    load_x509,
    read_certificate,
)
from mailadmin.pki.keys import PrivateKey
from mailadmin.pki.lifetimes import lifetime_problems
from mailadmin.pki.problems import Problem, Severity
from mailadmin.pki.raw_fields import RawFields, read_raw
from mailadmin.pki.san import san_problems
from mailadmin.pki.structure import structure_problems
from mailadmin.pki.x509_fields import alternative_names, choose_hash

__all__ = [
    "CERTIFICATE_LABELS",
    "CertificateFacts",
    "CertificateProblem",
    "asks_for_stapling",
    "certificate_problem",
    "judge_leaf",
    "load_x509",
    "make_self_signed",
    "read_certificate",
]

_CLOCK_TOLERANCE = timedelta(hours=1)
_ANY_USAGE, _SERVER_USAGE = "anyExtendedKeyUsage", "serverAuth"
_MUST_STAPLE = b"\x02\x01\x05"  # the feature status_request (RFC 7633, section 6)


def judge_leaf(facts: CertificateFacts, now: datetime, *, is_public: bool = False) -> list[Problem]:
    """Say all that keeps mail clients from accepting a server certificate, and what to watch.

    ``is_public``: its chain leads to a public authority, which is bound to stricter rules.
    """
    raw = read_raw(facts.der)
    return [
        *lifetime_problems(facts, now, is_public=is_public),
        *_use_problems(facts, raw),
        *structure_problems(facts),
        *san_problems(facts, raw),
        *_issuer_problems(facts),
    ]


def _use_problems(facts: CertificateFacts, raw: RawFields) -> Iterator[Problem]:
    usages, extended = facts.key_usages, facts.extended_key_usages
    if facts.is_ca:
        yield certificate_problem("certificate.is_ca", facts)
    elif "keyCertSign" in usages:
        yield certificate_problem("certificate.signs_certificates", facts, Severity.WARNING)
    if extended and _SERVER_USAGE not in extended:
        yield certificate_problem("certificate.not_for_servers", facts, lacks=_SERVER_USAGE)
    elif usages and "digitalSignature" not in usages:
        # RFC 8446, section 4.4.2.2; TLS 1.2 without it would need a key exchange nobody offers.
        yield certificate_problem("certificate.not_for_servers", facts, lacks="digitalSignature")
    if not extended:
        yield certificate_problem("certificate.no_server_usage", facts, Severity.WARNING)
    elif _ANY_USAGE in extended and _SERVER_USAGE in extended:
        yield certificate_problem("certificate.any_usage", facts, Severity.WARNING)
    if _has_must_staple(raw):
        yield certificate_problem("certificate.must_staple", facts, Severity.WARNING)


def asks_for_stapling(facts: CertificateFacts) -> bool:
    """Tell whether the certificate wants a stapled answer of OCSP (must-staple, RFC 7633)."""
    return _has_must_staple(read_raw(facts.der))


def _has_must_staple(raw: RawFields) -> bool:
    features = raw.find_values(ExtensionOID.TLS_FEATURE.dotted_string)
    return any(_MUST_STAPLE in value for value in features)


def _issuer_problems(facts: CertificateFacts) -> Iterator[Problem]:
    if facts.is_self_signed:
        yield certificate_problem("certificate.self_signed", facts, Severity.WARNING)


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
