"""The one marked block that the panel owns in a file somebody else owns too.

Whatever the block replaces is set aside in place, by a mark before each of its lines, so that an
admin sees what happened and taking the panel off the host gives back the file as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mailadmin.mailconf.logical_lines import WHITE_SPACE, is_comment, logical_lines, split_lines

BEGIN = "# BEGIN mailadmin. Written by the panel: edits inside are overwritten by the next apply."
END = "# END mailadmin"
SET_ASIDE = "#mailadmin# "
# Inside the block, so that the file ends without a line feed again when the block goes.
_OPEN_END = "# The line above the block had no line feed."
# The sentence behind it may change; a block of an older panel is still ours.
_BEGIN_MARK = "# BEGIN mailadmin."


def remove_block(text: str) -> str:
    """Return the file as it is without the panel: no block, nothing set aside."""
    kept: list[str] = []
    open_end: int | None = None
    for line, is_ours in _marked_lines(text):
        if not is_ours:
            kept.append(line.removeprefix(SET_ASIDE))
        elif _bare(line) == _OPEN_END:
            open_end = len(kept)
    original = "".join(kept)
    return original.removesuffix("\n") if open_end == len(kept) else original


def read_block(text: str) -> str:
    """Return what stands inside the block; empty if there is none."""
    return "".join(line for line, is_ours in _marked_lines(text) if is_ours and not _is_begin(line))


def keep_own(text: str, is_own: Callable[[str], bool]) -> str:
    """Return what a panel answers for: its block with both marks, and of the rest, in its place,
    the logical lines that ``is_own`` says yes to, without the comments in them.
    """
    kept: list[str] = []
    outside: list[str] = []
    is_inside = False
    for line in split_lines(text):
        is_inside = is_inside or _is_begin(line)
        if not is_inside:
            outside.append(line)
            continue
        kept += _own_lines(outside, is_own)
        outside = []
        kept.append(line)
        is_inside = _bare(line) != END
    return "".join((*kept, *_own_lines(outside, is_own)))


def _own_lines(lines: list[str], is_own: Callable[[str], bool]) -> list[str]:
    logical = (item for item in logical_lines("".join(lines)) if is_own(item.text))
    return [line for item in logical for line in item.lines if not is_comment(line)]


def append_block(text: str, content: str) -> str:
    """Return the file with the block at its end."""
    if text and not text.endswith("\n"):
        text, content = f"{text}\n", f"{_OPEN_END}\n{content}"
    return f"{text}{BEGIN}\n{content}{END}\n"


def set_aside(lines: Iterable[str]) -> list[str]:
    """Return the lines with our mark before each that counts; comments stay as they are."""
    return [line if is_comment(line) else SET_ASIDE + line for line in lines]


def is_damaged(text: str) -> bool:
    """Tell whether nobody can say any more which lines are ours.

    A mark without its counterpart, or a line behind the block that continues our last one: to
    remove such a block would remove or change lines of somebody else.
    """
    is_inside = is_just_behind = False
    for line in split_lines(text):
        if _is_begin(line) or _bare(line) == END:
            if _is_begin(line) == is_inside:
                return True
            is_inside = not is_inside
            is_just_behind = not is_inside
        elif is_just_behind and not is_comment(line):
            if line[0] in WHITE_SPACE:
                return True
            is_just_behind = False
    return is_inside


def _marked_lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each physical line but the end marks, and whether it belongs to the block."""
    is_inside = False
    for line in split_lines(text):
        if is_inside and _bare(line) == END:
            is_inside = False
            continue
        is_inside = is_inside or _is_begin(line)
        yield line, is_inside


def _is_begin(line: str) -> bool:
    return line.startswith(_BEGIN_MARK)


def _bare(line: str) -> str:
    return line.rstrip(WHITE_SPACE)
