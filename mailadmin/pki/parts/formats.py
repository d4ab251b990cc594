"""Telling by its first bytes what an input is, and how much of its kind is read."""

from __future__ import annotations

import base64
import binascii
import re

from mailadmin.pki.der import is_der
from mailadmin.pki.pem import drop_blanks
from mailadmin.pki.zips import is_zip

MAX_TEXT_BYTES = 64 * 1024  # of text or one DER file
MAX_CONTAINER_BYTES = 256 * 1024  # of a PKCS#12 or zip file
# The beginning of PKCS#12 files: a SEQUENCE of any length, version 3, and another SEQUENCE.
_PKCS12_BEGIN = re.compile(
    rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...|\x84....)\x02\x01\x03\x30", re.DOTALL
)
_LEAST_BASE64 = 60  # characters; less is a word
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_FOREIGN = (
    (b"\xfe\xed\xfe\xed", "jks"),
    (b"\xce\xce\xce\xce", "jceks"),
    (b"PuTTY-User-Key-File", "putty"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"%PDF-", "pdf"),
)


def find_limit(content: bytes) -> int:
    """Return how many bytes of such an input are read."""
    is_container = is_zip(content) or _PKCS12_BEGIN.match(content)
    return MAX_CONTAINER_BYTES if is_container else MAX_TEXT_BYTES


def find_foreign(content: bytes) -> str | None:
    """Return what else an input is that people upload, and that is not read here."""
    return next((kind for begin, kind in _FOREIGN if content.startswith(begin)), None)


def decode_bare_base64(text: str) -> bytes | None:
    """Return the structure in base64 that stands without BEGIN and END lines, if it is one."""
    encoded = drop_blanks(text)
    if len(encoded) < _LEAST_BASE64 or not _BASE64.fullmatch(encoded):
        return None
    try:
        content = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    return content if is_der(content) else None
