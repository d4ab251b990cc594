"""Keeps secrets out of the log even if a caller forgot to: the second line of defence."""

from __future__ import annotations

import re
from collections.abc import Mapping

REMOVED_KEY = "[private key removed]"
REMOVED = "[removed]"

# A block that was cut off has no END line: then everything after BEGIN goes.
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
# PostgreSQL keeps no NUL; neither database keeps half of a surrogate pair.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_SECRET_NAME = re.compile(r"passw|passphrase|secret|token|privatekey|recoverycode|otp", re.I)


def redact_text(text: str) -> str:
    """Return the text with each PEM private key replaced, and what no database can store."""
    return _UNSTORABLE.sub("\ufffd", _PRIVATE_KEY.sub(REMOVED_KEY, text))


def redact(value: object) -> object:
    """Return a JSON-ready copy in which nothing looks like a private key or a password."""
    if isinstance(value, str):
        # A StrEnum becomes a plain string here.
        return redact_text(str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping):
        return {str(name): _redact_member(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((redact(item) for item in value), key=str)
    return value


def _redact_member(name: str, value: object) -> object:
    """Drop the value of a member named like a secret; whether one is set may be told."""
    names_a_secret = _SECRET_NAME.search(re.sub(r"[^A-Za-z]", "", name))
    if names_a_secret and value not in (None, "") and not isinstance(value, bool):
        return REMOVED
    return redact(value)
