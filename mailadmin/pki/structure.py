"""The make of a certificate, whatever it is for: its form, its extensions, its key and signature.

A client that follows RFC 5280 refuses a certificate, leaf or intermediate, that is not made so.

===================================  ========  ==========  ========================================
code                                 severity  params      source
===================================  ========  ==========  ========================================
certificate.not_version_3            error     version     C13; RFC 5280 4.1.2.1; BR 7.1.1
certificate.serial_invalid           error                 RFC 5280 4.1.2.2: positive, 20 octets
certificate.serial_zero              warning               RFC 5280 4.1.2.2
certificate.issuer_empty             error                 RFC 5280 4.1.2.4
certificate.algorithms_differ        error                 RFC 5280 4.1.1.2
certificate.extension_twice          error     extensions  RFC 5280 4.2
certificate.extension_unreadable     error     extensions  RFC 5280 4.2
certificate.usages_empty             error                 RFC 5280 4.2.1.12: at least one
certificate.extensions_too_many      error     limit       own: bounded work
certificate.extension_unknown        error     extensions  RFC 5280 4.2: critical and not understood
certificate.precertificate           error                 RFC 6962 3.1
certificate.weak_signature           error     hash        C12; BR 7.1.3.2; RFC 9155
certificate.signature_unknown        error                 C12; BR 7.1.3.2
certificate.signature_sha224         warning   hash        C12; NCSC-NL 2025-05: phase out
certificate.signature_rare           warning   algorithm   BR 7.1.3.2; few mail programs verify it
key.*                                                      see :mod:`mailadmin.pki.key_rules`
===================================  ========  ==========  ========================================

Every problem also has the param ``name``: the title of the certificate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from mailadmin.pki.facts import CertificateFacts, certificate_problem, load_x509, read_public_key
from mailadmin.pki.key_rules import UNKNOWN, is_odd_form, raw_key_problems
from mailadmin.pki.keys import key_problems
from mailadmin.pki.problems import Problem, Severity
from mailadmin.pki.raw_fields import MAX_EXTENSIONS, RawFields, read_raw
from mailadmin.pki.x509_fields import OLD_ALGORITHMS

_VERSION_3 = 3
_LONGEST_SERIAL = 20  # octets
_EXTENSIONS_SHOWN = 3
_WEAK_HASHES = frozenset({"md5", "sha1", "md2", "md4"})
_FADING_HASHES = frozenset({"sha224", "sha3-224", "sha512-224"})
_GOOD_HASHES = frozenset({"sha256", "sha384", "sha512"})
_EXTENDED_KEY_USAGE = ExtensionOID.EXTENDED_KEY_USAGE.dotted_string
_EMPTY_SEQUENCE = b"\x30\x00"
_PRECERTIFICATE = ExtensionOID.PRECERT_POISON.dotted_string
# What mail programs work with when it is critical; anything else makes them refuse.
_UNDERSTOOD = frozenset(
    oid.dotted_string
    for oid in (
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.POLICY_MAPPINGS,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.TLS_FEATURE,
    )
)
_EXTENSION_NAMES = {
    oid.dotted_string: name
    for oid, name in (
        (ExtensionOID.BASIC_CONSTRAINTS, "basicConstraints"),
        (ExtensionOID.KEY_USAGE, "keyUsage"),
        (ExtensionOID.EXTENDED_KEY_USAGE, "extKeyUsage"),
        (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, "subjectAltName"),
        (ExtensionOID.NAME_CONSTRAINTS, "nameConstraints"),
        (ExtensionOID.CERTIFICATE_POLICIES, "certificatePolicies"),
        (ExtensionOID.AUTHORITY_KEY_IDENTIFIER, "authorityKeyIdentifier"),
        (ExtensionOID.SUBJECT_KEY_IDENTIFIER, "subjectKeyIdentifier"),
        (ExtensionOID.AUTHORITY_INFORMATION_ACCESS, "authorityInfoAccess"),
        (ExtensionOID.CRL_DISTRIBUTION_POINTS, "cRLDistributionPoints"),
        (ExtensionOID.TLS_FEATURE, "tlsFeature"),
        (ExtensionOID.ISSUER_ALTERNATIVE_NAME, "issuerAltName"),
        (ExtensionOID.INHIBIT_ANY_POLICY, "inhibitAnyPolicy"),
        (ExtensionOID.POLICY_CONSTRAINTS, "policyConstraints"),
        (ExtensionOID.POLICY_MAPPINGS, "policyMappings"),
        (
            ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS,
            "signed certificate timestamps",
        ),
    )
}
_RARE_ALGORITHMS = {
    SignatureAlgorithmOID.ED25519.dotted_string: "Ed25519",
    SignatureAlgorithmOID.ED448.dotted_string: "Ed448",
}
_FOREIGN_ALGORITHMS = frozenset(
    oid.dotted_string
    for oid in (
        SignatureAlgorithmOID.DSA_WITH_SHA256,
        SignatureAlgorithmOID.DSA_WITH_SHA384,
        SignatureAlgorithmOID.DSA_WITH_SHA512,
        SignatureAlgorithmOID.ML_DSA_44,
        SignatureAlgorithmOID.ML_DSA_65,
        SignatureAlgorithmOID.ML_DSA_87,
        SignatureAlgorithmOID.UNSIGNED,
    )
)


def structure_problems(facts: CertificateFacts) -> Iterator[Problem]:
    """Say what in the make of a leaf or an intermediate keeps clients from accepting it."""
    raw = read_raw(facts.der)
    yield from _form_problems(facts, raw)
    yield from _extension_problems(facts, raw)
    yield from _key_problems(facts, raw)
    yield from _signature_problems(facts)


def _form_problems(facts: CertificateFacts, raw: RawFields) -> Iterator[Problem]:
    if facts.version != _VERSION_3:
        yield certificate_problem("certificate.not_version_3", facts, version=facts.version)
    if raw.serial_number < 0 or len(raw.serial) > _LONGEST_SERIAL:
        yield certificate_problem("certificate.serial_invalid", facts)
    elif raw.serial_number == 0:
        yield certificate_problem("certificate.serial_zero", facts, Severity.WARNING)
    if raw.is_issuer_empty:
        yield certificate_problem("certificate.issuer_empty", facts)
    if not raw.is_algorithm_repeated:
        yield certificate_problem("certificate.algorithms_differ", facts)


def _extension_problems(facts: CertificateFacts, raw: RawFields) -> Iterator[Problem]:
    counts = Counter(extension.oid for extension in raw.extensions)
    unknown = _find_unknown(raw)
    if _PRECERTIFICATE in unknown:
        unknown.remove(_PRECERTIFICATE)
        yield certificate_problem("certificate.precertificate", facts)
    unreadable = set(facts.unreadable_extensions)
    if _EXTENDED_KEY_USAGE in unreadable and _EMPTY_SEQUENCE in (
        extension.value for extension in raw.extensions if extension.oid == _EXTENDED_KEY_USAGE
    ):
        unreadable.remove(_EXTENDED_KEY_USAGE)
        yield certificate_problem("certificate.usages_empty", facts)
    for code, oids in (
        ("certificate.extension_twice", (oid for oid, count in counts.items() if count > 1)),
        ("certificate.extension_unreadable", unreadable),
        ("certificate.extension_unknown", unknown),
    ):
        shown = _name_extensions(oids)
        if shown:
            yield certificate_problem(code, facts, extensions=shown)
    if len(raw.extensions) == MAX_EXTENSIONS:
        limit = MAX_EXTENSIONS - 1
        yield certificate_problem("certificate.extensions_too_many", facts, limit=limit)


def _find_unknown(raw: RawFields) -> set[str]:
    """Return the critical extensions that no mail program understands.

    The key identifiers are among them: RFC 5280 forbids to make them critical.
    """
    critical = {extension.oid for extension in raw.extensions if extension.is_critical}
    return critical - _UNDERSTOOD


def root_problems(facts: CertificateFacts) -> Iterator[Problem]:
    """Say what in the make of a root keeps clients from using it, though they know its key.

    Only what it asks of everybody who reads it: its critical extensions.
    """
    shown = _name_extensions(_find_unknown(read_raw(facts.der)))
    if shown:
        yield certificate_problem("certificate.extension_unknown", facts, extensions=shown)


def _name_extensions(oids: Iterable[str]) -> str:
    return ", ".join(
        _EXTENSION_NAMES.get(oid, oid) for oid in sorted(set(oids))[:_EXTENSIONS_SHOWN]
    )


def _key_problems(facts: CertificateFacts, raw: RawFields) -> Iterator[Problem]:
    public_key = read_public_key(load_x509(facts))
    is_plain = public_key is not None and not is_odd_form(raw.key)
    found = key_problems(public_key) if public_key and is_plain else raw_key_problems(raw.key)
    for problem in found:
        yield certificate_problem(problem.code, facts, problem.severity, **problem.params)


def _signature_problems(facts: CertificateFacts) -> Iterator[Problem]:
    """Judge how the certificate is signed. Not for roots: nobody verifies theirs."""
    algorithm = load_x509(facts).signature_algorithm_oid.dotted_string
    name = OLD_ALGORITHMS.get(algorithm, facts.signature_hash)
    rare = _RARE_ALGORITHMS.get(algorithm) or ("" if name in _GOOD_HASHES else name)
    if name in _WEAK_HASHES:
        yield certificate_problem("certificate.weak_signature", facts, hash=name)
    elif name in _FADING_HASHES:
        fading = Severity.WARNING
        yield certificate_problem("certificate.signature_sha224", facts, fading, hash=name)
    elif name == UNKNOWN or algorithm in _FOREIGN_ALGORITHMS:
        yield certificate_problem("certificate.signature_unknown", facts)
    elif rare:
        few = Severity.WARNING
        yield certificate_problem("certificate.signature_rare", facts, few, algorithm=rare)
