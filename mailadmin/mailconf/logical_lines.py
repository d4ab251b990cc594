"""Text the way Postfix reads it: physical lines and logical lines (postconf(5), master(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# What isspace(3) says yes to in the C locale; a no-break space, for example, is text.
WHITE_SPACE = " \t\n\v\f\r"
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """One setting or service as Postfix reads it.

    ``text`` is empty for what Postfix skips: the comments at the head of a file, and an indented
    line there, which continues nothing. ``lines`` are the physical lines, with their ends;
    comments and blank lines inside and behind are among them.
    """

    text: str
    lines: tuple[str, ...]


def split_lines(text: str) -> list[str]:
    """Return the physical lines with their ends.

    Only a line feed ends one. ``str.splitlines`` would also end a line at a form feed or at U+2028,
    and the rest of a comment would be taken for a setting.
    """
    return _LINE.findall(text)


def logical_lines(text: str) -> Iterator[LogicalLine]:
    """Yield the logical lines: white space continues one, also across comments in between."""
    lines: list[str] = []
    for line in split_lines(text):
        if lines and line[0] not in WHITE_SPACE and not is_comment(line):
            yield _join(lines)
            lines = []
        lines.append(line)
    if lines:
        yield _join(lines)


def is_comment(line: str) -> bool:
    """Tell whether Postfix skips this physical line: a comment, or nothing but white space."""
    stripped = line.strip(WHITE_SPACE)
    return not stripped or stripped.startswith("#")


def _join(lines: list[str]) -> LogicalLine:
    text = "".join(line.removesuffix("\n") for line in lines if not is_comment(line))
    return LogicalLine("" if text[:1] in WHITE_SPACE else text, tuple(lines))
