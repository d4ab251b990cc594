"""Unified diffs that a person may see: no key, no password."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from mailadmin.mailconf.block import SET_ASIDE
from mailadmin.mailconf.logical_lines import WHITE_SPACE, split_lines
from mailadmin.mailconf.master_cf import OFF

REDACTED = "[redacted]"
_SECRET_NAME = re.compile(
    r"(?i)(?:passw(?:or)?d|secret|passphrase|api_?key|token|(?<![^\W_])(?:dn)?pass(?!\w))"
    r"\w*\s*=[ \t]*"
)
_SECRET_IN_ADDRESS = re.compile(r"(?P<head>://[^/\s:@]*:)[^/\s]+(?=@)")
_KEY_MARK = re.compile(r"-----(?P<which>BEGIN|END) [A-Z0-9 ]*PRIVATE KEY-----")
_NAME_SO_FAR = re.compile(r"[\w.-]*")
_ESCAPED_BYTES = range(0xDC80, 0xDD00)  # what "surrogateescape" makes of bytes that are not UTF-8


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What changes in one file. ``lines`` is a unified diff, redacted."""

    name: str
    lines: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return {"name": self.name, "lines": list(self.lines)}


def compare(
    name: str, before: str, after: str, labels: tuple[str, str] = ("now", "wanted")
) -> FileDiff | None:
    """Return the diff of a file, or None when it does not change."""
    if before == after:
        return None
    lines = difflib.unified_diff(
        _shown_lines(before), _shown_lines(after), name, name, *labels, lineterm=""
    )
    return FileDiff(name, tuple(lines))


def redact(text: str) -> str:
    """Return the text with private keys and the values of secret settings blotted out."""
    redaction = _Redaction()
    return "".join(redaction.redact_line(line) for line in split_lines(text))


class _Redaction:
    """Goes through a file line by line and knows where a secret goes on in the next line."""

    def __init__(self) -> None:
        self._is_in_key = False
        # How the setting began whose value is secret, and how many braces it has left open.
        self._mark: str | None = None
        self._is_parameter = False
        self._is_value_awaited = False
        self._open_braces = 0

    def redact_line(self, line: str) -> str:
        """Return what may be shown of the line; nothing for a line inside a key."""
        was_in_key = self._is_in_key
        for found in _KEY_MARK.finditer(line):
            self._is_in_key = found["which"] == "BEGIN"
        if was_in_key:
            return ""
        end = "\n" if line.endswith("\n") else ""
        if _KEY_MARK.search(line):
            return REDACTED + end
        return _SECRET_IN_ADDRESS.sub(rf"\g<head>{REDACTED}", self._redact_setting(line))

    def _redact_setting(self, line: str) -> str:
        end = "\n" if line.endswith("\n") else ""
        mark = _mark_of(line)
        rest = line.removeprefix(mark)
        if self._is_continued_by(mark, rest):
            self._open_braces += rest.count("{") - rest.count("}")
            self._is_value_awaited = False
            indent = rest[: len(rest) - len(rest.lstrip(WHITE_SPACE))]
            return f"{mark}{indent}{REDACTED}{end}"
        found = _SECRET_NAME.search(rest)
        if not found:
            return line
        self._mark = mark
        self._is_parameter = bool(_NAME_SO_FAR.fullmatch(rest, 0, found.start()))
        self._open_braces = rest.count("{") - rest.count("}")
        self._is_value_awaited = not rest[found.end() :].strip(WHITE_SPACE)
        shown = "" if self._is_value_awaited else REDACTED
        return f"{mark}{rest[: found.end()]}{shown}{end}"

    def _is_continued_by(self, mark: str, rest: str) -> bool:
        """Tell whether the line belongs to the secret value above it.

        White space continues a parameter of main.cf; in master.cf only inside of braces does a
        value go on. Comments and blank lines in between end nothing.
        """
        if mark != self._mark or not rest.strip(WHITE_SPACE):
            return False
        is_continuation = rest[0] in WHITE_SPACE
        if mark == "#" and not self._is_value_awaited:
            # After the hash of a comment one space is usual, and says nothing.
            is_continuation = is_continuation and not re.match(r" [^\s]", rest)
        if is_continuation and (self._is_parameter or self._open_braces > 0):
            return True
        self._mark = None
        return False


def _mark_of(line: str) -> str:
    """Return what makes the line a comment: our marks, or the hash of somebody else."""
    return next((mark for mark in (SET_ASIDE, OFF, "#") if line.startswith(mark)), "")


def _shown_lines(text: str) -> list[str]:
    """Return redacted lines without their ends, fit for any page.

    A carriage return, or bytes that are not UTF-8 (a comment in Latin-1), are shown as escapes:
    they could not be told apart, or not be written to a page, otherwise.
    """
    return [_escape(line.removesuffix("\n")) for line in split_lines(redact(text))]


def _escape(line: str) -> str:
    return "".join(
        character if character.isprintable() or character == "\t" else _escaped(character)
        for character in line
    )


def _escaped(character: str) -> str:
    if ord(character) in _ESCAPED_BYTES:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
