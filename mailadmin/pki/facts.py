"""What a certificate says, read so that nothing in it can harm the reader."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from mailadmin.pki.der import is_der
from mailadmin.pki.key_rules import UNKNOWN, describe_raw_key, is_odd_form
from mailadmin.pki.keys import describe_key, public_key_id
from mailadmin.pki.malformed import explain_unreadable
from mailadmin.pki.pem import armor, decode_text, find_blocks
from mailadmin.pki.problems import Param, Problem, Severity
from mailadmin.pki.raw_fields import SAN_OID, RawFields, read_raw, with_only
from mailadmin.pki.x509_fields import (
    is_issued_by,
    read_attribute,
    read_raw_san,
    to_printable,
)

UNREADABLE = "certificate.unreadable"
CERTIFICATE_LABELS = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})

MAX_TITLE = 100  # characters; more only a hostile certificate has
_MAX_ADDRESSES = 4
_MAX_ADDRESS = 500  # characters
_WEB_SCHEMES = ("http://", "https://")

# What a malformed extension makes its reader raise; a TypeError is that of a name constraint with
# an address but no mask.
_MALFORMED = (ValueError, TypeError)

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


class CertificateProblem(ValueError):  # noqa: N818 - the word is shared with Problem
    """A certificate that cannot be read. ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


@dataclass(frozen=True)
class CertificateFacts:
    """What a certificate says.

    ``names`` are the SAN's host names as A-labels and its IP addresses, in order (an address that
    stands there as a host name, which matches nothing, is written ``DNS:192.0.2.1``); ``key`` and
    ``signature_hash`` may be ``unknown``; an empty ``key_usages`` or ``extended_key_usages`` means
    that the certificate does not restrict its use. ``path_length`` is how many authorities may
    stand below this one (``None``: any number). ``ca_issuers`` are the web addresses at which the
    authority says it offers its own certificate (RFC 5280, section 4.2.2.1).
    ``unreadable_extensions`` are identifiers of those that are malformed.
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
    path_length: int | None
    is_self_signed: bool
    key_usages: tuple[str, ...]
    extended_key_usages: tuple[str, ...]
    subject_key_id: str
    authority_key_id: str
    ca_issuers: tuple[str, ...]
    unreadable_extensions: tuple[str, ...]
    version: int

    @property
    def title(self) -> str:
        """The name people know it by: its common name, else its first name, else its subject."""
        known = self.common_name or next(iter(self.names), "") or self.subject or self.serial_hex
        return known[:MAX_TITLE]

    @property
    def issuer_title(self) -> str:
        """The name people know the issuer by."""
        return (self.issuer_common_name or self.issuer_organization or self.issuer)[:MAX_TITLE]

    def is_expired(self, now: datetime) -> bool:
        """Tell whether the last second of validity, which counts (RFC 5280), has passed."""
        return now.replace(microsecond=0) > self.not_after

    def is_valid(self, now: datetime) -> bool:
        """Tell whether the validity has begun and is not over."""
        return self.not_before <= now and not self.is_expired(now)

    def days_left(self, now: datetime) -> int:
        """Return whole days until the end, rounded down: -1 on the first day after it."""
        return (self.not_after - now).days

    def lifetime_left(self, now: datetime) -> float:
        """Return which part of the whole lifetime is left, from 1.0 (all) to 0.0 (none)."""
        lifetime = self.not_after - self.not_before
        if lifetime <= timedelta(0):
            return 0.0
        return min(1.0, max(0.0, (self.not_after - now) / lifetime))


def certificate_problem(
    code: str, facts: CertificateFacts, severity: Severity = Severity.ERROR, **params: Param
) -> Problem:
    """Build a problem that names the certificate it is about."""
    return Problem(code, severity, facts.fingerprint, {"name": facts.title, **params})


def read_certificate(data: bytes) -> CertificateFacts:
    """Read the first certificate of a PEM text, or a DER one.

    Raises :class:`CertificateProblem` with ``certificate.unreadable`` for what is no certificate,
    or with what is wrong with one, as :mod:`malformed` finds it; and nothing else.
    """
    der = _der_of(data)
    try:
        return _read_facts(x509.load_der_x509_certificate(der))
    except Exception:
        problem = explain_unreadable(der) or Problem(UNREADABLE)
        raise CertificateProblem(problem) from None


def load_x509(facts: CertificateFacts) -> x509.Certificate:
    """Return the parsed certificate behind the facts."""
    return x509.load_der_x509_certificate(facts.der)


def _der_of(data: bytes) -> bytes:
    if is_der(data):
        return data
    blocks = find_blocks(decode_text(data))
    contents = (block.content for block in blocks if block.label in CERTIFICATE_LABELS)
    return next(contents, None) or b""


def _read_facts(certificate: x509.Certificate) -> CertificateFacts:
    der = certificate.public_bytes(Encoding.DER)
    raw = read_raw(der)
    public_key = read_public_key(certificate)
    extensions, unreadable = _read_extensions(certificate, raw)
    constraints = read_basic_constraints(extensions)
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
        names=_read_names(raw),
        key=_describe_key(public_key, raw),
        public_key_id=public_key_id(public_key) if public_key else "",
        signature_hash=_read_signature_hash(certificate),
        is_ca=constraints.ca,
        path_length=constraints.path_length,
        is_self_signed=is_issued_by(certificate, certificate),
        key_usages=_read_key_usages(extensions),
        extended_key_usages=read_extended_key_usages(extensions),
        subject_key_id=_read_subject_key_id(extensions),
        authority_key_id=_read_authority_key_id(extensions),
        ca_issuers=_read_ca_issuers(extensions),
        unreadable_extensions=unreadable,
        version=certificate.version.value + 1,
    )


def read_public_key(certificate: x509.Certificate) -> PublicKeyTypes | None:
    """Return the public key, or ``None`` if it is of a kind that nobody knows."""
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _describe_key(public_key: PublicKeyTypes | None, raw: RawFields) -> str:
    is_plain = public_key is not None and not is_odd_form(raw.key)
    return describe_key(public_key) if public_key and is_plain else describe_raw_key(raw.key)


def _read_extensions(
    certificate: x509.Certificate, raw: RawFields
) -> tuple[x509.Extensions, tuple[str, ...]]:
    """Return the extensions, and the identifiers of those that cannot be read.

    One that is malformed, or comes twice, costs itself and not the whole certificate. An EDI party
    name or an X.400 address among the alternative names is neither: the library has no words for
    it, and nobody asks for such a name.
    """
    try:
        return certificate.extensions, ()
    except (*_MALFORMED, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        pass
    der = certificate.public_bytes(Encoding.DER)
    readable: dict[str, x509.Extension[x509.ExtensionType]] = {}
    unreadable = []
    counts = Counter(extension.oid for extension in raw.extensions)
    for extension in raw.extensions:
        alone = x509.load_der_x509_certificate(with_only(der, extension))
        try:
            found = next(iter(alone.extensions))
        except x509.UnsupportedGeneralNameType:
            if extension.oid != SAN_OID:
                unreadable.append(extension.oid)
        except _MALFORMED:
            unreadable.append(extension.oid)
        else:
            if counts[extension.oid] == 1:  # of two, which would count?
                readable[extension.oid] = found
    return x509.Extensions(list(readable.values())), tuple(unreadable)


def _read_names(raw: RawFields) -> tuple[str, ...]:
    """Return the names of the only SAN; a malformed one has none."""
    try:
        return read_raw_san(raw.find_values(SAN_OID))
    except ValueError:
        return ()


def _read_signature_hash(certificate: x509.Certificate) -> str:
    """Return ``sha256`` and the like; ``""`` for a signature without one (Ed25519)."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return UNKNOWN
    return algorithm.name if algorithm else ""


def read_basic_constraints(extensions: x509.Extensions) -> x509.BasicConstraints:
    """Return whether this is an authority; without the extension it is none."""
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return x509.BasicConstraints(ca=False, path_length=None)


def _read_key_usages(extensions: x509.Extensions) -> tuple[str, ...]:
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name for attribute, name in _KEY_USAGES.items() if getattr(usage, attribute))


def read_extended_key_usages(extensions: x509.Extensions) -> tuple[str, ...]:
    """Return the uses by their usual names, others by their number; none means any use."""
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


def _read_ca_issuers(extensions: x509.Extensions) -> tuple[str, ...]:
    """Return the first addresses that a browser could open: http and https, printable, not long."""
    try:
        access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (
        entry.access_location.value
        for entry in access
        if entry.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(entry.access_location, x509.UniformResourceIdentifier)
    )
    usable = (address for address in addresses if _is_web_address(address))
    return tuple(itertools.islice(dict.fromkeys(usable), _MAX_ADDRESSES))


def _is_web_address(text: str) -> bool:
    is_plain = text.isascii() and text.isprintable() and " " not in text
    return is_plain and len(text) <= _MAX_ADDRESS and text.lower().startswith(_WEB_SCHEMES)
