"""A certificate authority for tests: issues any certificate, also ones no real authority would.

Everything is bytes in PEM. Keys for RSA are drawn once per kind and slot, for that is slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from mailadmin.pki.keys import KeyKind, PrivateKey, generate_key, private_key_to_pem
from mailadmin.pki.names import parse_address

SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH

DEFAULT_NAMES = ("mail.example.test",)
SERVER_USAGES = frozenset({"digital_signature"})
CA_USAGES = frozenset({"key_cert_sign", "crl_sign"})

_AUTHORITY_DAYS = 3650
_SMALL_RSA_BITS = 1024
_OLD_HASHES = {
    "sha1": hashes.SHA1(),  # noqa: S303 - made to be refused
    "md5": hashes.MD5(),  # noqa: S303 - made to be refused
}
_OLD_ALGORITHMS = {  # DER of sha1WithRSAEncryption, md5WithRSAEncryption and ecdsa-with-SHA1
    ("sha1", True): bytes.fromhex("300d06092a864886f70d0101050500"),
    ("md5", True): bytes.fromhex("300d06092a864886f70d0101040500"),
    ("md4", True): bytes.fromhex("300d06092a864886f70d0101030500"),
    ("md2", True): bytes.fromhex("300d06092a864886f70d0101020500"),
    ("sha1", False): bytes.fromhex("300906072a8648ce3d0401"),
}


@dataclass(frozen=True)
class Authority:
    """A certificate that signs others, with its key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class Issued:
    """What an authority sends back; ``key_pem`` is empty for a request whose key stays elsewhere.

    ``chain_pem`` holds the intermediates, lowest first, and no root.
    """

    cert_pem: bytes
    chain_pem: bytes
    key_pem: bytes = field(repr=False)

    @property
    def fullchain_pem(self) -> bytes:
        return self.cert_pem + self.chain_pem


def draw_key(kind: KeyKind = KeyKind.ECDSA_P256, slot: str = "leaf") -> PrivateKey:
    """Return a new key; for RSA the same one for the same slot, which saves seconds."""
    return _draw_once(kind, slot) if kind.startswith("rsa") else generate_key(kind)


@cache
def _draw_once(kind: KeyKind, slot: str) -> PrivateKey:
    return generate_key(kind)


@cache
def small_rsa_key() -> rsa.RSAPrivateKey:
    """Return an RSA key of 1024 bits, which nobody should accept."""
    return rsa.generate_private_key(65537, _SMALL_RSA_BITS)


class ThrowawayCa:
    """A root with any number of intermediates below it, each signed by the one above."""

    def __init__(
        self,
        name: str = "Throwaway Root",
        key_kind: KeyKind = KeyKind.ECDSA_P256,
        intermediates: int = 1,
        *,
        now: datetime | None = None,
    ) -> None:
        self.name = name
        self._now = now
        self._key_kind = key_kind
        self.root = self.add_authority(name, None)
        self.intermediates: list[Authority] = []
        for number in range(1, intermediates + 1):
            above = self.intermediates[0] if self.intermediates else self.root
            self.intermediates.insert(0, self.add_authority(f"{name} Intermediate {number}", above))

    @property
    def root_pem(self) -> bytes:
        """The root's certificate."""
        return self.root.pem

    @property
    def intermediate_pems(self) -> list[bytes]:
        """The intermediates' certificates, the one that issues leaves first."""
        return [authority.pem for authority in self.intermediates]

    def add_authority(
        self,
        name: str,
        above: Authority | None,
        *,
        key: PrivateKey | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        signature: str = "",
        is_ca: bool = True,
        ca_issuers: Sequence[str] = (),
    ) -> Authority:
        """Make an authority signed by ``above``, or by itself. It is not used by :meth:`issue`."""
        key = key or draw_key(self._key_kind, name)
        begin, end = self._period(not_before, not_after, _AUTHORITY_DAYS)
        certificate = sign_certificate(
            common_name(name),
            key.public_key(),
            signer=above.certificate.subject if above else common_name(name),
            signer_key=above.key if above else key,
            not_before=begin,
            not_after=end,
            is_ca=is_ca,
            usages=CA_USAGES,
            signature=signature,
            ca_issuers=ca_issuers,
        )
        return Authority(certificate, key)

    def issue(
        self,
        names: Sequence[str] | None = None,
        *,
        key: PrivateKey | None = None,
        csr_pem: bytes | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        days: int = 90,
        eku: Sequence[x509.ObjectIdentifier] | None = (SERVER_AUTH,),
        usages: frozenset[str] | None = SERVER_USAGES,
        is_ca: bool = False,
        cn: str | None = None,
        sha1: bool = False,
        signature: str = "",
        ca_issuers: Sequence[str] = (),
    ) -> Issued:
        """Issue a certificate for names (given raw: also ones that are not valid).

        ``csr_pem`` gives the public key and, unless there are ``names``, the names; ``eku`` or
        ``usages`` as ``None`` leaves the extension out; ``cn`` defaults to the first name.
        ``signature`` is ``sha1`` or ``md5`` for signatures that are no longer accepted.
        """
        issuer = self.intermediates[0] if self.intermediates else self.root
        if csr_pem is not None:
            csr = x509.load_pem_x509_csr(csr_pem)
            public_key, key_pem = csr.public_key(), b""
            names = _names_of(csr) if names is None else names
        else:
            key = key or draw_key()
            public_key, key_pem = key.public_key(), private_key_to_pem(key)
        names = DEFAULT_NAMES if names is None else names
        begin, end = self._period(not_before, not_after, days)
        certificate = sign_certificate(
            common_name(cn if cn is not None else next(iter(names), "")),
            public_key,
            signer=issuer.certificate.subject,
            signer_key=issuer.key,
            not_before=begin,
            not_after=end,
            names=names,
            is_ca=is_ca,
            eku=eku,
            usages=usages,
            signature="sha1" if sha1 else signature,
            ca_issuers=ca_issuers,
        )
        pem = certificate.public_bytes(Encoding.PEM)
        return Issued(pem, b"".join(self.intermediate_pems), key_pem)

    def _period(
        self, begin: datetime | None, end: datetime | None, days: int
    ) -> tuple[datetime, datetime]:
        lifetime = timedelta(days=days)
        if begin is None:
            begin = (self._now or datetime.now(UTC)) - timedelta(hours=1)
            begin = min(begin, end - lifetime) if end else begin
        return begin, end or begin + lifetime


def sign_certificate(
    subject: x509.Name,
    public_key: CertificatePublicKeyTypes,
    *,
    signer: x509.Name,
    signer_key: PrivateKey,
    not_before: datetime,
    not_after: datetime,
    names: Sequence[str] = (),
    is_ca: bool = False,
    path_length: int | None = None,
    eku: Sequence[x509.ObjectIdentifier] | None = None,
    usages: frozenset[str] | None = SERVER_USAGES,
    signature: str = "",
    ca_issuers: Sequence[str] = (),
) -> x509.Certificate:
    """Sign a certificate with exactly these fields; an empty ``names`` leaves the SAN out."""
    builder = (
        x509.CertificateBuilder(signer, subject, public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(is_ca, path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    if signer != subject:
        # Python 3.13 trusts no chain without it (VERIFY_X509_STRICT, RFC 5280 section 4.2.1.1).
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key())
        builder = builder.add_extension(issuer_key, critical=False)
    if names:
        san = x509.SubjectAlternativeName([_general_name(name) for name in names])
        builder = builder.add_extension(san, critical=not list(subject))  # RFC 5280, 4.2.1.6
    if eku is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(eku), critical=False)
    if usages is not None:
        builder = builder.add_extension(_key_usage(usages), critical=True)
    if ca_issuers:
        builder = builder.add_extension(_authority_access(ca_issuers), critical=False)
    certificate = builder.sign(signer_key, hashes.SHA256())
    return _sign_again(certificate, signer_key, signature) if signature else certificate


def _authority_access(addresses: Sequence[str]) -> x509.AuthorityInformationAccess:
    """Return where the authority says it offers its own certificate."""
    return x509.AuthorityInformationAccess(
        x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(address)
        )
        for address in addresses
    )


def common_name(text: str) -> x509.Name:
    """Return a distinguished name that is only a common name, or an empty one."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def _names_of(csr: x509.CertificateSigningRequest) -> list[str]:
    san = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(entry.value) for entry in san]


def _general_name(name: str) -> x509.GeneralName:
    address = parse_address(name)
    return x509.IPAddress(address) if address else x509.DNSName(name)


def _key_usage(usages: frozenset[str]) -> x509.KeyUsage:
    fields = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: name in usages for name in fields})


def weakly_signed_csr(key: PrivateKey, signature: str) -> bytes:
    """Return a request as DER whose signature is right, but made with ``sha1`` or ``md5``.

    For ``md4`` and ``md2``, which no library makes, that of ``md5`` is said to be one of theirs.
    """
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("only for RSA")
    name = common_name("mail.example.test")
    csr = x509.CertificateSigningRequestBuilder(name).sign(key, hashes.SHA256())
    signed, algorithm = csr.tbs_certrequest_bytes, _OLD_ALGORITHMS[signature, True]
    value = key.sign(signed, padding.PKCS1v15(), _OLD_HASHES.get(signature, _OLD_HASHES["md5"]))
    return encode_der(0x30, signed + algorithm + encode_der(0x03, b"\0" + value))


def as_version_1(certificate: x509.Certificate, key: PrivateKey) -> x509.Certificate:
    """Return the certificate as of 1988, without any extension, signed again by RSA or ECDSA."""
    fields = _split_der(_content_of(certificate.tbs_certificate_bytes))
    version_1_fields = fields[1:-1]  # without the version and the extensions, first and last
    return _sign_fields(version_1_fields, version_1_fields[1], key, hashes.SHA256())


def _sign_again(certificate: x509.Certificate, key: PrivateKey, signature: str) -> x509.Certificate:
    """Replace the signature by one of a hash that ``cryptography`` no longer signs with."""
    algorithm = _OLD_ALGORITHMS[signature, isinstance(key, rsa.RSAPrivateKey)]
    fields = _split_der(_content_of(certificate.tbs_certificate_bytes))
    fields[2] = algorithm  # after the version and the serial number
    return _sign_fields(fields, algorithm, key, _OLD_HASHES[signature])


def _sign_fields(
    fields: Sequence[bytes], algorithm: bytes, key: PrivateKey, digest: hashes.HashAlgorithm
) -> x509.Certificate:
    signed = encode_der(0x30, b"".join(fields))
    if isinstance(key, rsa.RSAPrivateKey):
        value = key.sign(signed, padding.PKCS1v15(), digest)
    else:
        value = key.sign(signed, ec.ECDSA(digest))
    whole = encode_der(0x30, signed + algorithm + encode_der(0x03, b"\0" + value))
    return x509.load_der_x509_certificate(whole)


def encode_der(tag: int, content: bytes) -> bytes:
    """Return one DER element; ``30`` is a SEQUENCE, ``02`` an INTEGER, ``04`` an OCTET STRING."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def _split_der(content: bytes) -> list[bytes]:
    elements = []
    while content:
        end = _header_length(content) + len(_content_of(content))
        elements.append(content[:end])
        content = content[end:]
    return elements


def _header_length(element: bytes) -> int:
    return 2 if element[1] < 0x80 else 2 + (element[1] & 0x7F)


def _content_of(element: bytes) -> bytes:
    start = _header_length(element)
    length = element[1] if start == 2 else int.from_bytes(element[2:start], "big")
    return element[start : start + length]
