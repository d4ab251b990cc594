"""Edit main.cf as text: comments, order and everything that is not ours stay (postconf(5))."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from mailadmin.mailconf import block

_PARAMETER = re.compile(r"([A-Za-z0-9_]+)\s*=")


def set_parameters(text: str, settings: Mapping[str, str], replaced: Collection[str]) -> str:
    """Return main.cf with ``settings`` in our block and every ``replaced`` name set aside.

    The last assignment wins in Postfix, so a name of ours further up would only mislead.
    """
    original = block.remove_block(text)
    names = set(settings) | set(replaced)
    kept = "".join(
        block.SET_ASIDE + line if name in names else line for name, line in _named_lines(original)
    )
    content = "".join(f"{name} = {quote_value(value)}\n" for name, value in settings.items())
    return block.append_block(kept, content)


def read_parameters(text: str) -> dict[str, str]:
    """Return the parameters as written, without expanding ``$name``; the last assignment wins."""
    found: dict[str, str] = {}
    current = ""
    for name, line in _named_lines(text):
        if name is None:
            continue
        if _PARAMETER.match(line):
            current = name
            found[current] = line.partition("=")[2].strip()
        else:
            found[current] = f"{found[current]} {line.strip()}".strip()
    return found


def quote_value(value: str) -> str:
    """Return a value that Postfix reads as it is meant. Raises ``ValueError`` if none can be.

    ``$`` starts an expansion and is doubled; a line break would start another parameter.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("a control character cannot be written to main.cf")
    return value.replace("$", "$$")


def _named_lines(text: str) -> Iterator[tuple[str | None, str]]:
    """Yield each physical line with the parameter it belongs to; None for comments and blanks.

    A line that starts with white space continues the last parameter, across comments in between.
    """
    name: str | None = None
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            yield None, line
            continue
        if not line[0].isspace():
            match = _PARAMETER.match(line)
            name = match[1] if match else None
        yield name, line
