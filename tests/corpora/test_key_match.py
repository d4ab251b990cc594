"""A private key belongs to a certificate on the diagonal only: every kind with every other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from mailadmin.pki.bundle import KeySource, Parts, Verdict, judge_bundle
from mailadmin.pki.parts import read_parts
from tests.corpora.conftest import NOW, VECTORS

AnyKey = CertificateIssuerPrivateKeyTypes


def drawn_rsa(bits: int) -> AnyKey:
    return rsa.generate_private_key(65537, bits)


def drawn_ec(curve: ec.EllipticCurve) -> AnyKey:
    return ec.generate_private_key(curve)


def of_the_corpus(path: str, password: bytes | None = None) -> AnyKey:
    """Return a key that would take seconds to draw."""
    content = (VECTORS / path).read_bytes()
    key = load_pem_private_key(content, password, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey | dsa.DSAPrivateKey)
    return key


Draw = Callable[[], AnyKey]
LONG_SALT = partial(of_the_corpus, "asymmetric/PKCS8/rsa-pbe-3des-long-salt.pem", b"password")
OLD_FORM = "asymmetric/Traditional_OpenSSL_Serialization/"
# Two different keys of each kind.
TAKEN: dict[str, tuple[Draw, Draw]] = {
    "RSA 2048": (partial(drawn_rsa, 2048), partial(of_the_corpus, OLD_FORM + "testrsa.pem")),
    "RSA 3072": (partial(drawn_rsa, 3072), partial(drawn_rsa, 3072)),
    "RSA 4096": (partial(of_the_corpus, "x509/custom/ca/rsa_key.pem"), LONG_SALT),
    "P-256": (partial(drawn_ec, ec.SECP256R1()), partial(drawn_ec, ec.SECP256R1())),
    "P-384": (partial(drawn_ec, ec.SECP384R1()), partial(drawn_ec, ec.SECP384R1())),
    "P-521": (partial(drawn_ec, ec.SECP521R1()), partial(drawn_ec, ec.SECP521R1())),
}
REFUSED: dict[str, tuple[Draw, Draw]] = {
    "Ed25519": (ed25519.Ed25519PrivateKey.generate, ed25519.Ed25519PrivateKey.generate),
    "Ed448": (ed448.Ed448PrivateKey.generate, ed448.Ed448PrivateKey.generate),
    "DSA": (
        partial(of_the_corpus, OLD_FORM + "dsa.2048.pem"),
        partial(of_the_corpus, OLD_FORM + "dsa.3072.pem"),
    ),
    "secp256k1": (partial(drawn_ec, ec.SECP256K1()), partial(drawn_ec, ec.SECP256K1())),
    "P-224": (partial(drawn_ec, ec.SECP224R1()), partial(drawn_ec, ec.SECP224R1())),
}
KINDS = {**TAKEN, **REFUSED}


@dataclass(frozen=True)
class Pair:
    """A key's two halves, read as from two uploads: the certificate, and the key file."""

    certificate: Parts
    key: Parts


@cache
def authority_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def pair(kind: str, which: int) -> Pair:
    key = KINDS[kind][which]()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{kind} {which}")])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuer of pairs")])
    certificate = (
        x509.CertificateBuilder(subject_name=name, issuer_name=issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mail.example.org")]), False)
        .sign(authority_key(), hashes.SHA256())
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(
        read_parts([certificate.public_bytes(Encoding.PEM)]),
        read_parts([key_pem]),
    )


def judge(certificate: Parts, key: Parts) -> Verdict:
    together = Parts(
        certificates=certificate.certificates,
        private_keys=key.private_keys,
        problems=(*certificate.problems, *key.problems),
    )
    return judge_bundle(together, now=NOW)


def error_codes(verdict: Verdict) -> set[str]:
    return {found.code for found in verdict.problems if found.severity == "error"}


@pytest.mark.parametrize("of_key", TAKEN)
@pytest.mark.parametrize("of_certificate", KINDS)
def test_a_key_matches_on_the_diagonal_only(of_certificate: str, of_key: str) -> None:
    for which in (0, 1):
        verdict = judge(pair(of_certificate, 0).certificate, pair(of_key, which).key)

        is_its_own = (of_certificate, 0) == (of_key, which)
        assert verdict.key_matches is is_its_own
        assert verdict.key_source is (KeySource.UPLOADED if is_its_own else KeySource.MISSING)
        assert ("key.mismatch" in error_codes(verdict)) is not is_its_own
        assert (verdict.private_key is not None) is is_its_own
        assert verdict.is_accepted is is_its_own


@pytest.mark.parametrize("of_key", REFUSED)
@pytest.mark.parametrize("of_certificate", KINDS)
def test_a_key_of_another_kind_is_told_and_matches_nothing(
    of_certificate: str, of_key: str
) -> None:
    verdict = judge(pair(of_certificate, 0).certificate, pair(of_key, 0).key)

    assert not verdict.key_matches
    assert not verdict.is_accepted
    assert verdict.private_key is None
    # The kind of the key is the reason; that it would also be the wrong one helps nobody.
    assert any(code.startswith("key.") for code in error_codes(verdict))
    assert not {"key.mismatch", "key.missing", "key.unreadable"} & error_codes(verdict)


@pytest.mark.parametrize("kind", TAKEN)
def test_a_pair_is_accepted_in_one_upload(kind: str) -> None:
    both = pair(kind, 0)
    (certificate,), (key,) = both.certificate.certificates, both.key.private_keys
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    verdict = judge_bundle(read_parts([pem + certificate.pem.encode()]), now=NOW)

    assert verdict.is_accepted
    assert verdict.key_matches
