"""What to ask for when a certificate is renewed: all that it says, as far as it can be asked again.

============================  ========  ==========================================================
code                          severity  params
============================  ========  ==========================================================
csr.renewal_names_left_out    warning   names, count: they can match no host
csr.renewal_names_cut         warning   count, limit: more than one request can hold
csr.renewal_field_left_out    info      field: no request can hold what it says
============================  ========  ==========================================================
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import NameOID

from mailadmin.pki.csr import CsrSubject, fitting_common_name, subject_problems
from mailadmin.pki.facts import MAX_TITLE, CertificateFacts, load_x509, read_public_key
from mailadmin.pki.keys import KeyKind, key_problems
from mailadmin.pki.names import NameProblem, normalize_san, parse_address
from mailadmin.pki.problems import Param, Problem, Severity
from mailadmin.pki.weak_keys import NO_KNOWN_KEYS, KnownKeys, key_digest, listed_key_problems
from mailadmin.pki.x509_fields import MAX_NAMES, read_attribute

_NAMES_SHOWN = 5
_FIELDS = (
    ("organization", NameOID.ORGANIZATION_NAME),
    ("organizational_unit", NameOID.ORGANIZATIONAL_UNIT_NAME),
    ("locality", NameOID.LOCALITY_NAME),
    ("state", NameOID.STATE_OR_PROVINCE_NAME),
    ("country", NameOID.COUNTRY_NAME),
)
_CURVES = {"ECDSA P-384": KeyKind.ECDSA_P384, "ECDSA P-521": KeyKind.ECDSA_P384}
_RSA = re.compile(r"RSA (\d+)")
_RSA_KINDS = ((2048, KeyKind.RSA_2048), (3072, KeyKind.RSA_3072))


@dataclass(frozen=True)
class Renewal:
    """What a renewal asks for: ``names`` with the main one first, and the kind of a new key.

    ``problems`` say what of the certificate cannot be asked for again; ``key_problems`` why its
    key cannot be kept.
    """

    names: tuple[str, ...]
    subject: CsrSubject
    key_kind: KeyKind
    problems: tuple[Problem, ...] = ()
    key_problems: tuple[Problem, ...] = ()


def plan_renewal(facts: CertificateFacts, known_keys: KnownKeys = NO_KNOWN_KEYS) -> Renewal:
    """Return what to ask for to get such a certificate again. Never raises for odd certificates.

    A key of which arithmetic or ``known_keys`` show that others have it cannot be kept.
    """
    names, left_out = _sort_names(facts)
    asked = names[:MAX_NAMES]
    problems = []
    if left_out:
        shown = ", ".join(name[:MAX_TITLE] for name in left_out[:_NAMES_SHOWN])
        params: dict[str, Param] = {"names": shown, "count": len(left_out)}
        problems.append(Problem("csr.renewal_names_left_out", Severity.WARNING, params=params))
    if len(names) > MAX_NAMES:
        counts = {"count": len(names), "limit": MAX_NAMES}
        problems.append(Problem("csr.renewal_names_cut", Severity.WARNING, params=counts))
    certificate = load_x509(facts)
    fields, lost = _read_fields(certificate.subject)
    problems += [
        Problem("csr.renewal_field_left_out", Severity.INFO, params={"field": name})
        for name in lost
    ]
    common_name = fitting_common_name(asked[0]) if asked else ""
    public_key = read_public_key(certificate)
    return Renewal(
        names=tuple(asked),
        subject=CsrSubject(common_name=common_name, **fields),
        key_kind=_nearest_kind(facts.key),
        problems=tuple(problems),
        key_problems=tuple(
            Problem(item.code, params={"name": facts.title, **item.params})
            for item in _find_key_problems(public_key, known_keys)
            if item.severity is Severity.ERROR
        ),
    )


def request_command(renewal: Renewal) -> str:
    """Return the shell command that asks for the same with a key that is in a file elsewhere."""
    names = ",".join(f"{'IP' if parse_address(name) else 'DNS'}:{name}" for name in renewal.names)
    subject = f"/CN={renewal.subject.common_name}" if renewal.subject.common_name else "/"
    return (
        "openssl req -new -key KEY-FILE -out request.csr "
        f'-subj "{subject}" -addext "subjectAltName={names}"'
    )


def _find_key_problems(
    public_key: PublicKeyTypes | None, known_keys: KnownKeys
) -> Sequence[Problem]:
    if public_key is None:
        return [_UNKNOWN_KEY]
    return [*key_problems(public_key), *listed_key_problems(key_digest(public_key), known_keys)]


_UNKNOWN_KEY = Problem("key.unsupported", params={"key": "unknown"})


def _sort_names(facts: CertificateFacts) -> tuple[list[str], list[str]]:
    """Return the names to ask for, the one in the common name first, and those that are lost."""
    good: dict[str, None] = {}
    bad = []
    for name in facts.names or (facts.common_name,):
        try:
            good[normalize_san(name)] = None
        except NameProblem:
            bad.append(name)
    main = facts.common_name.lower()
    return sorted(good, key=lambda name: name != main), [name for name in bad if name]


def _read_fields(subject: x509.Name) -> tuple[dict[str, str], list[str]]:
    """Return the fields that a request can repeat, and the names of those that it cannot."""
    fields: dict[str, str] = {}
    lost = []
    for name, oid in _FIELDS:
        text = read_attribute(subject, oid).strip()
        if subject_problems(CsrSubject(**{name: text})):
            lost.append(name)
        elif text:
            fields[name] = text
    return fields, lost


def _nearest_kind(key: str) -> KeyKind:
    """Return the kind most like a key that is told as ``RSA 2048`` or ``ECDSA P-256``."""
    size = _RSA.fullmatch(key)
    if size is None:
        return _CURVES.get(key, KeyKind.ECDSA_P256)
    bits = int(size[1])
    return next((kind for limit, kind in _RSA_KINDS if bits <= limit), KeyKind.RSA_4096)
