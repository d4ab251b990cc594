"""Certificate signing requests (PKCS#10): building and reading them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mailadmin.pki.der import is_der
from mailadmin.pki.keys import PrivateKey, describe_key, public_key_id
from mailadmin.pki.names import NameProblem, normalize_san
from mailadmin.pki.pem import decode_text, find_blocks
from mailadmin.pki.problems import Param, Problem
from mailadmin.pki.x509_fields import (
    alternative_names,
    choose_hash,
    read_attribute,
    read_san,
    to_printable,
)

CSR_LABEL = "CERTIFICATE REQUEST"
CSR_LABELS = frozenset({CSR_LABEL, "NEW CERTIFICATE REQUEST"})


class CsrProblem(ValueError):  # noqa: N818 - the word is shared with Problem
    """A request that cannot be built or read. ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


@dataclass(frozen=True)
class CsrSubject:
    """The subject of a request; every field may be empty, for public authorities ignore most."""

    common_name: str = ""
    organization: str = ""
    organizational_unit: str = ""
    locality: str = ""
    state: str = ""
    country: str = ""


_COUNTRY_LENGTH = 2
_COUNTRY_SHOWN = 20
# In the order in which a subject is written; the limits are RFC 5280's upper bounds (appendix A.1).
_FIELDS = (
    ("country", NameOID.COUNTRY_NAME, _COUNTRY_LENGTH),
    ("state", NameOID.STATE_OR_PROVINCE_NAME, 128),
    ("locality", NameOID.LOCALITY_NAME, 128),
    ("organization", NameOID.ORGANIZATION_NAME, 64),
    ("organizational_unit", NameOID.ORGANIZATIONAL_UNIT_NAME, 64),
    ("common_name", NameOID.COMMON_NAME, 64),
)


@dataclass(frozen=True)
class CsrFacts:
    """What a request says: ``names`` as A-labels and IP addresses, ``subject`` as RFC 4514 text."""

    names: tuple[str, ...]
    subject: str
    common_name: str
    key: str
    public_key_id: str


def subject_problems(subject: CsrSubject) -> list[Problem]:
    """Check every field of a subject; ``Problem.subject`` is the name of the field."""
    problems = []
    for name, _, limit in _FIELDS:
        text = _field_text(subject, name)
        params: dict[str, Param] = {"field": name}
        if not text.isprintable():
            problems.append(Problem("csr.field_unprintable", subject=name, params=params))
        elif name == "country" and not _is_country(text):
            params = {"country": text[:_COUNTRY_SHOWN]}
            problems.append(Problem("csr.country_invalid", subject=name, params=params))
        elif len(text) > limit:
            params["limit"] = limit
            problems.append(Problem("csr.field_too_long", subject=name, params=params))
    return problems


def _field_text(subject: CsrSubject, name: str) -> str:
    """Return a field as it is written into a request: a host name as A-labels."""
    text: str = getattr(subject, name).strip()
    if name == "country":
        return text.upper()
    if name == "common_name":
        try:
            return normalize_san(text)
        except NameProblem:
            return text  # a common name may be any text
    return text


def _is_country(text: str) -> bool:
    return not text or (len(text) == _COUNTRY_LENGTH and text.isascii() and text.isalpha())


def build_csr(key: PrivateKey, subject: CsrSubject, names: Sequence[str]) -> bytes:
    """Build and sign a request as PEM, for host names, wildcards and IP addresses.

    It asks for no extended key usage: some authorities refuse a request that names one.
    Raises :class:`CsrProblem` for a bad subject, and ``NameProblem`` for bad names.
    """
    problems = subject_problems(subject)
    if problems:
        raise CsrProblem(problems[0])
    builder = x509.CertificateSigningRequestBuilder(subject_name=_to_name(subject)).add_extension(
        alternative_names(names), critical=False
    )
    return builder.sign(key, choose_hash(key)).public_bytes(Encoding.PEM)


def read_csr(pem: bytes) -> CsrFacts:
    """Read the first request of a PEM text, or a DER one, and check its own signature.

    Raises :class:`CsrProblem` with ``csr.unreadable`` or ``csr.signature_wrong``.
    """
    try:
        csr = x509.load_der_x509_csr(_der_of(pem))
        facts = _facts_of(csr)
        is_signed = csr.is_signature_valid
    except CsrProblem:
        raise
    except Exception:  # parsers raise many types for hostile input, and all mean the same
        raise CsrProblem(Problem("csr.unreadable")) from None
    if not is_signed:
        raise CsrProblem(Problem("csr.signature_wrong"))
    return facts


def _facts_of(csr: x509.CertificateSigningRequest) -> CsrFacts:
    public_key = csr.public_key()
    return CsrFacts(
        names=read_san(csr.extensions),
        subject=to_printable(csr.subject.rfc4514_string()),
        common_name=read_attribute(csr.subject, NameOID.COMMON_NAME),
        key=describe_key(public_key),
        public_key_id=public_key_id(public_key),
    )


def _der_of(data: bytes) -> bytes:
    if is_der(data):
        return data
    for block in find_blocks(decode_text(data)):
        if block.label in CSR_LABELS and block.content:
            return block.content
    raise CsrProblem(Problem("csr.unreadable"))


def _to_name(subject: CsrSubject) -> x509.Name:
    texts = ((oid, _field_text(subject, name)) for name, oid, _ in _FIELDS)
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in texts if text])
