"""``$name`` in a value of main.cf or master.cf (postconf(5)): enough for paths and restrictions."""

from __future__ import annotations

import re
from collections.abc import Mapping

# ${name?text} and ${name:text} too; the comparisons of 3.0 are left as they are.
_REFERENCE = re.compile(
    r"\$(?:(\$)|(\w+)|\((\w+)\)|\{(\w+)\}|\{(\w+)([?:])\{?([^{}]*)\}?\})", re.ASCII
)
_DEEPEST = 20


def expand(value: str, parameters: Mapping[str, str], depth: int = 0) -> str:
    """Return the value with every ``$name`` in it replaced; an unknown name is empty.

    What refers to itself is left as it is: Postfix refuses to start over it.
    """
    if depth > _DEEPEST:
        return value

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        name = match[2] or match[3] or match[4]
        if name:
            return expand(parameters.get(name, ""), parameters, depth + 1)
        is_set = bool(parameters.get(match[5]))
        return expand(match[7], parameters, depth + 1) if is_set == (match[6] == "?") else ""

    return _REFERENCE.sub(replace, value)
