"""The certificate that an authority's directory shows, and the root that it leads to."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailadmin.demo.files import write_private_file

_LIFETIME = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class DirectoryTls:
    """Three files: the root to trust, the certificate for loopback below it, and its key."""

    root: Path
    certificate: Path
    key: Path

    @property
    def root_pem(self) -> str:
        """The root that a client of the directory has to trust."""
        return self.root.read_text(encoding="ascii")


def keep_directory_tls(folder: Path, now: datetime | None = None) -> DirectoryTls:
    """Return the files of a folder, made if they are not there: clients have trusted the root."""
    files = DirectoryTls(folder / "root.pem", folder / "certificate.pem", folder / "key.pem")
    if not all(path.exists() for path in (files.root, files.certificate, files.key)):
        _make(files, now or datetime.now(UTC))
    return files


def _make(files: DirectoryTls, now: datetime) -> None:
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = _name("Root of the test authority's directory")
    root = (
        _builder(root_name, root_key.public_key(), root_name, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        _builder(_name("localhost"), key.public_key(), root_name, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses]), critical=False
        )
        # Python 3.13 trusts no chain without it (RFC 5280, section 4.2.1.1).
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
            critical=False,
        )
        .sign(root_key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private_file(files.key, secret.decode("ascii"))
    for path, shown in ((files.root, root), (files.certificate, certificate)):
        path.write_bytes(shown.public_bytes(Encoding.PEM))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer, subject, key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
