"""What is wrong with a request made elsewhere, and how an answer differs from what was asked."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID

from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.csr import CsrFacts, CsrSubject, build_csr, read_foreign_csr
from mailadmin.pki.csr_judging import compare_with_answer, judge_csr, usable_names
from mailadmin.pki.problems import Severity
from tests.throwaway_pki import ThrowawayCa, draw_key, small_rsa_key

KEY = draw_key()
CA = ThrowawayCa()
HOST = x509.DNSName("mail.example.org")


def made_elsewhere(
    names: Sequence[x509.GeneralName] = (HOST,),
    *extensions: x509.ExtensionType,
    common_name: str = "",
    key: CertificateIssuerPrivateKeyTypes = KEY,
    challenge: bytes = b"",
) -> CsrFacts:
    """Return what a request says that some other program made."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder(x509.Name(attributes))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    if challenge:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return read_foreign_csr(builder.sign(key, algorithm).public_bytes(Encoding.DER))


def codes_of(facts: CsrFacts) -> list[tuple[str, str]]:
    return [(problem.code, str(problem.severity)) for problem in judge_csr(facts)]


def test_a_request_of_our_own_has_no_problems() -> None:
    pem = build_csr(KEY, CsrSubject(common_name="mail.example.org"), ["mail.example.org"])
    assert judge_csr(read_foreign_csr(pem)) == []


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        (
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
            ("csr.asks_for_server_use", "info"),
        ),
        (
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            ("csr.asks_for_uses", "warning"),
        ),
        (x509.BasicConstraints(ca=True, path_length=None), ("csr.asks_to_be_ca", "warning")),
        (
            x509.TLSFeature([x509.TLSFeatureType.status_request]),
            ("csr.asks_for_stapling", "warning"),
        ),
    ],
)
def test_what_a_request_should_not_ask_for_is_told(
    extension: x509.ExtensionType, expected: tuple[str, str]
) -> None:
    assert codes_of(made_elsewhere([HOST], extension)) == [expected]


def test_the_uses_beside_the_servers_are_named() -> None:
    use = x509.ExtendedKeyUsage(
        [
            ExtendedKeyUsageOID.SERVER_AUTH,
            ExtendedKeyUsageOID.CLIENT_AUTH,
            x509.ObjectIdentifier("1.2.3.4"),
        ]
    )
    (problem,) = judge_csr(made_elsewhere([HOST], use))
    assert problem.params == {"uses": "clientAuth, 1.2.3.4"}


def test_an_ordinary_request_for_no_authority_is_fine() -> None:
    extension = x509.BasicConstraints(ca=False, path_length=None)
    assert judge_csr(made_elsewhere([HOST], extension)) == []


def test_a_challenge_password_is_told_without_being_shown() -> None:
    facts = made_elsewhere(challenge=b"sesame")
    assert codes_of(facts) == [("csr.challenge_password", "warning")]
    assert "sesame" not in repr(judge_csr(facts)) + repr(facts)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (small_rsa_key(), "key.rsa_too_small"),
        (ed25519.Ed25519PrivateKey.generate(), "key.ed25519"),
        (ec.generate_private_key(ec.SECP256K1()), "key.curve_unsupported"),
    ],
)
def test_a_key_that_nobody_signs_is_refused(
    key: CertificateIssuerPrivateKeyTypes, code: str
) -> None:
    assert codes_of(made_elsewhere(key=key)) == [(code, "error")]


def test_a_request_without_any_usable_name_is_refused() -> None:
    for facts in (
        made_elsewhere([]),
        made_elsewhere([], common_name="The Mail of the Smiths"),
        made_elsewhere([x509.RFC822Name("me@example.org")]),
        made_elsewhere([x509.DNSName("localhost"), x509.DNSName("*.com")]),
    ):
        assert codes_of(facts) == [("csr.no_usable_name", "error")]
        assert usable_names(facts) == ()


def test_a_common_name_alone_is_taken_with_a_warning() -> None:
    facts = made_elsewhere([], common_name="Mail.Example.ORG")
    assert codes_of(facts) == [("csr.names_in_common_name", "warning")]
    assert usable_names(facts) == ("mail.example.org",)


def test_names_that_match_no_host_are_named_and_left_out() -> None:
    facts = made_elsewhere([HOST, x509.DNSName("localhost"), x509.DNSName("192.0.2.1")])
    (problem,) = judge_csr(facts)
    assert problem.code == "csr.unusable_names"
    assert problem.params == {"names": "DNS:192.0.2.1, localhost", "count": 2}
    assert usable_names(facts) == ("mail.example.org",)


@pytest.mark.parametrize(("count", "expected"), [(100, []), (101, ["csr.too_many_names"])])
def test_more_than_a_hundred_names_are_told(count: int, expected: list[str]) -> None:
    facts = made_elsewhere([x509.DNSName(f"h{number}.example.org") for number in range(count)])
    assert [problem.code for problem in judge_csr(facts)] == expected


def test_thousands_of_names_are_judged_at_once() -> None:
    """As many as fit into the size that is read."""
    names = [x509.DNSName(f"{number:x}.a.de") for number in range(6_000)]
    facts = made_elsewhere(names)
    assert len(facts.der) > 60_000
    begin = time.process_time()
    assert [problem.code for problem in judge_csr(facts)] == ["csr.too_many_names"]
    assert time.process_time() - begin < 2


def answer_to(asked: Sequence[str], came: Sequence[str]) -> list[tuple[str, dict[str, object]]]:
    pem = build_csr(KEY, CsrSubject(), asked)
    leaf = read_certificate(CA.issue(came, csr_pem=pem).cert_pem)
    problems = compare_with_answer(read_foreign_csr(pem), leaf)
    return [(problem.code, dict(problem.params)) for problem in problems]


def test_an_answer_with_the_names_that_were_asked_for() -> None:
    names = ["mail.example.org", "*.example.net", "2001:db8::1", "xn--bcher-kva.example"]
    assert answer_to(names, names[::-1]) == [("csr.all_names_came", {})]


def test_names_that_are_missing_or_more_are_told() -> None:
    assert answer_to(
        ["mail.example.org", "smtp.example.org"], ["mail.example.org", "www.mail.example.org"]
    ) == [
        ("csr.names_missing", {"names": "smtp.example.org", "count": 1}),
        ("csr.names_added", {"names": "www.mail.example.org", "count": 1}),
    ]


def test_only_the_first_names_are_told() -> None:
    names = [f"h{number}.example.org" for number in range(9)]
    assert answer_to([*names, "mail.example.org"], ["mail.example.org"]) == [
        ("csr.names_missing", {"names": ", ".join(names[:3]), "count": 9})
    ]


def test_a_name_below_a_wildcard_that_came_is_not_missing() -> None:
    assert answer_to(["mail.example.org"], ["*.example.org"]) == [
        ("csr.names_added", {"names": "*.example.org", "count": 1})
    ]


def test_a_certificate_for_another_key_is_no_answer() -> None:
    asked = read_foreign_csr(build_csr(KEY, CsrSubject(), ["mail.example.org"]))
    leaf = read_certificate(CA.issue(["mail.example.org"]).cert_pem)
    (problem,) = compare_with_answer(asked, leaf)
    assert problem.code == "csr.other_key"
    assert problem.severity is Severity.WARNING
    assert problem.params == {
        "name": "mail.example.org",
        "asked": "ECDSA P-256",
        "came": "ECDSA P-256",
    }
