"""Edit main.cf as text: comments, order and everything that is not ours stay (postconf(5))."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from mailadmin.mailconf import block
from mailadmin.mailconf.logical_lines import WHITE_SPACE, logical_lines

_PARAMETER = re.compile(r"([^\s=]+)\s*=(.*)", re.ASCII | re.DOTALL)


def set_parameters(text: str, settings: Mapping[str, str], replaced: Collection[str]) -> str:
    """Return main.cf with ``settings`` in our block and every ``replaced`` name set aside.

    The last assignment wins in Postfix, so a name of ours further up would only mislead.
    """
    names = set(settings) | set(replaced)
    kept: list[str] = []
    for line in logical_lines(block.remove_block(text)):
        match = _PARAMETER.match(line.text)
        kept += block.set_aside(line.lines) if match and match[1] in names else line.lines
    content = "".join(f"{name} = {quote_value(value)}\n" for name, value in settings.items())
    return block.append_block("".join(kept), content)


def read_parameters(text: str) -> dict[str, str]:
    """Return the parameters as written, without expanding ``$name``; the last assignment wins."""
    matches = (_PARAMETER.match(line.text) for line in logical_lines(text))
    return {match[1]: match[2].strip(WHITE_SPACE) for match in matches if match}


def quote_value(value: str) -> str:
    """Return a value that Postfix reads as it is meant. Raises ``ValueError`` if none can be.

    ``$`` starts an expansion and is doubled; a line break would start another parameter; white
    space at either end is lost.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("a control character cannot be written to main.cf")
    if value != value.strip(WHITE_SPACE):
        raise ValueError("white space at the end of a value cannot be written to main.cf")
    return value.replace("$", "$$")
