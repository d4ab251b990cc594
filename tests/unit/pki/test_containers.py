"""Uploads of any kind, alone and mixed: PKCS#7, PKCS#12, zip, DER and base64, by their content."""

from __future__ import annotations

import base64
import io
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate, load_pem_x509_certificates
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.bundle import judge_bundle
from mailadmin.pki.csr import CsrSubject, build_csr
from mailadmin.pki.der import encode
from mailadmin.pki.keys import public_key_id
from mailadmin.pki.parts import (
    MAX_CONTAINER_BYTES,
    FileFound,
    FileKind,
    Found,
    Parts,
    read_parts,
)
from mailadmin.pki.pem import armor, decode_text, find_blocks
from mailadmin.pki.problems import Problem, Severity
from tests.throwaway_pki import ThrowawayCa, draw_key

FOLDER = Path(__file__).parent / "containers"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PASSWORD = "open sesame"
CA = ThrowawayCa(now=NOW)
KEY = draw_key()
ISSUED = CA.issue(key=KEY)
TITLES = ["mail.example.test", "Throwaway Root Intermediate 1"]


def der_of(pem: bytes) -> bytes:
    (block,) = find_blocks(decode_text(pem))
    assert block.content is not None
    return block.content


def pack_pkcs7(encoding: Encoding = Encoding.DER) -> bytes:
    certificates = load_pem_x509_certificates(ISSUED.fullchain_pem)
    return pkcs7.serialize_certificates(certificates, encoding)


def pack_pkcs12(password: str = PASSWORD) -> bytes:
    leaf, *others = load_pem_x509_certificates(ISSUED.fullchain_pem)
    lock = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"mail", KEY, leaf, others, lock)


def pack_zip(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def in_base64(content: bytes) -> bytes:
    return base64.encodebytes(content)


def titles(parts: Parts) -> set[str]:
    return {facts.title for facts in parts.certificates}


def codes(parts: Parts) -> list[str]:
    return [problem.code for problem in parts.problems]


P7, P12 = pack_pkcs7(), pack_pkcs12()
WHOLE = {
    "PEM": ISSUED.fullchain_pem + ISSUED.key_pem,
    "PKCS#12": P12,
    "PKCS#12 in PEM": armor("PKCS12", P12),
    "PKCS#12 under another label": armor("DATA", P12),
    "PKCS#12 in base64": in_base64(P12),
    "PKCS#12 in base64 and UTF-16": in_base64(P12).decode().encode("utf-16"),
    "PKCS#12 without password": pack_pkcs12(""),
    "zip": pack_zip(a=ISSUED.cert_pem, b=ISSUED.chain_pem, c=ISSUED.key_pem, README=b"Hello!"),
    "zip of all kinds": pack_zip(
        **{"a.p7b": P7, "__MACOSX/x": b"y", "b.key": der_of(ISSUED.key_pem)}
    ),
    "zip of PKCS#12": pack_zip(a=P12, manual=b"%PDF-1.7"),
    "DER after DER": der_of(ISSUED.cert_pem)
    + der_of(ISSUED.chain_pem)
    + b"\n"
    + der_of(ISSUED.key_pem),
    "OpenSSL's own form": armor("TRUSTED CERTIFICATE", der_of(ISSUED.cert_pem) + b"\x30\x00")
    + ISSUED.chain_pem
    + ISSUED.key_pem,
    "a key under a wrong label": ISSUED.fullchain_pem
    + armor("RSA PRIVATE KEY", der_of(ISSUED.key_pem)),
    "UTF-32": (ISSUED.fullchain_pem + ISSUED.key_pem).decode().encode("utf-32"),
    "UTF-32 without a mark": (ISSUED.fullchain_pem + ISSUED.key_pem).decode().encode("utf-32-be"),
}
CHAINS = {
    "DER": P7,
    "PEM": pack_pkcs7(Encoding.PEM),
    "labelled CMS": armor("CMS", P7),
    "labelled as a certificate": armor("CERTIFICATE", P7),
    "base64": in_base64(P7),
    "BER": b"\x30\x80" + P7[4:] + b"\0\0",
}


@pytest.mark.parametrize("kind", WHOLE)
def test_whatever_people_have_is_understood(kind: str) -> None:
    parts = read_parts([WHOLE[kind]], PASSWORD)
    assert titles(parts) == set(TITLES)
    assert [public_key_id(key) for key in parts.private_keys] == [public_key_id(KEY)]
    assert parts.problems == ()
    verdict = judge_bundle(parts, now=NOW)
    assert verdict.key_matches
    assert [facts.title for facts in verdict.chain] == TITLES[1:]


@pytest.mark.parametrize("kind", CHAINS)
def test_every_form_of_pkcs7_is_understood(kind: str) -> None:
    parts = read_parts([CHAINS[kind]])
    assert titles(parts) == set(TITLES)
    assert parts.problems == ()
    found = Found(leaves=1, intermediates=1)
    assert parts.files == (FileFound(1, FileKind.PKCS7, found),)


def test_everything_may_be_mixed_and_each_part_is_told() -> None:
    inputs = [P7, b"", ISSUED.key_pem, pack_zip(a=CA.root_pem), der_of(ISSUED.cert_pem), P12]
    parts = read_parts(inputs, PASSWORD)
    assert titles(parts) == {*TITLES, "Throwaway Root"}
    assert parts.problems == ()
    assert [(file.part, file.kind, file.found) for file in parts.files] == [
        (1, FileKind.PKCS7, Found(leaves=1, intermediates=1)),
        (3, FileKind.TEXT, Found(keys=1)),
        (4, FileKind.ZIP, Found(roots=1)),
        (5, FileKind.DER, Found(leaves=1)),
        (6, FileKind.PKCS12, Found(leaves=1, intermediates=1, keys=1)),
    ]
    assert judge_bundle(parts, now=NOW).files == parts.files


def test_a_request_is_counted_in_its_file() -> None:
    csr = build_csr(KEY, CsrSubject(), ["mail.example.org"])
    parts = read_parts([der_of(csr), ISSUED.cert_pem])
    assert parts.files[0] == FileFound(1, FileKind.DER, Found(requests=1))


def test_the_password_of_a_file_is_asked_for_and_checked() -> None:
    for inputs in ([P12], [ISSUED.fullchain_pem, P12]):
        part = len(inputs)
        parts = read_parts(inputs)
        assert parts.problems == (Problem("pkcs12.password_needed", params={"part": part}),)
        assert codes(read_parts(inputs, "wrong")) == ["pkcs12.password_wrong"]
        assert "key.missing" not in [found.code for found in judge_bundle(parts, now=NOW).problems]
    (problem,) = read_parts([pack_zip(**{"my.pfx": P12})]).problems
    assert problem.params == {"part": 1, "member": "my.pfx"}


def test_of_many_keys_only_some_are_opened() -> None:
    (folder_key,) = (FOLDER / "nothing-locked.b64",)
    packed = base64.b64decode(folder_key.read_text())
    parts = read_parts([*[ISSUED.key_pem] * 4, packed])
    assert codes(parts) == ["bundle.too_many_keys"]


def test_a_message_holds_no_certificates() -> None:
    enveloped = encode(
        0x30, encode(6, bytes.fromhex("2a864886f70d010703")) + encode(0xA0, b"\x30\0")
    )
    without = encode(0x30, encode(2, b"\x01"))
    signed = encode(0x30, encode(6, bytes.fromhex("2a864886f70d010702")) + encode(0xA0, without))
    for content in (enveloped, signed, armor("PKCS7", signed)):
        parts = read_parts([content])
        assert codes(parts) == ["bundle.block_ignored"]
        assert judge_bundle(parts, now=NOW).problems[0].code == "bundle.no_certificate"


def test_damaged_pkcs7_is_told() -> None:
    signed = encode(6, bytes.fromhex("2a864886f70d010702"))
    broken = encode(
        0x30, signed + encode(0xA0, encode(0x30, encode(0xA0, b"\x30\x03\x02\x01\x01")))
    )
    shapeless = encode(0x30, signed + encode(0xA0, encode(4, b"x")))
    for content in (broken, shapeless):
        parts = read_parts([ISSUED.cert_pem, content])
        params = {"part": 2, "kind": "pkcs7"}
        assert parts.problems == (Problem("bundle.file_unreadable", params=params),)


def test_damage_in_a_file_of_pkcs12_is_told() -> None:
    leaf = load_pem_x509_certificate(ISSUED.cert_pem)
    packed = pkcs12.serialize_key_and_certificates(None, KEY, leaf, None, NoEncryption())
    der = leaf.public_bytes(Encoding.DER)
    key = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert codes(read_parts([packed.replace(der, bytes(len(der)))])) == ["pkcs12.unreadable"]
    assert key[3:6] == encode(2, b"\0")  # the version
    broken = key[:5] + b"\x09" + key[6:]
    assert codes(read_parts([packed.replace(key, broken)])) == ["pkcs12.unreadable"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xfe\xed\xfe\xed\0\0", "jks"),
        (b"\xce\xce\xce\xce\0\0", "jceks"),
        (b"PuTTY-User-Key-File-3: ssh-rsa", "putty"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"%PDF-1.7", "pdf"),
    ],
)
def test_files_of_other_programs_are_named(content: bytes, kind: str) -> None:
    assert read_parts([content]).problems == (
        Problem("bundle.foreign", params={"part": 1, "kind": kind}),
    )
    parts = read_parts([ISSUED.cert_pem, content])
    assert [found.severity for found in parts.problems] == [Severity.WARNING]


def test_a_zip_file_of_nothing_is_garbage_and_one_in_another_is_not_opened() -> None:
    inner = pack_zip(a=ISSUED.cert_pem)
    for members in ({}, {"README": b"Hello!"}, {"a.pdf": b"%PDF-1.7"}):
        assert codes(read_parts([pack_zip(**members)])) == ["bundle.garbage"]
    nested = read_parts([pack_zip(b=inner)])
    assert nested.problems == (Problem("zip.nested", params={"part": 1, "member": "b"}),)
    beside = read_parts([pack_zip(a=ISSUED.cert_pem, b=inner)])
    assert [found.severity for found in beside.problems] == [Severity.WARNING]
    assert codes(read_parts([b"PK\x03\x04"])) == ["zip.unreadable"]


def test_a_damaged_file_in_a_zip_file_is_named() -> None:
    parts = read_parts([pack_zip(a=ISSUED.cert_pem, b=b"-----BEGIN CERTIFICATE-----")])
    params = {"part": 1, "member": "b", "line": 1, "label": "CERTIFICATE"}
    assert parts.problems == (Problem("bundle.block_unreadable", params=params),)


@pytest.mark.parametrize(
    "content",
    [
        der_of(ISSUED.cert_pem) + b"\x30\x82\xff\xff",
        der_of(ISSUED.cert_pem) + encode(0x30, encode(2, b"\x01")),
    ],
)
def test_garbage_after_a_structure_is_pointed_out(content: bytes) -> None:
    parts = read_parts([content])
    assert len(parts.certificates) == 1
    assert codes(parts) == ["bundle.garbage"]


@pytest.mark.parametrize("text", [b"A" * 61, b"A" * 64, b"word " * 40, b"MIIB", b"=" * 80])
def test_words_are_no_base64(text: bytes) -> None:
    assert codes(read_parts([text])) == ["bundle.garbage"]


def test_labels_that_promise_a_file_must_hold_one() -> None:
    for label in ("PKCS7", "PKCS12", "TRUSTED CERTIFICATE", "CERTIFICATE"):
        for content in (b"abc", encode(0x30, encode(2, b"\x01"))):
            assert codes(read_parts([armor(label, content)])) == ["bundle.block_unreadable"]


def test_only_so_many_structures_are_read() -> None:
    der = der_of(ISSUED.cert_pem)
    assert codes(read_parts([der * 41])) == ["bundle.too_many_blocks"]
    many = pkcs7.serialize_certificates(
        load_pem_x509_certificates(ISSUED.cert_pem * 60), Encoding.DER
    )
    parts = read_parts([many])
    assert "bundle.too_many_blocks" in codes(parts)
    assert len(parts.certificates) <= 40


# Bounds


def test_files_of_pkcs12_and_zip_may_be_larger_than_others() -> None:
    for begin in (b"PK\x03\x04", P12):
        within = begin + bytes(MAX_CONTAINER_BYTES - len(begin))
        assert "bundle.too_large" not in codes(read_parts([within], PASSWORD))
        parts = read_parts([within + b"\0"], PASSWORD)
        assert parts.problems == (Problem("bundle.too_large", params={"part": 1, "limit": 256}),)


def test_what_was_written_here_has_no_limit_and_is_no_part() -> None:
    written = ISSUED.fullchain_pem + b" " * 100_000 + ISSUED.key_pem
    parts = read_parts([CA.root_pem], written=[written])
    assert titles(parts) == {*TITLES, "Throwaway Root"}
    assert [file.part for file in parts.files] == [1]
    assert read_parts([], written=[b" " * 2_000_000]).certificates == ()


def test_the_largest_hostile_files_are_read_in_moments() -> None:
    begin = b"\x30\x83\x04\x00\x00\x02\x01\x03\x30"
    files = [
        begin + b"\x80" * 262_000,
        begin + b"\x30\x80" * 131_000,
        b"\x30\x80\x02\x01\x03\x30\x80" + b"\x24\x02\x04\x00" * 65_000,
        pack_zip(**{str(number): b"\x30\x80" * 30_000 for number in range(15)}),
    ]
    before = time.process_time()
    for content in files:
        assert read_parts([content], PASSWORD).problems
    assert time.process_time() - before < 2


PIECES = [*WHOLE.values(), *CHAINS.values(), b"\x30\x80", b"PK\x03\x04", b"\0" * 9]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=40), max_size=4), st.data())
def test_any_mixture_is_taken_apart(pieces: list[bytes], data: st.DataObject) -> None:
    glued = bytearray(b"".join(pieces))
    for _ in range(data.draw(st.integers(0, 4)) if glued else 0):
        glued[data.draw(st.integers(0, len(glued) - 1))] = data.draw(st.integers(0, 255))
    for inputs in (pieces, [bytes(glued)]):
        parts = read_parts(inputs, PASSWORD)
        assert parts.problems or parts.certificates or parts.private_keys
