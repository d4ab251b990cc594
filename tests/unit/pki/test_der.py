"""Looking into DER and BER: what is cut off, endless or nested too deep is told, never followed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.der import (
    DerError,
    Element,
    encode,
    is_der,
    read_element,
    read_elements,
    to_der,
)


def test_elements_are_read_and_written() -> None:
    content = encode(0x30, encode(2, b"\x05") + encode(4, bytes(300)))
    element = read_element(content)
    number, string = element.children()
    assert (element.tag, number.to_int(), len(string.content)) == (0x30, 5, 300)
    assert string.encoded == b"\x04\x82\x01\x2c" + bytes(300)
    assert string.expect(4) is string


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x30",
        b"\x30\x05\x02",
        b"\x30\x80\x00\x00",
        b"\x30\x85\x00\x00\x00\x00\x00",
        b"\x1f\x01\x00",
        b"\x30\x82\x01",
        b"\x30\x00\x30\x00",
    ],
)
def test_what_is_not_one_element_is_told(content: bytes) -> None:
    with pytest.raises(DerError):
        read_element(content)


@pytest.mark.parametrize(
    ("digits", "value"),
    [(b"\x05", 5), (b"\xff", -1), (b"\x7f" * 100_000, 2**64), (b"\xff" * 9, -1)],
)
def test_numbers_are_read_without_reading_long_ones(digits: bytes, value: int) -> None:
    assert Element(2, digits, b"").to_int() == value


def test_a_number_needs_digits_and_its_own_tag() -> None:
    for element in (Element(2, b"", b""), Element(4, b"\x01", b"")):
        with pytest.raises(DerError):
            element.to_int()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("2a864886f70d010702", "1.2.840.113549.1.7.2"),
        ("00", "0.0"),
        ("883703", "2.999.3"),
        ("2b0e03021a", "1.3.14.3.2.26"),
    ],
)
def test_identifiers_are_read(content: str, text: str) -> None:
    assert Element(6, bytes.fromhex(content), b"").to_oid() == text


def test_an_identifier_without_end_is_none() -> None:
    with pytest.raises(DerError):
        Element(6, b"\x80" * 1000, b"").to_oid()


def test_der_stays_as_it_is() -> None:
    content = encode(0x30, encode(0x24, b"") + encode(2, b"\x01"))[:2] + b"\x24\x00\x02\x01\x01"
    assert to_der(encode(0x30, encode(2, b"\x01")) + b"rest") == (encode(0x30, b"\x02\x01\x01"), 5)
    assert to_der(content) == (encode(0x30, b"\x04\x00\x02\x01\x01"), 7)


def test_open_lengths_and_pieces_are_written_out() -> None:
    loose = b"\x30\x80\x24\x80\x04\x01a\x24\x03\x04\x01b\x04\x01c\x00\x00\x02\x01\x07\x00\x00tail"
    assert to_der(loose) == (encode(0x30, encode(4, b"abc") + encode(2, b"\x07")), len(loose) - 4)


@pytest.mark.parametrize(
    "content",
    [
        b"\x30\x80",
        b"\x30\x80\x02\x01",
        b"\x04\x80\x00\x00",
        b"\x30\x03\x30\x02\x05",
        b"\x30\x02\x30\x80\x00\x00",
        b"\x24\x80\x02\x01\x01\x00\x00",
        b"\x30\x80" * 100 + b"\x00\x00" * 100,
    ],
)
def test_loose_structures_that_do_not_end_are_told(content: bytes) -> None:
    with pytest.raises(DerError):
        to_der(content)


@pytest.mark.parametrize("unit", [b"\x30\x80", b"\x30\x00", b"\x02\x01\x01", b"\x24\x02\x04\x00"])
def test_the_largest_hostile_structures_take_moments(unit: bytes) -> None:
    content = unit * (256 * 1024 // len(unit))
    before = time.process_time()
    for outer in (content, encode(0x30, content), encode(0x24, content)):
        try:
            to_der(outer)
            list(read_elements(outer))
        except DerError:
            continue
    assert time.process_time() - before < 2


@given(st.binary(max_size=200))
def test_any_bytes_are_rewritten_or_refused(content: bytes) -> None:
    try:
        der, end = to_der(content)
    except DerError:
        return
    assert end <= len(content)
    assert to_der(der) == (der, len(der))


def test_text_does_not_look_like_der() -> None:
    assert is_der(b"\x30\x80\x02")
    assert is_der(b"\x30\x05\x02")
    assert not is_der(b"0123")
    assert not is_der(b"")
