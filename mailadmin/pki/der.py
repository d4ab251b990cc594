"""Just enough DER (ITU-T X.690) to look at numbers before another library works with them."""

from __future__ import annotations

from collections.abc import Iterator

_INTEGER, _SEQUENCE = 0x02, 0x30
_LONG_FORM = 0x80


def is_der(content: bytes) -> bool:
    """Tell whether bytes look like one DER structure (a SEQUENCE), which no text does.

    Either its length takes more than one byte, or its first element is an INTEGER.
    """
    is_long, has_integer = content[1:2] > b"\x80", content[2:3] == b"\x02"
    return content.startswith(b"\x30") and (is_long or has_integer)


def begins_with_integer(der: bytes) -> bool:
    """Tell whether the first element of a structure is a number, as in every private key."""
    length = der[1] if len(der) > 1 else 0
    start = 2 + (length - _LONG_FORM if length >= _LONG_FORM else 0)
    return der[start : start + 1] == bytes([_INTEGER])


def find_integers(der: bytes) -> Iterator[int]:
    """Yield the INTEGERs of a structure and of all SEQUENCEs in it, up to the first malformed byte.

    Every byte is looked at once at most, however deep the nesting.
    """
    at = 0
    while at + 1 < len(der):
        tag, start, length = der[at], at + 2, der[at + 1]
        if length >= _LONG_FORM:
            start += length - _LONG_FORM
            length = int.from_bytes(der[at + 2 : start])
        if tag == _INTEGER:
            yield int.from_bytes(der[start : start + length], signed=True)
        # The content of a SEQUENCE comes next; anything else is stepped over.
        at = start if tag == _SEQUENCE else start + length
