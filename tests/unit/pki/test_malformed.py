"""A certificate that no library reads is told by the field that is wrong in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.bundle import judge_bundle
from mailadmin.pki.csr import CsrProblem, read_foreign_csr
from mailadmin.pki.facts import CertificateProblem, read_certificate
from mailadmin.pki.keys import private_key_to_pem
from mailadmin.pki.malformed import explain_unreadable
from mailadmin.pki.parts import read_parts
from mailadmin.pki.pem import armor
from mailadmin.pki.problems import Param, Problem
from mailadmin.pki.raw_fields import encode, read_element, split
from tests.unit.pki.handmade import KEY, NOW, USE, make, san

GOOD = make(USE, san(b"mail.example.org")).der
VERSION, ALGORITHM, ISSUER, VALIDITY, SUBJECT, SPKI, EXTENSIONS = 0, 2, 3, 4, 5, 6, 7
NULL = b"\x05\x00"
COMMON_NAME = bytes.fromhex("0603550403")
SHA256_ECDSA = bytes.fromhex("06082a8648ce3d040302")
RSA_PSS = bytes.fromhex("06092a864886f70d01010a")
DSA = bytes.fromhex("06072a8648ce380401")


def spoil(number: int, content: bytes) -> bytes:
    """Return the good certificate with another field; its signature fits no more."""
    signed, *rest = split(read_element(GOOD, 0).content)
    fields = [element.whole for element in split(signed.content)]
    fields[number] = content
    whole = encode(0x30, b"".join(fields)) + b"".join(element.whole for element in rest)
    return encode(0x30, whole)


def name_of(value: bytes) -> bytes:
    return encode(0x30, encode(0x31, encode(0x30, COMMON_NAME + value)))


def validity_of(*times: bytes) -> bytes:
    return encode(0x30, b"".join(encode(0x17, time) for time in times))


def key_of(algorithm: bytes) -> bytes:
    return encode(0x30, encode(0x30, algorithm) + encode(0x03, b"\0" + encode(0x02, b"\x05")))


def extension_of(*fields: bytes) -> bytes:
    return encode(0xA3, encode(0x30, encode(0x30, b"".join(fields))))


KEY_USAGE = bytes.fromhex("0603551d0f")
NOT_CRITICAL = bytes.fromhex("010100")
USAGE_VALUE = encode(0x04, bytes.fromhex("03020780"))
MALFORMED: list[tuple[int, bytes, str, Param]] = [
    (VERSION, encode(0xA0, bytes.fromhex("020107")), "version", 8),
    (VERSION, encode(0xA0, bytes.fromhex("0201ff")), "version", 0),
    (VERSION, encode(0xA0, encode(0x02, b"\x7f" * 30)), "version", 2**31),
    (VERSION, encode(0xA0, b""), "form", ""),
    (ALGORITHM, encode(0x30, SHA256_ECDSA + NULL), "algorithm", ""),
    (ALGORITHM, encode(0x30, RSA_PSS + NULL), "form", ""),
    (ALGORITHM, encode(0x30, b""), "form", ""),
    (ISSUER, name_of(encode(0x0C, b"\xff\xfe")), "name", ""),
    (SUBJECT, name_of(encode(0x1E, b"\xd8\x00")), "name", ""),
    (SUBJECT, name_of(encode(0x09, b"\x03")), "name", ""),
    (SUBJECT, name_of(b"\x3f\x1e\x01a"), "name", ""),
    (SUBJECT, name_of(b""), "name", ""),
    (SUBJECT, encode(0x30, encode(0x30, b"")), "name", ""),
    (VALIDITY, validity_of(b"20260101000000Z", b"270101000000Z"), "time", ""),
    (VALIDITY, validity_of(b"260101000000Z", b"2701010000Z"), "time", ""),
    (VALIDITY, encode(0x30, encode(0x02, b"\x01")), "time", ""),
    (SPKI, encode(0x30, b""), "form", ""),
    (SPKI, key_of(DSA[:-1] + b"\x7f"), "form", ""),
    (EXTENSIONS, extension_of(KEY_USAGE, NOT_CRITICAL, USAGE_VALUE), "extension", "2.5.29.15"),
    (EXTENSIONS, extension_of(KEY_USAGE), "form", ""),
    (EXTENSIONS, encode(0xA2, b""), "form", ""),
    (EXTENSIONS, extension_of(), "form", ""),
]


@pytest.mark.parametrize(("number", "content", "fault", "detail"), MALFORMED)
def test_the_malformed_field_is_told(
    number: int, content: bytes, fault: str, detail: Param
) -> None:
    problem = explain_unreadable(spoil(number, content))
    assert problem == Problem("certificate.malformed", params={"fault": fault, "detail": detail})


@pytest.mark.parametrize(
    "index", [index for index, row in enumerate(MALFORMED) if row[2] != "form"]
)
def test_what_is_told_as_malformed_the_library_refuses(index: int) -> None:
    number, content, fault, _ = MALFORMED[index]
    with pytest.raises(CertificateProblem) as refused:
        read_certificate(spoil(number, content))
    assert refused.value.problem.params["fault"] == fault


def test_a_certificate_without_a_version_is_of_the_first() -> None:
    signed, *rest = split(read_element(GOOD, 0).content)
    fields = [element.whole for element in split(signed.content)][1:]
    fields[SUBJECT - 1] = name_of(encode(0x09, b"\x03"))
    whole = encode(0x30, b"".join(fields)) + b"".join(element.whole for element in rest)
    problem = explain_unreadable(encode(0x30, whole))
    assert problem is not None
    assert problem.params["fault"] == "name"


def test_a_signature_by_pss_needs_its_parameters() -> None:
    """The library looks for them only in the algorithm outside."""
    signed, _, signature = split(read_element(GOOD, 0).content)
    for parameters, fault in ((b"", "algorithm"), (NULL, "form")):
        outside = encode(0x30, RSA_PSS + parameters)
        problem = explain_unreadable(encode(0x30, signed.whole + outside + signature.whole))
        assert problem is not None
        assert problem.params["fault"] == fault


def test_a_dsa_key_with_the_numbers_of_its_authority_is_told_by_its_kind() -> None:
    with pytest.raises(CertificateProblem) as refused:
        read_certificate(spoil(SPKI, key_of(DSA)))
    assert refused.value.problem == Problem("key.dsa", params={"key": "DSA"})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x30",
        b"\x30\x00",
        encode(0x30, encode(0x30, b"")),
        encode(0x30, encode(0x30, b"\x02") + encode(0x30, b"") + encode(0x03, b"\0")),
        encode(0x30, encode(0x30, b"") + encode(0x30, b"") + encode(0x03, b"\0")),
        encode(0x30, encode(0x30, encode(0xA0, b"")) + encode(0x30, b"") + encode(0x03, b"\0")),
        GOOD[:-1],
    ],
)
def test_what_has_not_the_outline_of_a_certificate_is_none(content: bytes) -> None:
    assert explain_unreadable(content) is None


@given(st.data())
def test_nothing_is_raised_for_any_damage(data: st.DataObject) -> None:
    spoilt = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 5))):
        spoilt[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    explain_unreadable(bytes(spoilt))


VERSION_8 = spoil(*MALFORMED[0][:2])


@pytest.mark.parametrize("content", [VERSION_8, armor("CERTIFICATE", VERSION_8)])
def test_an_upload_is_told_what_is_wrong_and_nothing_else(content: bytes) -> None:
    for inputs in ([content], [content, private_key_to_pem(KEY)]):
        verdict = judge_bundle(read_parts(inputs), now=NOW)
        expected = Problem("certificate.malformed", params={"part": 1, **_version_8()})
        assert verdict.problems == (expected,)


def test_one_malformed_certificate_keeps_the_others() -> None:
    parts = read_parts([GOOD, VERSION_8])
    assert len(parts.certificates) == 1
    assert [(item.code, item.params["part"]) for item in parts.problems] == [
        ("certificate.malformed", 2)
    ]


def test_a_malformed_certificate_is_no_request_either() -> None:
    with pytest.raises(CsrProblem) as refused:
        read_foreign_csr(VERSION_8)
    assert refused.value.problem.code == "csr.is_certificate"


def _version_8() -> dict[str, Param]:
    return {"fault": "version", "detail": 8}
