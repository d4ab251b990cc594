"""Just enough DER (ITU-T X.690) to look into structures before another library works with them.

Written for hostile input: every reader is linear in the bytes it is given, and :class:`DerError`
is all that is raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

INTEGER, BIT_STRING, OCTET_STRING, OBJECT_IDENTIFIER = 0x02, 0x03, 0x04, 0x06
SEQUENCE, SET = 0x30, 0x31
CONTEXT_0 = 0xA0
_CONSTRUCTED = 0x20
_LONG_FORM = 0x80
_LONG_TAG = 0x1F
_LENGTH_BYTES = 4
_DEEPEST = 40
_END_OF_CONTENTS = b"\0\0"
_MOST_INTEGER_BYTES = 8
_ARC_BITS, _ARC_MASK, _ARCS_OF_ROOT = 7, 0x7F, 40


class DerError(ValueError):
    """Bytes that are not the structure they should be. Its text holds none of them."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its tag, what is in it, and the whole as it was encoded."""

    tag: int
    content: bytes = field(repr=False)
    encoded: bytes = field(repr=False)

    def children(self) -> list[Element]:
        """Return the elements in it. Raises :class:`DerError`."""
        return list(read_elements(self.content))

    def expect(self, tag: int) -> Element:
        """Return the element itself if it has this tag. Raises :class:`DerError`."""
        if self.tag != tag:
            raise DerError("another element was expected")
        return self

    def to_int(self) -> int:
        """Return the number in an INTEGER; a huge one as a huge number. Raises :class:`DerError`.

        Only the first bytes are looked at, so that a number of a megabyte costs nothing.
        """
        digits = self.expect(INTEGER).content
        if not digits:
            raise DerError("a number without digits")
        if len(digits) > _MOST_INTEGER_BYTES:
            return -1 if digits[0] >= _LONG_FORM else 1 << (8 * _MOST_INTEGER_BYTES)
        return int.from_bytes(digits, signed=True)

    def to_oid(self) -> str:
        """Return an OBJECT IDENTIFIER with dots. Raises :class:`DerError`."""
        return _decode_oid(self.expect(OBJECT_IDENTIFIER).content)


def is_der(content: bytes) -> bool:
    """Tell whether bytes look like one DER structure (a SEQUENCE), which no text does.

    Either its length takes more than one byte, or its first element is an INTEGER or an
    OBJECT IDENTIFIER.
    """
    is_long, is_telling = content[1:2] >= b"\x80", content[2:3] in (b"\x02", b"\x06")
    return content.startswith(b"\x30") and (is_long or is_telling)


def read_elements(content: bytes) -> Iterator[Element]:
    """Yield the elements that follow each other in the bytes. Raises :class:`DerError`."""
    at = 0
    while at < len(content):
        tag, start, end = _read_header(content, at)
        if end is None:
            raise DerError("a length is missing")
        yield Element(tag, content[start:end], content[at:end])
        at = end


def read_element(content: bytes) -> Element:
    """Return the one element that the bytes are. Raises :class:`DerError`."""
    elements = read_elements(content)
    element = next(elements, None)
    if element is None or len(element.encoded) != len(content):
        raise DerError("this is not one element")
    return element


def encode(tag: int, content: bytes) -> bytes:
    """Return one element in DER."""
    length = len(content)
    if length < _LONG_FORM:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, _LONG_FORM | len(size))) + size + content


def to_der(content: bytes) -> tuple[bytes, int]:
    """Write the first structure of the bytes without the freedoms of BER, and tell where it ends.

    PKCS#7 and PKCS#12 files are often written with lengths left open and with strings in pieces;
    whatever has neither is kept as it is, to the byte. Raises :class:`DerError`.
    """
    return _rewrite(content, 0, 0)


def begins_with_integer(der: bytes) -> bool:
    """Tell whether the first element of a structure is a number, as in every private key."""
    length = der[1] if len(der) > 1 else 0
    start = 2 + (length - _LONG_FORM if length >= _LONG_FORM else 0)
    return der[start : start + 1] == bytes([INTEGER])


def _read_header(content: bytes, at: int) -> tuple[int, int, int | None]:
    """Return the tag, where the content starts, and where it ends (``None``: left open)."""
    header = content[at : at + 2]
    if len(header) < 2 or header[0] & _LONG_TAG == _LONG_TAG:
        raise DerError("this is not an element")
    tag, length, start = header[0], header[1], at + 2
    if length == _LONG_FORM:
        return tag, start, None
    if length > _LONG_FORM:
        size = length - _LONG_FORM
        if size > _LENGTH_BYTES:
            raise DerError("a length is out of reach")
        start += size
        length = int.from_bytes(content[at + 2 : start])
    if start + length > len(content):
        raise DerError("an element is cut off")
    return tag, start, start + length


def _rewrite(content: bytes, at: int, depth: int) -> tuple[bytes, int]:
    tag, start, end = _read_header(content, at)
    if not tag & _CONSTRUCTED:
        if end is None:
            raise DerError("a value without a length")
        return content[at:end], end
    if depth == _DEEPEST:
        raise DerError("structures too deep in each other")
    pieces = []
    position, is_changed = start, end is None or tag == OCTET_STRING | _CONSTRUCTED
    while not _is_over(content, position, end):
        piece, after = _rewrite(content, position, depth + 1)
        is_changed = is_changed or piece != content[position:after]
        pieces.append(piece)
        position = after
    after = end if end is not None else position + len(_END_OF_CONTENTS)
    if not is_changed:
        return content[at:after], after
    if tag == OCTET_STRING | _CONSTRUCTED:
        return encode(OCTET_STRING, join_pieces(b"".join(pieces))), after
    return encode(tag, b"".join(pieces)), after


def _is_over(content: bytes, position: int, end: int | None) -> bool:
    if end is None:
        return content.startswith(_END_OF_CONTENTS, position)
    if position > end:
        raise DerError("an element is longer than what holds it")
    return position == end


def join_pieces(pieces: bytes) -> bytes:
    """Return the string whose pieces these OCTET STRINGs are. Raises :class:`DerError`."""
    return b"".join(piece.expect(OCTET_STRING).content for piece in read_elements(pieces))


def _decode_oid(content: bytes) -> str:
    arcs, value = [], 0
    for byte in content[:64]:
        value = value << _ARC_BITS | byte & _ARC_MASK
        if not byte & _LONG_FORM:
            arcs.append(value)
            value = 0
    if not arcs:
        raise DerError("an identifier without numbers")
    root = min(arcs[0] // _ARCS_OF_ROOT, 2)
    return ".".join(map(str, (root, arcs[0] - root * _ARCS_OF_ROOT, *arcs[1:])))
