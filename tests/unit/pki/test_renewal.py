"""Renewing: what a certificate, also an odd one, lets us ask for again."""

from __future__ import annotations

import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mailadmin.pki.certificate import CertificateFacts, read_certificate
from mailadmin.pki.csr import build_csr, read_csr
from mailadmin.pki.keys import KeyKind, private_key_to_pem
from mailadmin.pki.renewal import plan_renewal, request_command
from tests.throwaway_pki import ThrowawayCa, draw_key, sign_certificate, small_rsa_key

CA = ThrowawayCa()
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def certificate_of(
    *subject: tuple[x509.ObjectIdentifier, str],
    names: tuple[str, ...] = ("mail.example.org",),
    public_key: CertificatePublicKeyTypes | None = None,
) -> CertificateFacts:
    """Return a certificate of another authority with a subject of its own."""
    certificate = sign_certificate(
        x509.Name([x509.NameAttribute(oid, text) for oid, text in subject]),
        public_key or draw_key().public_key(),
        signer=CA.root.certificate.subject,
        signer_key=CA.root.key,
        not_before=BEGIN,
        not_after=BEGIN + timedelta(days=90),
        names=names,
    )
    return read_certificate(certificate.public_bytes(Encoding.DER))


def test_everything_that_a_certificate_says_is_asked_for_again() -> None:
    renewal = plan_renewal(
        certificate_of(
            (NameOID.COUNTRY_NAME, "DE"),
            (NameOID.STATE_OR_PROVINCE_NAME, "NRW"),
            (NameOID.LOCALITY_NAME, "Köln"),
            (NameOID.ORGANIZATION_NAME, "Bücher & Söhne"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "Post"),
            (NameOID.COMMON_NAME, "imap.example.org"),
            names=("mail.example.org", "imap.example.org", "*.example.net", "2001:db8::1"),
        )
    )
    assert renewal.problems == ()
    assert renewal.key_problems == ()
    assert renewal.key_kind is KeyKind.ECDSA_P256
    facts = read_csr(build_csr(draw_key(), renewal.subject, renewal.names))
    assert facts.names == ("imap.example.org", "mail.example.org", "*.example.net", "2001:db8::1")
    assert facts.subject == ("CN=imap.example.org,OU=Post,O=Bücher & Söhne,L=Köln,ST=NRW,C=DE")


def test_what_fits_into_no_request_is_left_out_and_named() -> None:
    renewal = plan_renewal(
        certificate_of(
            (NameOID.ORGANIZATION_NAME, "x" * 65),
            (NameOID.LOCALITY_NAME, "two\nlines"),
            (NameOID.SERIAL_NUMBER, "HRB 4711"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "Domain Control Validated"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "PositiveSSL"),
        )
    )
    assert [(item.code, item.params["field"]) for item in renewal.problems] == [
        ("csr.renewal_field_left_out", "organization"),
    ]
    assert renewal.subject.locality == "two\ufffdlines"
    assert renewal.subject.organizational_unit == "Domain Control Validated"


def test_a_country_in_full_is_left_out() -> None:
    """What cryptography writes for nobody, other programs do: it is a locality made a country."""
    der = certificate_of((NameOID.LOCALITY_NAME, "Germany")).der
    locality, country = bytes.fromhex("0603550407"), bytes.fromhex("0603550406")
    assert der.count(locality) == 1
    with pytest.warns(UserWarning, match="length must be"):
        renewal = plan_renewal(read_certificate(der.replace(locality, country)))
    assert renewal.subject.country == ""
    (problem,) = renewal.problems
    assert (problem.code, problem.params["field"]) == ("csr.renewal_field_left_out", "country")


def test_names_that_nobody_signs_are_left_out_and_named() -> None:
    renewal = plan_renewal(
        certificate_of(names=("mail.example.org", "localhost", "mail", "a_b.example.org"))
    )
    assert renewal.names == ("mail.example.org",)
    (problem,) = renewal.problems
    assert problem.code == "csr.renewal_names_left_out"
    assert problem.params == {"names": "localhost, mail, a_b.example.org", "count": 3}


def test_a_common_name_stands_for_missing_alternative_names() -> None:
    facts = certificate_of((NameOID.COMMON_NAME, "Mail.Example.ORG"), names=())
    assert plan_renewal(facts).names == ("mail.example.org",)


@pytest.mark.parametrize("common_name", ["The Mail of the Smiths", ""])
def test_a_certificate_without_usable_names_leaves_them_open(common_name: str) -> None:
    subject = [(NameOID.COMMON_NAME, common_name)] if common_name else []
    renewal = plan_renewal(certificate_of(*subject, names=()))
    assert renewal.names == ()
    assert renewal.subject.common_name == ""
    assert [item.code for item in renewal.problems] == (
        ["csr.renewal_names_left_out"] if common_name else []
    )


def test_of_many_names_a_request_gets_the_first_hundred() -> None:
    names = tuple(f"h{number}.example.org" for number in range(250))
    renewal = plan_renewal(certificate_of(names=names))
    assert renewal.names == names[:100]
    assert [(item.code, dict(item.params)) for item in renewal.problems] == [
        ("csr.renewal_names_cut", {"count": 250, "limit": 100})
    ]


def test_a_long_main_name_is_an_alternative_name_only() -> None:
    name = f"{'a' * 60}.example.org"
    renewal = plan_renewal(certificate_of(names=(name,)))
    assert (renewal.names, renewal.subject.common_name) == ((name,), "")


@pytest.mark.parametrize(
    ("public_key", "kind", "problems"),
    [
        (small_rsa_key().public_key(), KeyKind.RSA_2048, ["key.rsa_too_small"]),
        (draw_key(KeyKind.RSA_3072).public_key(), KeyKind.RSA_3072, []),
        (draw_key(KeyKind.RSA_4096).public_key(), KeyKind.RSA_4096, []),
        (ec.generate_private_key(ec.SECP384R1()).public_key(), KeyKind.ECDSA_P384, []),
        (ec.generate_private_key(ec.SECP521R1()).public_key(), KeyKind.ECDSA_P384, []),
        (
            ec.generate_private_key(ec.SECP256K1()).public_key(),
            KeyKind.ECDSA_P256,
            ["key.curve_unsupported"],
        ),
    ],
)
def test_a_new_key_is_like_the_old_one_and_a_bad_one_is_not_kept(
    public_key: CertificatePublicKeyTypes, kind: KeyKind, problems: list[str]
) -> None:
    renewal = plan_renewal(certificate_of(public_key=public_key))
    assert renewal.key_kind is kind
    assert [problem.code for problem in renewal.key_problems] == problems


def test_openssl_makes_the_same_request_from_the_command(tmp_path: Path) -> None:
    key = draw_key()
    names = (
        "mail.example.org",
        "xn--bcher-kva.example",
        "*.example.net",
        "192.0.2.1",
        "2001:db8::1",
    )
    renewal = plan_renewal(certificate_of(names=names))
    (tmp_path / "KEY-FILE").write_bytes(private_key_to_pem(key))
    subprocess.run(  # a fixed program and a command of our own
        shlex.split(request_command(renewal)), cwd=tmp_path, check=True, timeout=90
    )
    facts = read_csr((tmp_path / "request.csr").read_bytes())
    assert facts.names == names
    assert facts.common_name == "mail.example.org"


def test_the_command_needs_no_common_name() -> None:
    renewal = plan_renewal(certificate_of(names=(f"{'a' * 60}.example.org",)))
    assert '-subj "/"' in request_command(renewal)
