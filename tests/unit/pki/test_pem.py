"""Finding PEM blocks in what people really paste."""

from __future__ import annotations

import base64
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.der import is_der
from mailadmin.pki.pem import PemBlock, armor, decode_text, find_blocks

CONTENT = bytes(range(200))
PEM = armor("CERTIFICATE", CONTENT).decode()


def blocks_in(text: str | bytes) -> list[PemBlock]:
    data = text.encode() if isinstance(text, str) else text
    return list(find_blocks(decode_text(data)))


def contents_in(text: str | bytes) -> list[bytes | None]:
    return [block.content for block in blocks_in(text)]


def test_a_block_is_written_with_lines_of_64_characters() -> None:
    lines = PEM.split("\n")
    assert lines[0] == "-----BEGIN CERTIFICATE-----"
    assert {len(line) for line in lines[1:-3]} == {64}
    assert lines[-2:] == ["-----END CERTIFICATE-----", ""]
    assert base64.b64decode("".join(lines[1:-2])) == CONTENT


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        PEM.rstrip("\n"),
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", "\r"),
        PEM.replace("\n", "\n\n"),
        PEM.replace("\n", " "),
        PEM.replace("\n", ""),
        PEM.replace("\n", "\\n"),
        PEM.replace("\n", " \t\n   "),
        textwrap.indent(PEM, "> "),
        textwrap.indent(PEM, "\t"),
        PEM.replace("\n", "\u00a0\n\u200b"),
        "Bag Attributes\n    friendlyName: x\nsubject=/CN=a\n" + PEM,
        "-----END CERTIFICATE-----\n" + PEM,
        "Grüße, hier ist es:\n" + PEM + "\nViele Grüße",
    ],
)
def test_a_block_is_found_however_it_was_pasted(text: str) -> None:
    assert contents_in(text) == [CONTENT]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "ascii"])
@pytest.mark.parametrize("before", ["", "x\n", "two\n"])
def test_a_block_is_found_in_any_encoding(encoding: str, before: str) -> None:
    assert contents_in((before + PEM).encode(encoding)) == [CONTENT]


def test_a_block_is_found_behind_a_big_endian_mark() -> None:
    assert contents_in(b"\xfe\xff" + PEM.encode("utf-16-be")) == [CONTENT]


def test_bytes_that_are_no_text_do_not_hide_a_block() -> None:
    assert contents_in(b"\xff\xfe\xfa"[1:] + b"\x80\n" + PEM.encode()) == [CONTENT]


def test_blocks_come_in_order_with_their_lines() -> None:
    found = blocks_in("first\n" + PEM + "between\n" + armor("X CRL", b"abc").decode())
    assert [(block.label, block.line) for block in found] == [("CERTIFICATE", 2), ("X CRL", 10)]
    assert found[1].content == b"abc"


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN CERTIFICATE-----\nAAAA\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE----\n",
        "-----BEGIN CERTIFICATE-----\nAAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAA*A\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAÄA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    ],
)
def test_a_damaged_block_is_found_without_content(text: str) -> None:
    assert blocks_in(text) == [PemBlock("CERTIFICATE", 1)]


def test_a_block_cut_off_does_not_take_the_next_one_with_it() -> None:
    found = blocks_in("-----BEGIN CERTIFICATE-----\nAAAA\n" + PEM)
    assert [(block.line, block.content) for block in found] == [(1, None), (3, CONTENT)]


def test_header_lines_are_kept_apart_and_written_back() -> None:
    text = (
        "-----BEGIN RSA PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: DES,00\r\n\r\n"
        "YWJj\r\n-----END RSA PRIVATE KEY-----"
    )
    (block,) = blocks_in(text)
    assert block.headers == ("Proc-Type: 4,ENCRYPTED", "DEK-Info: DES,00")
    assert block.content == b"abc"
    assert block.to_pem().decode() == text.replace("\r\n", "\n") + "\n"


def test_a_block_does_not_show_its_content() -> None:
    assert "YWJj" not in repr(blocks_in(armor("PRIVATE KEY", b"abc"))[0])
    assert "abc" not in repr(blocks_in(armor("PRIVATE KEY", b"abc"))[0])


def test_many_unclosed_blocks_are_read_in_linear_time() -> None:
    assert len(blocks_in("-----BEGIN CERTIFICATE-----" * 2400)) == 2400


@given(st.binary(max_size=300))
def test_any_bytes_can_be_searched(data: bytes) -> None:
    assert blocks_in(data) == [] or b"BEGIN" in data


@given(st.lists(st.binary(min_size=1, max_size=100), max_size=4), st.text(max_size=30))
def test_every_block_is_found_between_any_text(contents: list[bytes], between: str) -> None:
    separator = between.replace("-", "")
    text = separator.join(armor("CERTIFICATE", content).decode() for content in contents)
    assert contents_in(text.encode(errors="replace")) == contents


@pytest.mark.parametrize("content", [b"\x30\x82\x01\x00", b"\x30\x81\x90", b"\x30\x77\x02\x01\x01"])
def test_der_is_told_from_text(content: bytes) -> None:
    assert is_der(content)


@pytest.mark.parametrize("content", [b"", b"0", b"0 s:CN=mail", b"00", b"-----BEGIN", b"\x31\x82"])
def test_text_is_not_taken_for_der(content: bytes) -> None:
    assert not is_der(content)
