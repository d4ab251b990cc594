"""The one marked block that the panel owns in a file somebody else owns too.

Whatever the block replaces is set aside in place, by a mark before each of its lines, so that an
admin sees what happened and taking the panel off the host gives back the file as it was.
"""

from __future__ import annotations

BEGIN = "# BEGIN mailadmin. Written by the panel: edits inside are overwritten by the next apply."
END = "# END mailadmin"
SET_ASIDE = "#mailadmin# "


def remove_block(text: str) -> str:
    """Return the file as it is without the panel: no block, nothing set aside."""
    lines: list[str] = []
    is_inside = False
    for line in text.splitlines(keepends=True):
        if line.rstrip("\r\n") == BEGIN:
            is_inside = True
        elif line.rstrip("\r\n") == END and is_inside:
            is_inside = False
        elif not is_inside:
            lines.append(line.removeprefix(SET_ASIDE))
    return "".join(lines)


def read_block(text: str) -> str:
    """Return what stands inside the block; empty if there is none."""
    _, found, rest = text.partition(BEGIN + "\n")
    return rest.partition(END)[0] if found else ""


def append_block(text: str, content: str) -> str:
    """Return the file with the block at its end."""
    if text and not text.endswith("\n"):
        text += "\n"
    return f"{text}{BEGIN}\n{content}{END}\n"
