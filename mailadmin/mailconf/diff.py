"""Unified diffs that a person may see: no key, no password."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

REDACTED = "[redacted]"
_SECRET_SETTING = re.compile(
    r"(?i)^(?P<head>.*?\b[\w.]*(?:passw(?:or)?d|secret|passphrase|api_key|token)\w*\s*=\s*)"
    r"(?P<value>\S.*)$"
)
_SECRET_IN_ADDRESS = re.compile(r"(?P<head>://[^/\s:@]+:)[^/\s@]+(?=@)")
_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What changes in one file. ``lines`` is a unified diff, redacted."""

    name: str
    lines: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return {"name": self.name, "lines": list(self.lines)}


def compare(name: str, before: str, after: str) -> FileDiff | None:
    """Return the diff of a file, or None when it does not change."""
    if before == after:
        return None
    lines = difflib.unified_diff(
        redact(before).splitlines(),
        redact(after).splitlines(),
        name,
        name,
        "now",
        "wanted",
        lineterm="",
    )
    return FileDiff(name, tuple(lines))


def redact(text: str) -> str:
    """Return the text with private keys and the values of secret settings blotted out."""
    lines: list[str] = []
    is_in_key = False
    for line in text.splitlines():
        if is_in_key:
            is_in_key = not _KEY_END.search(line)
            continue
        if _KEY_BEGIN.search(line):
            is_in_key = not _KEY_END.search(line)
            lines.append(REDACTED)
            continue
        lines.append(_redact_line(line))
    return "\n".join(lines) + ("\n" if text.endswith("\n") else "")


def _redact_line(line: str) -> str:
    line = _SECRET_SETTING.sub(rf"\g<head>{REDACTED}", line)
    return _SECRET_IN_ADDRESS.sub(rf"\g<head>{REDACTED}", line)
