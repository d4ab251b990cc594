"""Taking an upload apart: what is understood, and a word about everything that is not."""

from __future__ import annotations

import itertools
import random
import time
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.csr import CsrSubject, build_csr
from mailadmin.pki.keys import PrivateKey, private_key_to_pem, public_key_id
from mailadmin.pki.parts import MAX_TEXT_BYTES, Parts, read_parts
from mailadmin.pki.pem import armor, decode_text, find_blocks
from mailadmin.pki.problems import Problem, Severity
from tests.throwaway_pki import ThrowawayCa, draw_key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PASSWORD = "correct horse"
CA = ThrowawayCa(now=NOW)
KEY = draw_key()
ISSUED = CA.issue(key=KEY)
CSR = build_csr(KEY, CsrSubject(), ["mail.example.org"])
CHAIN_TITLES = ["mail.example.test", "Throwaway Root Intermediate 1", "Throwaway Root"]


def der_of(pem: bytes) -> bytes:
    (block,) = find_blocks(decode_text(pem))
    assert block.content is not None
    return block.content


def encrypt(key: PrivateKey, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(PASSWORD.encode()))


def titles(parts: Parts) -> list[str]:
    return [facts.title for facts in parts.certificates]


def key_ids(parts: Parts) -> list[str]:
    return [public_key_id(key) for key in parts.private_keys]


def codes(parts: Parts) -> list[str]:
    return [problem.code for problem in parts.problems]


# What is understood


def test_one_paste_may_hold_everything() -> None:
    parts = read_parts([ISSUED.fullchain_pem + CA.root_pem + ISSUED.key_pem])
    assert titles(parts) == CHAIN_TITLES
    assert key_ids(parts) == [public_key_id(KEY)]
    assert parts.problems == ()


def test_parts_may_come_in_any_order_and_number() -> None:
    pieces = [ISSUED.cert_pem, *CA.intermediate_pems, CA.root_pem, ISSUED.key_pem]
    for order in itertools.permutations(pieces):
        for inputs in (list(order), [b"".join(order)], [order[0], b"\n".join(order[1:])]):
            parts = read_parts(inputs)
            assert sorted(titles(parts)) == sorted(CHAIN_TITLES)
            assert key_ids(parts) == [public_key_id(KEY)]
            assert parts.problems == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\n\n", " \n\t"])
def test_text_may_be_of_any_encoding_and_line_end(encoding: str, line_end: str) -> None:
    text = "Bag Attributes: none\n" + (ISSUED.fullchain_pem + ISSUED.key_pem).decode().rstrip()
    parts = read_parts([text.replace("\n", line_end).encode(encoding)])
    assert titles(parts) == CHAIN_TITLES[:2]
    assert key_ids(parts) == [public_key_id(KEY)]
    assert parts.problems == ()


def test_binary_files_are_understood() -> None:
    parts = read_parts([der_of(ISSUED.cert_pem), der_of(ISSUED.key_pem), der_of(CA.root_pem)])
    assert titles(parts) == [CHAIN_TITLES[0], CHAIN_TITLES[2]]
    assert key_ids(parts) == [public_key_id(KEY)]
    assert parts.problems == ()


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_opened(form: PrivateFormat) -> None:
    parts = read_parts([ISSUED.cert_pem + encrypt(KEY, form)], PASSWORD)
    assert key_ids(parts) == [public_key_id(KEY)]
    assert parts.problems == ()


def test_an_elliptic_key_with_its_parameters_before_it_is_read() -> None:
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    parameters = armor("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107"))
    parts = read_parts([parameters + key])
    assert key_ids(parts) == [public_key_id(KEY)]
    assert parts.problems == (
        Problem(
            "bundle.block_ignored", Severity.INFO, params={"label": "EC PARAMETERS", "count": 1}
        ),
    )


def test_the_same_key_twice_is_one_key() -> None:
    parts = read_parts([ISSUED.key_pem, encrypt(KEY), der_of(ISSUED.key_pem)], PASSWORD)
    assert key_ids(parts) == [public_key_id(KEY)]
    assert parts.problems == ()


@pytest.mark.parametrize(
    "csr", [CSR, der_of(CSR), CSR.replace(b"CERTIFICATE R", b"NEW CERTIFICATE R")]
)
def test_a_request_is_counted_and_left_aside(csr: bytes) -> None:
    parts = read_parts([ISSUED.cert_pem, csr])
    assert parts.requests == 1
    assert codes(parts) == ["bundle.block_ignored"]
    assert titles(parts) == CHAIN_TITLES[:1]


def test_blocks_of_other_kinds_are_counted_by_kind() -> None:
    blocks = [armor("X509 CRL", b"a"), armor("DH PARAMETERS", b"b"), armor("X509 CRL", b"c")]
    parts = read_parts([ISSUED.cert_pem, *blocks])
    assert [dict(problem.params) for problem in parts.problems] == [
        {"label": "DH PARAMETERS", "count": 1},
        {"label": "X509 CRL", "count": 2},
    ]


# What is not understood


@pytest.mark.parametrize("inputs", [[], [b""], [b"", b" \r\n\t"]])
def test_nothing_at_all_is_said_to_be_empty(inputs: list[bytes]) -> None:
    assert read_parts(inputs).problems == (Problem("bundle.empty"),)


@pytest.mark.parametrize("garbage", [b"hello", b"\x00\x01\x02", b"\x30\x82\xff\xff", b"\xff\xfe"])
def test_garbage_refuses_when_it_is_all_there_is(garbage: bytes) -> None:
    assert read_parts([b"", garbage]).problems == (Problem("bundle.garbage", params={"part": 2}),)


def test_garbage_beside_something_understood_is_only_pointed_out() -> None:
    for good in (ISSUED.cert_pem, ISSUED.key_pem, CSR):
        parts = read_parts([good, b"readme"])
        (problem,) = [found for found in parts.problems if found.code == "bundle.garbage"]
        assert (problem.severity, problem.params) == (Severity.WARNING, {"part": 2})


@pytest.mark.parametrize(
    ("text", "label", "line"),
    [
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "CERTIFICATE", 1),
        (b"x\ny\n" + armor("CERTIFICATE", b"abc"), "CERTIFICATE", 3),
        (armor("PRIVATE KEY", b"abc"), "PRIVATE KEY", 1),
        (b"-----BEGIN X509 CRL-----\n*\n-----END X509 CRL-----", "X509 CRL", 1),
    ],
)
def test_a_damaged_block_is_named_with_its_place(text: bytes, label: str, line: int) -> None:
    parts = read_parts([ISSUED.cert_pem, text])
    assert parts.problems == (
        Problem("bundle.block_unreadable", params={"part": 2, "line": line, "label": label}),
    )
    assert titles(parts) == CHAIN_TITLES[:1]


def test_an_encrypted_key_asks_for_its_password() -> None:
    assert codes(read_parts([encrypt(KEY)])) == ["key.password_needed"]
    assert codes(read_parts([encrypt(KEY)], "wrong")) == ["key.password_wrong"]
    assert codes(read_parts([encrypt(KEY), encrypt(KEY)])) == ["key.password_needed"]


def test_a_key_of_an_odd_kind_is_named() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    parts = read_parts([pem])
    assert parts.problems == (Problem("key.ed25519", params={"key": "Ed25519"}),)


def test_several_keys_are_all_kept_and_pointed_out() -> None:
    parts = read_parts([ISSUED.key_pem, private_key_to_pem(draw_key())])
    assert len(parts.private_keys) == 2
    assert parts.problems == (
        Problem("bundle.several_keys", Severity.WARNING, params={"count": 2}),
    )


# Bounds


def test_an_input_over_the_limit_is_not_read() -> None:
    padding = b"x" * (MAX_TEXT_BYTES - len(ISSUED.cert_pem))
    assert titles(read_parts([padding + ISSUED.cert_pem])) == CHAIN_TITLES[:1]
    parts = read_parts([b"x" + padding + ISSUED.cert_pem])
    assert parts.problems == (Problem("bundle.too_large", params={"part": 1, "limit": 64}),)
    assert parts.certificates == ()


def test_only_so_many_blocks_are_read() -> None:
    for inputs in ([ISSUED.cert_pem * 40], [ISSUED.cert_pem] * 40):
        assert (len(read_parts(inputs).certificates), codes(read_parts(inputs))) == (40, [])
    for content in (ISSUED.cert_pem, der_of(ISSUED.cert_pem)):
        for inputs in ([content] * 41, [ISSUED.cert_pem * 40, content, content]):
            parts = read_parts(inputs)
            assert len(parts.certificates) == 40
            assert parts.problems == (Problem("bundle.too_many_blocks", params={"limit": 40}),)


def test_only_so_many_keys_are_opened() -> None:
    keys = [private_key_to_pem(draw_key()) for _ in range(5)]
    parts = read_parts(keys)
    assert len(parts.private_keys) == 4
    assert codes(parts) == ["bundle.too_many_keys", "bundle.several_keys"]
    assert len(read_parts(keys[:4]).private_keys) == 4
    locked = read_parts([encrypt(KEY) * 4 + keys[0]])
    assert codes(locked) == ["key.password_needed", "bundle.too_many_keys"]


def test_the_largest_hostile_texts_are_read_in_moments() -> None:
    label = b"-----BEGIN CERTIFICATE-----"
    texts = [
        label * (MAX_TEXT_BYTES // len(label)),
        b"-" * MAX_TEXT_BYTES,
        b"\n" * MAX_TEXT_BYTES,
        label + b"A:\n" * 20000,
        label + b"-----BEGIN " * 5000,
        b"\x30\x80" * (MAX_TEXT_BYTES // 2),
        b"-\0-\0-\0" + b"\0" * 60000,
    ]
    before = time.process_time()
    read_parts(texts)
    assert time.process_time() - before < 2


def test_parts_show_no_key() -> None:
    parts = read_parts([ISSUED.key_pem])
    assert parts.private_keys
    assert "Key object" not in repr(parts)


PIECES = [
    ISSUED.cert_pem,
    ISSUED.key_pem,
    CA.root_pem,
    CSR,
    encrypt(KEY),
    der_of(ISSUED.cert_pem),
    armor("CERTIFICATE", b"abc"),
    b"-----BEGIN PRIVATE KEY-----\n",
    b"-----END CERTIFICATE-----",
    b"\xff\xfe",
    b"\0",
]


@given(st.lists(st.binary(max_size=200) | st.sampled_from(PIECES), max_size=6), st.text(max_size=3))
def test_any_input_is_taken_apart(inputs: list[bytes], password: str) -> None:
    for attempt in (inputs, [b"".join(inputs)]):
        parts = read_parts(attempt, password)
        if not (parts.certificates or parts.private_keys):
            assert parts.problems


@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_damaged_input_is_taken_apart(chance: random.Random, count: int) -> None:
    damaged = bytearray(ISSUED.fullchain_pem + ISSUED.key_pem)
    for _ in range(count):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    read_parts([bytes(damaged)])
