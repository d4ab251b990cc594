"""The make of a certificate: what a strict client refuses whatever it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from mailadmin.pki.certificate import CertificateFacts, judge_leaf, read_certificate
from mailadmin.pki.key_rules import kind_problem, raw_key_problems
from mailadmin.pki.keys import KeyKind
from mailadmin.pki.pem import find_blocks
from mailadmin.pki.problems import Severity
from mailadmin.pki.raw_fields import (
    MAX_EXTENSIONS,
    RawKey,
    encode,
    read_element,
    read_raw,
    with_only,
)
from tests.throwaway_pki import ThrowawayCa, as_version_1, draw_key
from tests.unit.pki.handmade import NOW, USE, judge, make, replace_field, san

CORPORA = Path(__file__).parents[2] / "corpora"
GOOD = (san(b"mail.example.org"), USE)


def test_a_plain_certificate_is_in_order() -> None:
    assert judge(make(*GOOD)) == {}


@pytest.mark.parametrize(
    ("serial", "code", "severity"),
    [
        ("020100", "certificate.serial_zero", Severity.WARNING),
        ("0201ff", "certificate.serial_invalid", Severity.ERROR),
        ("0215" + "01" * 21, "certificate.serial_invalid", Severity.ERROR),
        ("0214" + "01" * 20, "", Severity.INFO),
    ],
)
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_serial_numbers_are_positive_and_short(serial: str, code: str, severity: Severity) -> None:
    facts = make(*GOOD, change=replace_field(1, bytes.fromhex(serial)))
    assert {name: found.severity for name, found in judge(facts).items()} == (
        {code: severity} if code else {}
    )


def test_a_certificate_without_an_issuer_is_refused() -> None:
    assert "certificate.issuer_empty" in judge(make(*GOOD, issuer=""))


def test_two_ways_of_signing_are_refused() -> None:
    sha384 = bytes.fromhex("300a06082a8648ce3d040303")
    assert "certificate.algorithms_differ" in judge(make(*GOOD, change=replace_field(2, sha384)))


def test_version_1_is_refused_though_it_is_read() -> None:
    ca = ThrowawayCa(now=NOW)
    old = as_version_1(ca.intermediates[0].certificate, ca.root.key)
    found = judge(read_certificate(old.public_bytes(Encoding.DER)))
    assert found["certificate.not_version_3"].params["version"] == 1


def test_an_extension_that_must_be_understood_and_is_not_is_refused() -> None:
    facts = make(*GOOD, ("1.2.3.4", b"\x05\x00", True), ("1.2.3.5", b"\x05\x00", False))
    assert judge(facts)["certificate.extension_unknown"].params["extensions"] == "1.2.3.4"
    assert judge(make(*GOOD, ("1.2.3.4", b"\x05\x00", False))) == {}


def test_the_announcement_of_a_certificate_is_none() -> None:
    facts = make(*GOOD, ("1.3.6.1.4.1.11129.2.4.3", b"\x05\x00", True))
    assert set(judge(facts)) == {"certificate.precertificate"}


def test_a_malformed_extension_is_named_and_the_rest_is_read() -> None:
    facts = make(*GOOD, ("2.5.29.19", b"zz", True))
    assert facts.names == ("mail.example.org",)
    assert facts.unreadable_extensions == ("2.5.29.19",)
    found = judge(facts)
    assert set(found) == {"certificate.extension_unreadable"}
    assert found["certificate.extension_unreadable"].params["extensions"] == "basicConstraints"


def test_an_empty_list_of_uses_is_told_from_a_malformed_one() -> None:
    san = GOOD[0]
    assert set(judge(make(san, ("2.5.29.37", b"\x30\x00", False)))) >= {"certificate.usages_empty"}
    malformed = judge(make(san, ("2.5.29.37", b"zz", False)))
    assert "certificate.usages_empty" not in malformed
    assert malformed["certificate.extension_unreadable"].params["extensions"] == "extKeyUsage"


def test_a_malformed_san_names_nothing() -> None:
    facts = make(("2.5.29.17", b"zz", False), USE)
    assert facts.names == ()
    assert set(judge(facts)) == {
        "certificate.extension_unreadable",
        "certificate.no_usable_name",
    }


def test_too_many_extensions_are_not_looked_at() -> None:
    many = [(f"1.2.3.{number}", b"\x05\x00", False) for number in range(MAX_EXTENSIONS)]
    assert "certificate.extensions_too_many" in judge(make(*GOOD, *many))
    assert "certificate.extensions_too_many" not in judge(make(*GOOD, *many[3:]))


def change_key(algorithm: str, key: bytes) -> CertificateFacts:
    bits = encode(0x03, b"\0" + key)
    return make(*GOOD, change=replace_field(6, encode(0x30, bytes.fromhex(algorithm) + bits)))


RSA, PSS = "300d06092a864886f70d0101010500", "300b06092a864886f70d01010a"


P_512 = encode(0x02, b"\x7f" * 64)
SMALL_DSA = encode(
    0x30,
    bytes.fromhex("06072a8648ce380401") + encode(0x30, P_512 + encode(0x02, b"\x7f" * 20) + P_512),
).hex()


def rsa_key(modulus: int, exponent: int) -> bytes:
    numbers = [
        encode(0x02, number.to_bytes(number.bit_length() // 8 + 1, signed=True))
        for number in (modulus, exponent)
    ]
    return encode(0x30, b"".join(numbers))


@pytest.mark.parametrize(
    ("algorithm", "key", "words", "code"),
    [
        (RSA, rsa_key(2**2047 + 1, 1), "RSA 2048", "key.rsa_exponent_invalid"),
        (RSA, rsa_key(2**2047 + 1, 4), "RSA 2048", "key.rsa_exponent_invalid"),
        (RSA, rsa_key(2**2047 + 1, -3), "RSA 2048", "key.rsa_exponent_invalid"),
        (RSA, rsa_key(2**2047 + 1, 3), "RSA 2048", "key.rsa_exponent_small"),
        (RSA, rsa_key(2**2047 + 1, 2**70 + 1), "RSA 2048", "key.rsa_exponent_large"),
        (RSA, rsa_key(2**2048 + 1, 65537), "RSA 2049", "key.rsa_odd_size"),
        (RSA, rsa_key(2**8200 + 1, 65537), "RSA 8201", "key.rsa_too_large"),
        (RSA, rsa_key(-1, 65537), "RSA 1", "key.rsa_too_small"),
        (RSA, b"\x30\x03\x02\x01\x05", "unknown", "key.unsupported"),
        (RSA, b"zz", "unknown", "key.unsupported"),
        (PSS, rsa_key(2**2047 + 1, 65537), "RSA-PSS 2048", "key.rsa_pss"),
        (SMALL_DSA, b"\x02\x01\x05", "DSA 511", "key.dsa"),
        ("3005060329010f", b"zz", "unknown", "key.unsupported"),
    ],
)
def test_keys_are_named_and_judged_also_if_no_library_takes_them(
    algorithm: str, key: bytes, words: str, code: str
) -> None:
    facts = change_key(algorithm, key)
    assert facts.key == words
    assert code in judge(facts)


def test_a_curve_that_is_spelled_out_is_refused() -> None:
    pem = (CORPORA / "badkeys" / "ecdsa-explicit-pub.key").read_text()
    (block,) = find_blocks(pem)
    assert block.content is not None
    facts = make(*GOOD, change=replace_field(6, block.content))
    assert facts.key == "ECDSA explicit"
    assert "key.curve_explicit" in judge(facts)


def test_a_key_that_no_library_takes_though_its_numbers_are_good_is_refused() -> None:
    raw = RawKey("1.2.840.113549.1.1.1", 0x05, rsa_key(2**2047, 65537))
    assert [found.code for found in raw_key_problems(raw)] == ["key.unsupported"]


def test_an_exponent_as_large_as_the_modulus_is_refused() -> None:
    facts = change_key(RSA, rsa_key(2**2047 + 1, 2**2047 + 3))
    found = judge(facts)
    assert found["key.rsa_exponent_large"].severity is Severity.WARNING
    assert found["key.unsupported"].severity is Severity.ERROR


def test_an_unreadable_extension_is_called_by_its_name() -> None:
    below_zero = ("2.5.29.54", bytes.fromhex("0201ff"), True)
    found = judge(make(*GOOD, below_zero))["certificate.extension_unreadable"]
    assert found.params["extensions"] == "inhibitAnyPolicy"


def test_the_numbers_of_a_key_are_two() -> None:
    assert RawKey("1.2.3", 0, rsa_key(15, 3)).read_rsa_numbers() == (15, 3)
    assert RawKey("1.2.3", 0, b"").read_rsa_numbers() is None


@pytest.mark.parametrize(
    ("hash_", "code"),
    [
        (hashes.SHA224(), "certificate.signature_sha224"),
        (hashes.SHA3_256(), "certificate.signature_rare"),
        (hashes.SHA512(), ""),
    ],
)
def test_the_hash_of_a_signature_is_judged(hash_: hashes.HashAlgorithm, code: str) -> None:
    key = draw_key(KeyKind.RSA_2048)
    builder = builder_for(key)
    facts = read_certificate(builder.sign(key, hash_).public_bytes(Encoding.DER))  # type: ignore[arg-type]
    found = {name for name in judge(facts) if "signature" in name}
    assert found == ({code} if code else set())


def builder_for(key: rsa.RSAPrivateKey | object) -> x509.CertificateBuilder:
    template = x509.load_der_x509_certificate(make(*GOOD).der)
    return x509.CertificateBuilder(
        template.issuer,
        template.subject,
        key.public_key(),  # type: ignore[attr-defined]
        7,
        template.not_valid_before_utc,
        template.not_valid_after_utc,
    )


def test_a_signature_by_rsa_pss_is_judged_by_its_hash() -> None:
    key = draw_key(KeyKind.RSA_2048)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    certificate = builder_for(key).sign(key, hashes.SHA256(), rsa_padding=pss)
    facts = read_certificate(certificate.public_bytes(Encoding.DER))
    assert facts.is_self_signed
    assert not {name for name in judge(facts) if "signature" in name}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("0c", "02", "certificate.weak_signature"),  # MD2
        ("0c", "7f", "certificate.signature_unknown"),
    ],
)
def test_a_signature_that_no_library_knows_is_refused(old: str, new: str, code: str) -> None:
    key = draw_key(KeyKind.RSA_2048)
    der = builder_for(key).sign(key, hashes.SHA384()).public_bytes(Encoding.DER)
    prefix = "06092a864886f70d0101"
    changed = der.replace(bytes.fromhex(prefix + old), bytes.fromhex(prefix + new))
    found = judge(read_certificate(changed))
    assert code in found
    if new == "02":
        assert found[code].params["hash"] == "md2"


def test_a_certificate_needs_no_extensions() -> None:
    raw = read_raw(make().der)
    assert (raw.extensions, raw.find_values("2.5.29.17")) == ((), [])
    whole = make(*GOOD)
    alone = read_certificate(with_only(whole.der, read_raw(whole.der).extensions[1]))
    assert (alone.names, alone.extended_key_usages) == ((), ("serverAuth",))


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x05ab", b"\x30\x82\xff\xffab", b"\x30\x00"])
def test_what_is_no_element_or_no_certificate_is_told(der: bytes) -> None:
    with pytest.raises(ValueError, match=r"element|unpack"):
        read_raw(der)


def test_long_elements_are_written_as_they_are_read() -> None:
    for length in (0, 127, 128, 255, 256, 70000):
        whole = encode(0x04, b"x" * length)
        assert read_element(whole, 0) == (0x04, b"x" * length, whole)


def test_judging_a_leaf_reads_it_again_and_says_the_same() -> None:
    facts = make(*GOOD)
    assert judge_leaf(facts, NOW) == judge_leaf(read_certificate(facts.pem.encode()), NOW)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("DSA 1024", "key.dsa"),
        ("MLDSA65", "key.post_quantum"),
        ("X448", "key.key_agreement"),
        ("GOST", "key.unsupported"),
    ],
)
def test_other_kinds_of_keys_have_their_own_words(kind: str, code: str) -> None:
    assert kind_problem(kind).code == code
