"""Finding PEM blocks in whatever people paste: any encoding, line ending, or text between blocks.

Stricter readers follow; this one only finds where each block begins and ends (RFC 7468, and the
header lines of RFC 1421 that traditional encrypted keys carry). Its work is linear in the text.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_BOUNDARY = re.compile(r"-----(BEGIN|END) ([A-Z0-9][A-Z0-9 ]{0,40})-----")
_HEADER_LINE = re.compile(r"[A-Za-z][A-Za-z0-9-]*:")
# White space, what web pages and word processors put in its place, the quotation marks of e-mail,
# and line ends written out, as in JSON. None of them is part of base64.
_BLANKS = re.compile(r"(?:[\s>\u00ad\u200b-\u200d\u2060\ufeff]|\\[nrt])+")
_LINE_LENGTH = 64
# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_LEAST_RUN = 16  # letters; a BEGIN line has more
_WIDE_ENCODINGS = ((4, "utf-32-le", "utf-32-be"), (2, "utf-16-le", "utf-16-be"))


@dataclass(frozen=True, slots=True)
class PemBlock:
    """One block: its label, its RFC 1421 headers, and its content (``None``: not base64)."""

    label: str
    line: int
    headers: tuple[str, ...] = field(default=(), repr=False)
    content: bytes | None = field(default=None, repr=False)

    def to_pem(self) -> bytes:
        """Write the block the canonical way. Only for a block that has content."""
        head = "\n".join(self.headers) + "\n\n" if self.headers else ""
        return armor(self.label, self.content or b"", head)


def armor(label: str, content: bytes, head: str = "") -> bytes:
    """Wrap DER bytes as a PEM block with lines of 64 characters."""
    text = base64.b64encode(content).decode()
    lines = "\n".join(text[at : at + _LINE_LENGTH] for at in range(0, len(text), _LINE_LENGTH))
    return f"-----BEGIN {label}-----\n{head}{lines}\n-----END {label}-----\n".encode()


def decode_text(data: bytes) -> str:
    """Decode text of any encoding in which PEM is met; bytes that fit none become U+FFFD."""
    text = data.decode(_find_encoding(data), errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _find_encoding(data: bytes) -> str:
    """Return the encoding by its mark, or else by where the zeros stand about ASCII letters."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    for width, little, big in _WIDE_ENCODINGS:
        zeros = bytes(width - 1)
        letters = re.search(rb"(?:[\t-~]%b){%d}" % (zeros, _LEAST_RUN), data)
        if letters:
            # Both byte orders look alike but for where a letter stands.
            return little if letters.start() % width == 0 else big
    return "utf-8"


def drop_blanks(text: str) -> str:
    """Return text without anything that stands between the letters of base64."""
    return _BLANKS.sub("", text)


def find_blocks(text: str) -> Iterator[PemBlock]:
    """Yield every block in order; a block without its END line, or not in base64, has no content.

    ``text`` comes from :func:`decode_text`.
    """
    opened: re.Match[str] | None = None
    line, counted_to = 1, 0
    for boundary in _BOUNDARY.finditer(text):
        is_begin = boundary[1] == "BEGIN"
        if opened is None and not is_begin:
            continue
        if opened is not None:
            line += text.count("\n", counted_to, opened.start())
            counted_to = opened.start()
            is_closed = not is_begin and boundary[2] == opened[2]
            body = text[opened.end() : boundary.start()] if is_closed else None
            yield _read_block(opened[2], line, body)
        opened = boundary if is_begin else None
    if opened is not None:
        line += text.count("\n", counted_to, opened.start())
        yield _read_block(opened[2], line, None)


def _read_block(label: str, line: int, body: str | None) -> PemBlock:
    if body is None:
        return PemBlock(label, line)
    headers, encoded = _split_headers(body)
    try:
        content = base64.b64decode(drop_blanks(encoded), validate=True)
    except (binascii.Error, ValueError):
        return PemBlock(label, line, headers)
    return PemBlock(label, line, headers, content or None)


def _split_headers(body: str) -> tuple[tuple[str, ...], str]:
    """Part the RFC 1421 header lines from the base64 text below them."""
    lines = body.strip().split("\n")
    headers = []
    while lines and _HEADER_LINE.match(lines[0].strip()):
        headers.append(lines.pop(0).strip())
    return tuple(headers), "\n".join(lines)
