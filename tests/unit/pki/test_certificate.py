"""One certificate: the facts read from it, and the verdict over it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    NameOID,
    ObjectIdentifier,
)
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.certificate import (
    CertificateFacts,
    CertificateProblem,
    judge_leaf,
    load_x509,
    make_self_signed,
    read_certificate,
)
from mailadmin.pki.keys import KeyKind, public_key_id
from mailadmin.pki.names import NameProblem, is_covered
from mailadmin.pki.pem import armor
from mailadmin.pki.problems import Problem, Severity
from mailadmin.pki.raw_fields import encode
from tests.throwaway_pki import (
    CLIENT_AUTH,
    SERVER_AUTH,
    ThrowawayCa,
    common_name,
    draw_key,
    encode_der,
    sign_certificate,
    small_rsa_key,
)
from tests.unit.pki.handmade import USE, make, replace_field

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CA = ThrowawayCa(now=NOW)
RSA_CA = ThrowawayCa("RSA Root", KeyKind.RSA_2048, now=NOW)
KEY = draw_key()


def issue(names: list[str] | None = None, **options: object) -> CertificateFacts:
    issued = CA.issue(["mail.example.org"] if names is None else names, **options)  # type: ignore[arg-type]
    return read_certificate(issued.cert_pem)


def codes(problems: list[Problem]) -> list[str]:
    return [problem.code for problem in problems]


def judged(names: list[str] | None = None, **options: object) -> list[str]:
    return codes(judge_leaf(issue(names, **options), NOW))


# Reading


def test_the_facts_of_a_certificate_are_read() -> None:
    names = ["mail.example.org", "*.xn--bcher-kva.example", "192.0.2.1", "2001:db8::1"]
    issued = CA.issue(names, key=KEY, eku=(SERVER_AUTH, CLIENT_AUTH))
    facts = read_certificate(issued.cert_pem)
    parsed = load_x509(facts)
    assert facts.names == tuple(names)
    assert facts.fingerprint == hashlib.sha256(facts.der).hexdigest()
    assert facts.pem.encode() == parsed.public_bytes(Encoding.PEM)
    assert (facts.subject, facts.common_name) == ("CN=mail.example.org", "mail.example.org")
    assert facts.issuer == "CN=Throwaway Root Intermediate 1"
    assert facts.issuer_common_name == facts.issuer_title == "Throwaway Root Intermediate 1"
    assert facts.issuer_organization == ""
    assert int(facts.serial_hex, 16) == parsed.serial_number
    assert (facts.not_before, facts.not_after) == (
        NOW - timedelta(hours=1),
        NOW - timedelta(hours=1) + timedelta(days=90),
    )
    assert (facts.key, facts.public_key_id) == ("ECDSA P-256", public_key_id(KEY))
    assert facts.signature_hash == "sha256"
    assert not facts.is_ca
    assert not facts.is_self_signed
    assert facts.key_usages == ("digitalSignature",)
    assert facts.extended_key_usages == ("serverAuth", "clientAuth")
    assert len(facts.subject_key_id) == 40
    assert facts.authority_key_id == read_certificate(issued.chain_pem).subject_key_id
    assert facts.version == 3


def test_an_authority_is_known_for_one() -> None:
    root = read_certificate(CA.root_pem)
    assert root.is_ca
    assert root.is_self_signed
    assert root.names == ()
    assert root.path_length is None
    assert root.key_usages == ("keyCertSign", "cRLSign")


def test_a_certificate_is_read_from_any_wrapping() -> None:
    pem = CA.issue().cert_pem
    facts = read_certificate(pem)
    assert read_certificate(facts.der) == facts
    assert read_certificate(b"text before\r\n" + pem.replace(b"\n", b"\r\n")) == facts
    assert read_certificate(pem.decode().encode("utf-16")) == facts
    assert read_certificate(CA.issue().key_pem + pem + CA.root_pem) == facts


def test_the_same_name_in_other_letters_is_listed_once() -> None:
    facts = issue(["Mail.Example.org", "b.example", "mail.example.org"])
    assert facts.names == ("mail.example.org", "b.example")


def sign_with(
    *extensions: x509.ExtensionType, subject: x509.Name | None = None
) -> CertificateFacts:
    name = common_name("mail.example.org") if subject is None else subject
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 7, NOW, NOW + timedelta(9))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return read_certificate(builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER))


def test_names_of_other_kinds_are_passed_over() -> None:
    san = x509.SubjectAlternativeName(
        [
            x509.RFC822Name("postmaster@example.org"),
            x509.OtherName(ObjectIdentifier("1.2.3.4"), b"\x05\x00"),
            x509.DNSName("mail.example.org"),
            x509.DNSName("mail.example.org\0.evil.example"),
        ]
    )
    assert sign_with(san).names == ("mail.example.org", "mail.example.org\ufffd.evil.example")


def test_an_address_range_is_no_address() -> None:
    network = encode_der(0x87, ip_network("192.0.2.0/24").network_address.packed + b"\xff" * 4)
    san = x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.17"), encode_der(0x30, network))
    assert sign_with(san).names == ()


def test_an_address_in_the_place_of_a_host_name_matches_nothing() -> None:
    facts = sign_with(x509.SubjectAlternativeName([x509.DNSName("192.0.2.1")]))
    assert facts.names == ("DNS:192.0.2.1",)
    assert not is_covered("192.0.2.1", facts.names)
    assert "certificate.no_usable_name" in codes(judge_leaf(facts, NOW))


def test_identifiers_and_unknown_uses_are_read() -> None:
    facts = sign_with(
        x509.AuthorityKeyIdentifier(b"\xab\xcd", None, None),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ObjectIdentifier("1.2.3.4")]),
    )
    assert facts.authority_key_id == "abcd"
    assert facts.subject_key_id == ""
    assert facts.extended_key_usages == ("serverAuth", "1.2.3.4")
    assert sign_with(x509.AuthorityKeyIdentifier(None, [], 5)).authority_key_id == ""


def test_the_addresses_of_the_issuer_are_those_a_browser_could_open() -> None:
    offered = ["http://ca.example/r1.der", "https://ca.example/r1.der", "http://ca.example/r1.der"]
    unusable = ["ldap://ca.example/", "http://ca.example/a b", "http://" + "a" * 500, "file:///x"]
    facts = issue(ca_issuers=[*unusable, *offered])
    assert facts.ca_issuers == tuple(offered[:2])
    many = issue(ca_issuers=[f"http://ca.example/{n}" for n in range(9)])
    assert len(many.ca_issuers) == 4
    assert issue().ca_issuers == ()


def test_other_ways_to_reach_the_authority_are_no_addresses_of_its_certificate() -> None:
    name = x509.DirectoryName(common_name("Example CA"))
    ocsp = x509.UniformResourceIdentifier("http://ocsp.example/")
    access = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, name),
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, ocsp),
        ]
    )
    assert sign_with(access).ca_issuers == ()


def test_a_bare_certificate_restricts_nothing() -> None:
    facts = sign_with()
    assert (facts.names, facts.key_usages, facts.extended_key_usages) == ((), (), ())
    assert not facts.is_ca
    assert facts.is_self_signed


def test_a_certificate_is_known_by_the_best_name_it_has() -> None:
    organization = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Ltd")])
    named = x509.SubjectAlternativeName([x509.DNSName("mail.example.org")])
    assert sign_with(named, subject=common_name("The Mail")).title == "The Mail"
    assert sign_with(named, subject=organization).title == "mail.example.org"
    assert sign_with(subject=organization).title == "O=Example Ltd"
    assert sign_with(subject=organization).issuer_title == "Example Ltd"
    assert sign_with(subject=x509.Name([])).title == "7"


def test_names_made_to_disturb_are_defused() -> None:
    long = x509.Name([x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "x\r\n" + "y" * 120)])
    facts = sign_with(subject=long)
    assert facts.subject.startswith("ST=x\ufffd\ufffdy")
    assert len(facts.title) == len(facts.issuer_title) == 100


def test_a_certificate_does_not_show_its_bytes() -> None:
    facts = issue()
    assert "BEGIN CERTIFICATE" not in repr(facts)
    assert "der=" not in repr(facts)


VALID = read_certificate(CA.issue(["mail.example.org"]).cert_pem).der


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"\x30\x82\x01\x00",
        armor("CERTIFICATE", b"abc"),
        b"-----BEGIN CERTIFICATE-----",
        CA.issue().key_pem,
        VALID[:-1],
        VALID + b"\0",
    ],
)
def test_what_is_no_certificate_is_unreadable(content: bytes) -> None:
    with pytest.raises(CertificateProblem) as refused:
        read_certificate(content)
    assert refused.value.problem == Problem("certificate.unreadable")
    assert str(refused.value) == "certificate.unreadable"


def test_an_extension_that_comes_twice_costs_only_itself() -> None:
    usage_twice = VALID.replace(bytes.fromhex("0603551d25"), bytes.fromhex("0603551d0f"))
    assert usage_twice != VALID
    facts = read_certificate(usage_twice)
    assert facts.names == ("mail.example.org",)
    found = {problem.code: problem for problem in judge_leaf(facts, NOW)}
    assert found["certificate.extension_twice"].params["extensions"] == "keyUsage"
    assert found["certificate.extension_unreadable"].params["extensions"] == "keyUsage"


def read_or_refuse(content: bytes) -> None:
    try:
        facts = read_certificate(content)
    except CertificateProblem:
        return
    judge_leaf(facts, NOW)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for attempt in (content, b"\x30\x82" + content, armor("CERTIFICATE", content)):
        read_or_refuse(attempt)


@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=5))
def test_a_certificate_with_any_bytes_changed_is_read_or_refused(
    changes: list[tuple[int, int]],
) -> None:
    damaged = bytearray(VALID)
    for at, value in changes:
        damaged[at] = value
    read_or_refuse(bytes(damaged))


# Time


def test_the_last_second_is_valid() -> None:
    facts = issue(not_after=NOW)
    assert not facts.is_expired(NOW)
    assert not facts.is_expired(NOW + timedelta(microseconds=999_999))
    assert facts.is_expired(NOW + timedelta(seconds=1))
    assert not facts.is_valid(NOW + timedelta(seconds=1))


def test_validity_begins_with_its_first_moment() -> None:
    facts = issue(not_before=NOW)
    assert facts.is_valid(NOW)
    assert not facts.is_valid(NOW - timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (timedelta(days=2), 2),
        (timedelta(days=2, seconds=-1), 1),
        (timedelta(0), 0),
        (timedelta(seconds=-1), -1),
        (timedelta(days=-2), -2),
    ],
)
def test_days_left_are_rounded_down(left: timedelta, days: int) -> None:
    facts = issue(not_after=NOW)
    assert facts.days_left(NOW - left) == days


def test_the_lifetime_left_goes_from_one_to_zero() -> None:
    facts = issue(not_before=NOW, not_after=NOW + timedelta(days=10))
    moments = [timedelta(days=days) for days in (-1, 0, 5, 10, 11)]
    assert [facts.lifetime_left(NOW + moment) for moment in moments] == [1.0, 1.0, 0.5, 0.0, 0.0]


def test_a_certificate_without_a_lifetime_has_none_left() -> None:
    facts = issue(not_before=NOW, not_after=NOW)
    assert facts.lifetime_left(NOW) == 0.0


# Judging


def test_a_good_certificate_has_no_problems() -> None:
    assert judged() == []
    assert judged(["*.example.org"], key=draw_key(KeyKind.RSA_2048)) == []
    assert judged(["192.0.2.1"], cn="") == []
    assert judged(usages=None) == []
    assert judged(eku=(CLIENT_AUTH, SERVER_AUTH)) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"not_after": NOW - timedelta(seconds=1)}, ["certificate.expired"]),
        ({"not_before": NOW + timedelta(seconds=1)}, ["certificate.not_yet_valid"]),
        ({"eku": (CLIENT_AUTH,)}, ["certificate.not_for_servers"]),
        ({"eku": (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)}, ["certificate.not_for_servers"]),
        ({"usages": frozenset({"key_encipherment"})}, ["certificate.not_for_servers"]),
        (
            {"usages": frozenset({"key_cert_sign"})},
            ["certificate.signs_certificates", "certificate.not_for_servers"],
        ),
        ({"is_ca": True}, ["certificate.is_ca"]),
        ({"names": [], "cn": "mail.example.org"}, ["certificate.no_usable_name"]),
        (
            {"names": ["localhost"], "cn": ""},
            ["certificate.no_usable_name", "certificate.unusable_names"],
        ),
        (
            {"names": ["*.co.uk", "*", "mail_1.example.org"]},
            [
                "certificate.no_usable_name",
                "certificate.names_underscore",
                "certificate.wildcard_public_suffix",
            ],
        ),
        ({"key": small_rsa_key()}, ["key.rsa_too_small"]),
        ({"key": ec.generate_private_key(ec.SECP256K1())}, ["key.curve_unsupported"]),
        ({"sha1": True}, ["certificate.weak_signature"]),
        ({"names": ["a.example", "localhost"]}, ["certificate.unusable_names"]),
    ],
)
def test_what_mail_programs_refuse_is_named(
    options: dict[str, object], expected: list[str]
) -> None:
    assert judged(**options) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("signature", ["sha1", "md5"])
def test_a_forgeable_signature_is_named_by_its_hash(signature: str) -> None:
    facts = read_certificate(RSA_CA.issue(signature=signature).cert_pem)
    (problem,) = judge_leaf(facts, NOW)
    assert (problem.code, problem.params["hash"]) == ("certificate.weak_signature", signature)


def test_a_certificate_for_anything_is_one_for_nothing_to_some() -> None:
    anything = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
    assert judged(eku=(SERVER_AUTH, anything)) == ["certificate.any_usage"]
    assert judged(eku=None) == ["certificate.no_server_usage"]


def test_a_proof_that_no_daemon_sends_is_warned_of() -> None:
    facts = sign_with(x509.TLSFeature([x509.TLSFeatureType.status_request]))
    found = {problem.code: problem.severity for problem in judge_leaf(facts, NOW)}
    assert found["certificate.must_staple"] is Severity.WARNING
    other = sign_with(x509.TLSFeature([x509.TLSFeatureType.status_request_v2]))
    assert "certificate.must_staple" not in codes(judge_leaf(other, NOW))


def test_several_problems_are_told_at_once() -> None:
    assert judged(
        [], not_after=NOW - timedelta(1), eku=(CLIENT_AUTH,), key=small_rsa_key(), sha1=True
    ) == [
        "certificate.expired",
        "certificate.not_for_servers",
        "key.rsa_too_small",
        "certificate.weak_signature",
        "certificate.no_usable_name",
    ]


def test_a_problem_names_the_certificate_and_the_fact() -> None:
    facts = issue(not_after=NOW - timedelta(seconds=1))
    assert judge_leaf(facts, NOW) == [
        Problem(
            "certificate.expired",
            subject=facts.fingerprint,
            params={"name": "mail.example.org", "not_after": "2026-11-24T11:59:59+00:00"},
        )
    ]


def test_names_that_match_no_host_are_counted_and_some_are_shown() -> None:
    facts = issue(["a.example", *(f"bad_{number}.example" for number in range(5))])
    (problem,) = judge_leaf(facts, NOW)
    assert problem.params["count"] == 5
    assert problem.params["names"] == "bad_0.example, bad_1.example, bad_2.example"


@pytest.mark.parametrize(
    ("days", "left", "is_told"),
    [(90, 31, False), (90, 29, True), (6, 4, False), (6, 2, True), (10, 4, False), (10, 3, True)],
)
def test_the_end_is_told_of_when_a_third_or_half_of_the_lifetime_is_left(
    days: int, left: int, is_told: bool
) -> None:
    facts = issue(not_before=NOW - timedelta(days - left), not_after=NOW + timedelta(left))
    problems = [found for found in judge_leaf(facts, NOW) if found.severity is Severity.WARNING]
    assert codes(problems) == (["certificate.expires_soon"] if is_told else [])
    assert all(problem.params["days"] == left for problem in problems)


@pytest.mark.parametrize(
    ("issued", "days", "limit"),
    [
        (datetime(2019, 6, 1, tzinfo=UTC), 825, 825),
        (datetime(2024, 6, 1, tzinfo=UTC), 398, 398),
        (datetime(2026, 3, 14, tzinfo=UTC), 398, 398),
        (datetime(2026, 3, 15, tzinfo=UTC), 200, 200),
        (datetime(2027, 3, 15, tzinfo=UTC), 100, 100),
        (datetime(2029, 3, 15, tzinfo=UTC), 47, 47),
    ],
)
def test_longer_validity_than_public_authorities_give_is_noted(
    issued: datetime, days: int, limit: int
) -> None:
    end = issued + timedelta(days=days)
    within = issue(not_before=issued, not_after=end - timedelta(seconds=1))
    assert judge_leaf(within, issued) == []
    (problem,) = judge_leaf(issue(not_before=issued, not_after=end), issued)
    assert problem.code == "certificate.long_lived"
    assert problem.severity is Severity.INFO
    assert problem.params == {"name": "mail.example.org", "days": days, "limit": limit}


def test_a_key_nobody_knows_is_refused_and_not_unreadable() -> None:
    p256, unknown = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f")
    facts = read_certificate(VALID.replace(p256, unknown))
    assert (facts.key, facts.public_key_id) == ("ECDSA unknown", "")
    (problem,) = judge_leaf(facts, NOW)
    assert (problem.code, problem.params["key"]) == ("key.unsupported", "ECDSA unknown")


def test_a_signature_nobody_knows_is_refused() -> None:
    sha256, unknown = bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d04037f")
    facts = read_certificate(VALID.replace(sha256, unknown))
    assert facts.signature_hash == "unknown"
    assert codes(judge_leaf(facts, NOW)) == ["certificate.signature_unknown"]


def test_a_signature_without_a_hash_of_its_own_is_strong_but_rare() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = common_name("Modern Root")
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW, NOW + timedelta(9))
    facts = read_certificate(builder.sign(key, None).public_bytes(Encoding.PEM))
    assert facts.signature_hash == ""
    assert facts.is_self_signed
    found = {problem.code: problem for problem in judge_leaf(facts, NOW)}
    assert "certificate.weak_signature" not in found
    assert found["certificate.signature_rare"].params["algorithm"] == "Ed25519"
    assert found["key.ed25519"].severity is Severity.ERROR


# Self-signed


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.ECDSA_P384])
def test_a_self_signed_certificate_is_good_but_for_its_issuer(kind: KeyKind) -> None:
    key = draw_key(kind)
    names = ["Mail.example.org", "bücher.example", "192.0.2.1"]
    facts = read_certificate(make_self_signed(key, names, NOW))
    assert codes(judge_leaf(facts, NOW)) == ["certificate.self_signed"]
    assert facts.names == ("mail.example.org", "xn--bcher-kva.example", "192.0.2.1")
    assert facts.common_name == "mail.example.org"
    assert facts.public_key_id == public_key_id(key)
    assert facts.is_self_signed
    assert not facts.is_ca
    assert facts.extended_key_usages == ("serverAuth",)
    assert facts.not_before == NOW - timedelta(hours=1)
    assert facts.days_left(NOW) == 365


def test_two_self_signed_certificates_differ() -> None:
    first, second = (make_self_signed(KEY, ["mail.example.org"], NOW, 10) for _ in range(2))
    assert first != second
    assert read_certificate(first).days_left(NOW) == 10


def test_a_name_too_long_for_a_common_name_stands_only_among_the_names() -> None:
    long = f"{'a' * 60}.example.org"
    assert read_certificate(make_self_signed(KEY, [long, "b.example"], NOW)).title == "b.example"
    facts = read_certificate(make_self_signed(KEY, [long], NOW))
    assert (facts.common_name, facts.names) == ("mail server", (long,))


def test_a_self_signed_certificate_needs_a_name() -> None:
    with pytest.raises(NameProblem):
        make_self_signed(KEY, [], NOW)


def test_a_certificate_with_its_own_name_but_another_key_is_not_self_signed() -> None:
    certificate = sign_certificate(
        common_name("Root"),
        KEY.public_key(),
        signer=common_name("Root"),
        signer_key=draw_key(),
        not_before=NOW,
        not_after=NOW,
    )
    assert not read_certificate(certificate.public_bytes(Encoding.DER)).is_self_signed


def test_an_authority_twice_over_is_none() -> None:
    """One says so and the other may not: none of both counts."""
    constraints = bytes.fromhex("300f0603551d130101ff040530030101ff")
    twice = encode(0xA3, encode(0x30, constraints * 2))
    assert make(change=replace_field(7, encode(0xA3, encode(0x30, constraints)))).is_ca
    facts = make(change=replace_field(7, twice))
    assert not facts.is_ca
    assert facts.unreadable_extensions == ()


def test_forms_of_names_that_the_library_has_no_words_for_are_no_fault() -> None:
    """An ediPartyName among the alternative names (RFC 5280, section 4.2.1.6) names no host."""
    party = encode(0xA5, encode(0xA1, encode(0x0C, b"somebody")))
    names = ("2.5.29.17", encode(0x30, party + encode(0x82, b"mail.example.org")), False)
    facts = make(USE, names)
    assert (facts.names, facts.unreadable_extensions) == (("mail.example.org",), ())
    elsewhere = ("2.5.29.18", encode(0x30, party), False)
    assert make(USE, elsewhere).unreadable_extensions == ("2.5.29.18",)
