"""Requests: what is written into them, what is refused, and what is read back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AttributeOID, ExtensionOID, NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from mailadmin.pki.csr import (
    CsrProblem,
    CsrSubject,
    build_csr,
    fitting_common_name,
    is_request,
    read_csr,
    read_foreign_csr,
    subject_problems,
)
from mailadmin.pki.keys import KeyKind, public_key_id
from mailadmin.pki.names import NameProblem
from mailadmin.pki.pem import armor
from mailadmin.pki.problems import Problem
from mailadmin.pki.raw_fields import encode
from tests.throwaway_pki import (
    ThrowawayCa,
    as_version_1,
    common_name,
    draw_key,
    small_rsa_key,
    weakly_signed_csr,
)
from tests.unit.pki.handmade import NOW

KEY = draw_key()
FULL = CsrSubject(
    common_name="mail.example.org",
    organization="Bücher & Söhne",
    organizational_unit="Post",
    locality="Köln",
    state="NRW",
    country="de",
)


def der_of(pem: bytes) -> bytes:
    return x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)


def found_in(subject: CsrSubject) -> list[tuple[str, str]]:
    return [(problem.code, problem.subject) for problem in subject_problems(subject)]


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.ECDSA_P256, KeyKind.ECDSA_P384])
def test_a_request_says_what_it_was_given(kind: KeyKind) -> None:
    key = draw_key(kind)
    names = ["mail.example.org", "Bücher.example", "*.example.org", "192.0.2.1", "2001:DB8::1"]
    facts = read_csr(build_csr(key, FULL, names))
    assert facts.names == (
        "mail.example.org",
        "xn--bcher-kva.example",
        "*.example.org",
        "192.0.2.1",
        "2001:db8::1",
    )
    assert facts.common_name == "mail.example.org"
    assert facts.subject == ("CN=mail.example.org,OU=Post,O=Bücher & Söhne,L=Köln,ST=NRW,C=DE")
    assert facts.key.split()[0].lower() == kind.split("-")[0]
    assert facts.public_key_id == public_key_id(key)


def test_a_request_asks_for_names_and_for_nothing_else() -> None:
    csr = x509.load_pem_x509_csr(build_csr(KEY, CsrSubject(), ["mail.example.org"]))
    assert [extension.oid for extension in csr.extensions] == [
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME
    ]
    assert csr.subject == x509.Name([])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(KeyKind.RSA_2048, "sha256"), (KeyKind.ECDSA_P256, "sha256"), (KeyKind.ECDSA_P384, "sha384")],
)
def test_the_hash_fits_the_key(kind: KeyKind, expected: str) -> None:
    csr = x509.load_pem_x509_csr(build_csr(draw_key(kind), FULL, ["mail.example.org"]))
    assert csr.signature_hash_algorithm is not None
    assert csr.signature_hash_algorithm.name == expected


def test_a_name_given_twice_is_asked_for_once() -> None:
    pem = build_csr(KEY, FULL, ["bücher.example", "mail.example.org", "XN--BCHER-KVA.example."])
    assert read_csr(pem).names == ("xn--bcher-kva.example", "mail.example.org")


def test_the_common_name_is_written_as_an_a_label() -> None:
    subject = CsrSubject(common_name=" *.Bücher.example ")
    pem = build_csr(KEY, subject, ["bücher.example"])
    assert read_csr(pem).common_name == "*.xn--bcher-kva.example"


def test_the_common_name_may_be_no_host_name() -> None:
    pem = build_csr(KEY, CsrSubject(common_name="Mail of the Smiths"), ["mail.example.org"])
    assert read_csr(pem).common_name == "Mail of the Smiths"


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ([], "name.none_given"),
        ([f"mail{number}.example.org" for number in range(101)], "name.too_many"),
        (["mail.example.org", ""], "name.empty"),
        (["*.co.uk"], "name.public_suffix"),
        (["localhost"], "name.not_qualified"),
    ],
)
def test_names_that_no_certificate_can_hold_are_refused(names: list[str], code: str) -> None:
    with pytest.raises(NameProblem) as refused:
        build_csr(KEY, FULL, names)
    assert refused.value.problem.code == code


def test_a_hundred_names_are_taken() -> None:
    names = [f"mail{number}.example.org" for number in range(100)]
    assert read_csr(build_csr(KEY, CsrSubject(), names)).names == tuple(names)


def test_a_whole_and_an_empty_subject_have_no_problems() -> None:
    assert subject_problems(FULL) == []
    assert subject_problems(CsrSubject()) == []


@pytest.mark.parametrize("country", ["D", "DEU", "D1", "ÄÖ", "d e"])
def test_a_country_has_two_letters(country: str) -> None:
    assert found_in(CsrSubject(country=country)) == [("csr.country_invalid", "country")]


@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("common_name", 64),
        ("organization", 64),
        ("organizational_unit", 64),
        ("locality", 128),
        ("state", 128),
    ],
)
def test_every_field_has_its_limit(field: str, limit: int) -> None:
    assert subject_problems(CsrSubject(**{field: "a" * limit})) == []
    problems = subject_problems(CsrSubject(**{field: "a" * (limit + 1)}))
    assert problems == [
        Problem("csr.field_too_long", subject=field, params={"field": field, "limit": limit})
    ]


def test_a_common_name_is_measured_as_it_is_written() -> None:
    subject = CsrSubject(common_name=f"{'ü' * 40}.example.organization.example")
    assert len(subject.common_name) < 80
    assert found_in(subject) == [("csr.field_too_long", "common_name")]


def test_every_field_at_fault_is_named() -> None:
    subject = CsrSubject(organization="a\nb", locality="c\0d", country="\x07")
    assert found_in(subject) == [
        ("csr.field_unprintable", "country"),
        ("csr.field_unprintable", "locality"),
        ("csr.field_unprintable", "organization"),
    ]


def test_a_request_with_a_bad_subject_is_not_built() -> None:
    with pytest.raises(CsrProblem) as refused:
        build_csr(KEY, CsrSubject(country="Germany"), ["mail.example.org"])
    assert refused.value.problem.code == "csr.country_invalid"
    assert str(refused.value) == "csr.country_invalid"


def test_a_request_is_read_from_der_and_from_any_text_around_it() -> None:
    pem = build_csr(KEY, FULL, ["mail.example.org"])
    expected = read_csr(pem)
    assert read_csr(der_of(pem)) == expected
    assert read_csr(b"here it is\r\n" + pem.replace(b"\n", b"\r\n")) == expected
    assert read_csr(pem.replace(b"CERTIFICATE REQ", b"NEW CERTIFICATE REQ")) == expected


def test_a_request_made_elsewhere_may_name_nothing() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    csr = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, None)
    facts = read_csr(csr.public_bytes(Encoding.PEM))
    assert (facts.names, facts.common_name, facts.key) == ((), "", "Ed25519")


def test_only_host_names_and_addresses_are_read_from_a_request() -> None:
    san = x509.SubjectAlternativeName(
        [x509.RFC822Name("a@example.org"), x509.DNSName("MAIL.example.org"), x509.DNSName("a\tb")]
    )
    csr = x509.CertificateSigningRequestBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\0b")])
    )
    pem = csr.add_extension(san, critical=False).sign(KEY, hashes.SHA256())
    facts = read_csr(pem.public_bytes(Encoding.PEM))
    assert facts.names == ("mail.example.org", "a\ufffdb")
    assert facts.common_name == "a\ufffdb"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x30\x82\x01",
        b"no request",
        armor("CERTIFICATE REQUEST", b"abc"),
        b"-----BEGIN CERTIFICATE REQUEST-----",
        ThrowawayCa(intermediates=0).root_pem,
    ],
)
def test_what_is_no_request_is_unreadable(content: bytes) -> None:
    with pytest.raises(CsrProblem) as refused:
        read_csr(content)
    assert refused.value.problem.code == "csr.unreadable"


def test_a_request_changed_after_signing_is_refused() -> None:
    der = der_of(build_csr(KEY, FULL, ["mail.example.org"]))
    assert b"mail.example.org" in der
    with pytest.raises(CsrProblem) as refused:
        read_csr(der.replace(b"mail.example.org", b"mail.example.com"))
    assert refused.value.problem.code == "csr.signature_wrong"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_refused(content: bytes) -> None:
    for attempt in (content, b"\x30\x82" + content, armor("CERTIFICATE REQUEST", content)):
        with pytest.raises(CsrProblem):
            read_csr(attempt)


VALID = der_of(build_csr(KEY, FULL, ["mail.example.org"]))


@given(st.integers(0, len(VALID) - 1), st.integers(1, 255))
@example(at=VALID.index(b"\x03", -75) + 2, change=1)
def test_a_request_with_any_byte_changed_is_refused_or_says_the_same(at: int, change: int) -> None:
    """The number of unused bits of an even signature may be 0 or 1: it is the same signature."""
    damaged = VALID[:at] + bytes([VALID[at] ^ change]) + VALID[at + 1 :]
    try:
        facts = read_csr(damaged)
    except CsrProblem:
        return
    assert facts == read_csr(VALID)


@pytest.mark.parametrize(("length", "is_kept"), [(64, True), (65, False)])
def test_a_common_name_has_64_characters_at_most(length: int, is_kept: bool) -> None:
    name = f"{'a' * (length - 12)}.example.org"
    assert len(name) == length
    assert fitting_common_name(name) == (name if is_kept else "")


def test_the_request_alone_is_left_of_the_text_around_it() -> None:
    pem = build_csr(KEY, FULL, ["mail.example.org"])
    facts = read_foreign_csr(b"Subject: your request\r\n\r\n" + pem + b"\r\n-- \r\nsigned")
    assert facts.pem.encode() == pem
    assert read_foreign_csr(der_of(pem)).pem.encode() == pem


CERTIFICATE = ThrowawayCa().issue()
CERTIFICATE_DER = x509.load_pem_x509_certificate(CERTIFICATE.cert_pem).public_bytes(Encoding.DER)
KEY_DER = draw_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
RSA_KEY_DER = draw_key(KeyKind.RSA_2048).private_bytes(
    Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "csr.empty"),
        (b" \n\t ", "csr.empty"),
        (b"x" * (64 * 1024 + 1), "csr.too_large"),
        (b"hello", "csr.unreadable"),
        (b"\x30\x82", "csr.unreadable"),
        (VALID[:-1], "csr.unreadable"),
        (VALID + b"\0", "csr.unreadable"),
        (armor("CERTIFICATE REQUEST", VALID) * 2, "csr.several"),
        (CERTIFICATE.fullchain_pem, "csr.is_certificate"),
        (CERTIFICATE_DER, "csr.is_certificate"),
        (CERTIFICATE.key_pem, "csr.is_key"),
        (KEY_DER, "csr.is_key"),
        (RSA_KEY_DER, "csr.is_key"),
    ],
)
def test_what_is_no_request_is_called_by_its_name(content: bytes, code: str) -> None:
    with pytest.raises(CsrProblem) as refused:
        read_foreign_csr(content)
    assert refused.value.problem.code == code
    assert refused.value.__cause__ is None


def test_a_key_beside_the_request_is_not_looked_at() -> None:
    pem = build_csr(KEY, FULL, ["mail.example.org"])
    assert read_foreign_csr(CERTIFICATE.key_pem + pem) == read_csr(pem)


@pytest.mark.parametrize("hash_name", ["sha1", "md5", "md4", "md2"])
def test_a_hash_that_can_be_forged_is_named(hash_name: str) -> None:
    with pytest.raises(CsrProblem) as refused:
        read_csr(weakly_signed_csr(draw_key(KeyKind.RSA_2048), hash_name))
    assert refused.value.problem.code == "csr.weak_signature"
    assert refused.value.problem.params["hash"] == hash_name


def test_a_key_that_nobody_signs_is_told_before_the_hash() -> None:
    """A new request would need a new key all the same."""
    with pytest.raises(CsrProblem) as refused:
        read_csr(weakly_signed_csr(small_rsa_key(), "sha1"))
    problem = refused.value.problem
    assert (problem.code, problem.params["name"]) == ("key.rsa_too_small", "mail.example.test")


def test_a_challenge_password_of_several_values_is_one() -> None:
    """RFC 2985, section 5.4.1 allows one."""
    request = x509.CertificateSigningRequestBuilder(common_name("mail.example.org"))
    signed = request.add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"sesame").sign(
        KEY, hashes.SHA256()
    )
    one = encode(0x31, encode(0x0C, b"sesame"))
    two = encode(0x31, encode(0x0C, b"a") + encode(0x0C, b"ses"))
    assert signed.tbs_certrequest_bytes.count(one) == 1
    assert len(one) == len(two)
    whole = signed.tbs_certrequest_bytes.replace(one, two)
    assert isinstance(KEY, ec.EllipticCurvePrivateKey)
    signature = encode(0x03, b"\0" + KEY.sign(whole, ec.ECDSA(hashes.SHA256())))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")

    facts = read_csr(encode(0x30, whole + algorithm + signature))

    assert facts.has_challenge_password


@pytest.mark.parametrize(
    "content",
    [b"", b"\x30\x00", encode(0x30, b"\x02"), CERTIFICATE_DER, encode(0x30, encode(0x30, b""))],
)
def test_what_has_not_the_shape_of_a_request_is_none(content: bytes) -> None:
    assert not is_request(content)


def test_a_version_1_certificate_and_a_list_of_revocations_are_no_requests() -> None:
    assert is_request(VALID)
    list_of = x509.CertificateRevocationListBuilder(
        issuer_name=common_name("CA"), last_update=NOW, next_update=NOW + timedelta(1)
    ).sign(KEY, hashes.SHA256())
    assert not is_request(list_of.public_bytes(Encoding.DER))
    certificate = x509.load_der_x509_certificate(CERTIFICATE_DER)
    assert not is_request(as_version_1(certificate, KEY).public_bytes(Encoding.DER))


def test_a_signature_of_an_unknown_kind_is_not_believed() -> None:
    """1.2.840.10045.4.3.9 stands for nothing; 4.3.2 is ECDSA with SHA-256."""
    oid = bytes.fromhex("2a8648ce3d040302")
    assert VALID.count(oid) == 1
    with pytest.raises(CsrProblem) as refused:
        read_csr(VALID.replace(oid, oid[:-1] + b"\x09"))
    assert refused.value.problem.code in ("csr.unreadable", "csr.signature_wrong")
