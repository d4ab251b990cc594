"""Certificate signing requests (PKCS#10): building and reading them.

What is wrong with one, and how an answer differs from it: see ``csr_judging``.

====================  ========  ==========  ======================================================
code                  severity  params      source
====================  ========  ==========  ======================================================
csr.unreadable        error                 RFC 2986 4
csr.signature_wrong   error                 RFC 2986 4.2
csr.weak_signature    error     hash        C12; BR 7.1.3.2
====================  ========  ==========  ======================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID, NameOID

from mailadmin.pki.der import (
    BIT_STRING,
    CONTEXT_0,
    INTEGER,
    SEQUENCE,
    DerError,
    begins_with_integer,
    is_der,
    read_element,
)
from mailadmin.pki.facts import (
    CERTIFICATE_LABELS,
    MAX_TITLE,
    UNREADABLE,
    CertificateProblem,
    read_basic_constraints,
    read_certificate,
    read_extended_key_usages,
)
from mailadmin.pki.keys import KEY_LABELS, PrivateKey, describe_key, key_problems, public_key_id
from mailadmin.pki.names import NameProblem, normalize_san
from mailadmin.pki.pem import armor, decode_text, find_blocks
from mailadmin.pki.problems import Param, Problem, Severity
from mailadmin.pki.weak_keys import key_digest
from mailadmin.pki.x509_fields import (
    OLD_ALGORITHMS,
    alternative_names,
    choose_hash,
    read_attribute,
    read_san,
    to_printable,
)

CSR_LABEL = "CERTIFICATE REQUEST"
CSR_LABELS = frozenset({CSR_LABEL, "NEW CERTIFICATE REQUEST"})
MAX_CSR_BYTES = 64 * 1024  # a hundred names of the greatest length take less than half of it
WEAK_HASHES = frozenset({"md2", "md4", "md5", "sha1"})
_SIGNED_TAGS = [SEQUENCE, SEQUENCE, BIT_STRING]
_REQUEST_TAGS = [INTEGER, SEQUENCE, SEQUENCE, CONTEXT_0]
MAX_COMMON_NAME = 64  # characters; RFC 5280, appendix A.1


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
    ("common_name", NameOID.COMMON_NAME, MAX_COMMON_NAME),
)


@dataclass(frozen=True)
class CsrFacts:
    """What a request says: ``names`` as A-labels and IP addresses, ``subject`` as RFC 4514 text.

    ``key_problems`` say why no authority signs its key, and ``key_digest`` is by what lists of
    known keys have it; ``extended_key_usages`` are the uses that
    it asks for (none: it leaves them to the authority, as it should).
    """

    names: tuple[str, ...]
    subject: str
    common_name: str
    key: str
    public_key_id: str
    key_problems: tuple[Problem, ...] = ()
    key_digest: bytes | None = None
    extended_key_usages: tuple[str, ...] = ()
    asks_to_be_ca: bool = False
    asks_for_stapling: bool = False
    has_challenge_password: bool = False
    der: bytes = field(default=b"", repr=False, compare=False)

    @property
    def title(self) -> str:
        """The name people know it by: its common name, else its first name, else its subject."""
        return (self.common_name or next(iter(self.names), "") or self.subject)[:MAX_TITLE]

    @property
    def pem(self) -> str:
        """The request as PEM, without anything that stood around it."""
        return armor(CSR_LABEL, self.der).decode()


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


def fitting_common_name(name: str) -> str:
    """Return the name if a common name can hold it; a longer one is an alternative name only."""
    return name if len(name) <= MAX_COMMON_NAME else ""


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

    Raises :class:`CsrProblem` with ``csr.unreadable``, ``csr.signature_wrong``, or
    ``csr.weak_signature`` for one signed with a hash that authorities refuse; if they refuse its
    key as well, with that, for a new key makes a new request.
    """
    try:
        csr = x509.load_der_x509_csr(_der_of(pem))
        facts = _facts_of(csr)
        hash_name = _hash_name(csr)
        is_signed = hash_name in WEAK_HASHES or csr.is_signature_valid
    except CsrProblem:
        raise
    except Exception:  # parsers raise many types for hostile input, and all mean the same
        raise _problem("csr.unreadable") from None
    if hash_name in WEAK_HASHES:  # which cryptography does not verify
        errors = (item for item in facts.key_problems if item.severity is Severity.ERROR)
        error = next(errors, None)
        if error is not None:
            raise _problem(error.code, **{"name": facts.title, **error.params})
        raise _problem("csr.weak_signature", hash=hash_name)
    if not is_signed:
        raise _problem("csr.signature_wrong")
    return facts


def is_request(der: bytes) -> bool:
    """Tell whether bytes have the shape of a request (RFC 2986, section 4), well-formed or not."""
    try:
        parts = read_element(der).expect(SEQUENCE).children()
        tags = [field.tag for field in parts[0].children()]
    except (DerError, IndexError):
        return False
    # The attributes should be there, even if none are; a list of revocations has a time there.
    return [part.tag for part in parts] == _SIGNED_TAGS and tags in (
        _REQUEST_TAGS[:3],
        _REQUEST_TAGS,
    )


def read_foreign_csr(content: bytes) -> CsrFacts:
    """Read what somebody brings as the one request that another program made.

    Raises :class:`CsrProblem` as :func:`read_csr` does, and with ``csr.empty``, ``csr.too_large``,
    ``csr.several``, ``csr.is_certificate`` or ``csr.is_key``.
    """
    if not content.strip():
        raise _problem("csr.empty")
    if len(content) > MAX_CSR_BYTES:
        raise _problem("csr.too_large", limit=MAX_CSR_BYTES // 1024)
    if is_der(content):
        _refuse_other_der(content)
        return read_csr(content)
    labels = [block.label for block in find_blocks(decode_text(content))]
    count = sum(label in CSR_LABELS for label in labels)
    if count > 1:
        raise _problem("csr.several", count=count)
    if count == 0 and CERTIFICATE_LABELS & set(labels):
        raise _problem("csr.is_certificate")
    if count == 0 and KEY_LABELS & set(labels):
        raise _problem("csr.is_key")
    return read_csr(content)


def _refuse_other_der(content: bytes) -> None:
    """Raise for a certificate or a key, so that it is called by its name."""
    if begins_with_integer(content):
        raise _problem("csr.is_key")
    try:
        read_certificate(content)
    except CertificateProblem as error:
        if error.problem.code == UNREADABLE:
            return
    raise _problem("csr.is_certificate")


def _facts_of(csr: x509.CertificateSigningRequest) -> CsrFacts:
    public_key = csr.public_key()
    return CsrFacts(
        names=read_san(csr.extensions),
        subject=to_printable(csr.subject.rfc4514_string()),
        common_name=read_attribute(csr.subject, NameOID.COMMON_NAME),
        key=describe_key(public_key),
        public_key_id=public_key_id(public_key),
        key_problems=tuple(key_problems(public_key)),
        key_digest=key_digest(public_key),
        extended_key_usages=read_extended_key_usages(csr.extensions),
        asks_to_be_ca=read_basic_constraints(csr.extensions).ca,
        asks_for_stapling=_asks_for_stapling(csr.extensions),
        has_challenge_password=_has_challenge_password(csr),
        der=csr.public_bytes(Encoding.DER),
    )


def _has_challenge_password(csr: x509.CertificateSigningRequest) -> bool:
    try:
        return any(attribute.oid == AttributeOID.CHALLENGE_PASSWORD for attribute in csr.attributes)
    except ValueError:  # of several values, which only this attribute is met with
        return True


def _asks_for_stapling(extensions: x509.Extensions) -> bool:
    try:
        extensions.get_extension_for_class(x509.TLSFeature)
    except x509.ExtensionNotFound:
        return False
    return True


def _hash_name(csr: x509.CertificateSigningRequest) -> str:
    """Return ``sha256`` and the like; ``""`` for a signature without one, or an unknown one."""
    try:
        algorithm = csr.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return OLD_ALGORITHMS.get(csr.signature_algorithm_oid.dotted_string, "")
    return algorithm.name if algorithm else ""


def _der_of(data: bytes) -> bytes:
    if is_der(data):
        return data
    for block in find_blocks(decode_text(data)):
        if block.label in CSR_LABELS and block.content:
            return block.content
    raise _problem("csr.unreadable")


def _to_name(subject: CsrSubject) -> x509.Name:
    texts = ((oid, _field_text(subject, name)) for name, oid, _ in _FIELDS)
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in texts if text])


def _problem(code: str, **params: Param) -> CsrProblem:
    return CsrProblem(Problem(code, params=params))
