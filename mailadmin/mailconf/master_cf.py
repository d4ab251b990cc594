"""Read and write the services of master.cf as text (master(5))."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from mailadmin.mailconf import block
from mailadmin.mailconf.addresses import normalize_address
from mailadmin.mailconf.logical_lines import WHITE_SPACE, logical_lines, split_lines
from mailadmin.mailconf.services import SERVICES
from mailadmin.mailconf.state import ANY_ADDRESS

OFF = "#off# "
# Names that /etc/services gives to our ports; smtps is what Debian called submissions for years.
_PORT_NAMES = {name: service.port for name, service in SERVICES.items()} | {"smtps": 465}
_OPTION = re.compile(r"\s*([^\s=]+)\s*=(.*)", re.ASCII | re.DOTALL)
# What parts the words (src/master/master_ent.c): a form feed, for example, does not.
_BLANKS = " \t\r\n"
_FIELDS = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """One service of master.cf: its name, seven columns, and the words after the command.

    In ``words`` every ``-o`` stands alone, with its setting as the next word.
    """

    name: str
    kind: str
    columns: tuple[str, str, str, str, str]
    command: str
    words: tuple[str, ...] = ()

    @property
    def address_and_port(self) -> tuple[str, int] | None:
        """Return where an ``inet`` service listens; None for a port name we do not know."""
        host, _, port = self.name.rpartition(":")
        is_number = port.isascii() and port.isdecimal()
        number = int(port) if is_number else _PORT_NAMES.get(port)
        if self.kind != "inet" or number is None:
            return None
        return normalize_address(host.strip("[]")) or ANY_ADDRESS, number

    @property
    def options(self) -> dict[str, str]:
        """Return what ``-o`` sets, as written; the last one of a name wins."""
        found = (_read_option(setting) for setting in self._settings())
        return {name: value for name, value in found if name}

    def without_options(self, names: Collection[str]) -> Entry:
        """Return the entry less every ``-o`` that sets one of these parameters."""
        kept: list[str] = []
        for word in self.words:
            if kept[-1:] == ["-o"] and _read_option(word)[0] in names:
                kept.pop()
            else:
                kept.append(word)
        return replace(self, words=tuple(kept))

    def with_options(self, options: Mapping[str, str]) -> Entry:
        """Return the entry with these parameters set, before the ones it had."""
        words = [word for item in options.items() for word in ("-o", write_option(*item))]
        return replace(self, words=(*words, *self.words))

    def as_text(self, mark: str = "") -> str:
        """Return the lines of master.cf, one ``-o`` a line, each behind ``mark``."""
        lines = [" ".join((self.name, self.kind, *self.columns, self.command))]
        before = ""
        for word in self.words:
            # At the start of a line a word with # would make it a comment.
            if before == "-o" or word.startswith("#"):
                lines[-1] += f" {word}"
            else:
                lines.append(f"  {word}")
            before = word
        return "".join(f"{mark}{line}\n" for line in lines)

    def _settings(self) -> list[str]:
        pairs = zip(self.words, self.words[1:], strict=False)
        return [setting for word, setting in pairs if word == "-o"]


def write_option(name: str, value: str) -> str:
    """Return ``name=value``, in braces where the value holds white space (master(5)).

    Raises ``ValueError`` for a value that would not be read back as it is, or not as one value.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("a control character cannot be written to master.cf")
    if value != value.strip(WHITE_SPACE):
        raise ValueError("white space at the end of a value cannot be written to master.cf")
    if not _are_braces_paired(value):
        raise ValueError("a brace without its counterpart cannot be written to master.cf")
    value = value.replace("$", "$$")
    return f"{{ {name} = {value} }}" if " " in value else f"{name}={value}"


def _are_braces_paired(value: str) -> bool:
    depth = 0
    for character in value:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


def entry_name(address: str, port: int) -> str:
    """Return the service name for an address and port; IPv6 in brackets."""
    if address == ANY_ADDRESS:
        return str(port)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def read_entries(text: str) -> list[Entry]:
    """Return the active services, those of our block included. Odd lines are left out."""
    entries = (_parse(line.text) for line in logical_lines(text))
    return [entry for entry in entries if entry]


def find_effective(entries: Iterable[Entry]) -> Entry | None:
    """Return the first service; of several with its name the last, as Postfix does (master(5))."""
    effective: Entry | None = None
    for entry in entries:
        if effective is None or (entry.name, entry.kind) == (effective.name, effective.kind):
            effective = entry
    return effective


def read_switched_off(section: str) -> list[Entry]:
    """Return the services kept for later in a part of our block, with the options they had."""
    lines = split_lines(section)
    return read_entries("".join(line.removeprefix(OFF) for line in lines if line.startswith(OFF)))


def replace_entries(text: str, is_ours: Collection[Entry], content: str) -> str:
    """Return master.cf with those entries set aside in place and ``content`` in our block."""
    kept: list[str] = []
    for line in logical_lines(block.remove_block(text)):
        kept += block.set_aside(line.lines) if _parse(line.text) in is_ours else line.lines
    return block.append_block("".join(kept), content)


def _parse(text: str) -> Entry | None:
    fields = re.split(f"[{_BLANKS}]+", text.strip(_BLANKS), maxsplit=_FIELDS)
    if len(fields) < _FIELDS:
        return None
    name, kind, private, unprivileged, chroot, wakeup, maximum, command, *rest = fields
    columns = (private, unprivileged, chroot, wakeup, maximum)
    words = _split_options(_split_words("".join(rest)))
    return Entry(name, kind, columns, command, tuple(words))


def _split_words(text: str) -> list[str]:
    """Split at blanks, but not inside braces (mystrtokq(3) of Postfix)."""
    words: list[str] = []
    depth, word = 0, ""
    for character in text:
        depth = max(0, depth + {"{": 1, "}": -1}.get(character, 0))
        if depth == 0 and character in _BLANKS:
            words.append(word)
            word = ""
        else:
            word += character
    return [word for word in (*words, word) if word]


def _split_options(words: list[str]) -> list[str]:
    """Write ``-oname=value`` and ``-vo name=value`` as getopt(3) reads them: ``-o`` on its own."""
    found: list[str] = []
    is_value = is_past_options = False
    for word in words:
        is_past_options = is_past_options or not (is_value or word.startswith("-")) or word == "--"
        flags, is_setting, value = word[1:].partition("o")
        if is_value or is_past_options or not is_setting:
            found.append(word)
            is_value = False
        else:
            found += [f"-{flags}"] * bool(flags) + ["-o"] + [value] * bool(value)
            is_value = not value
    return found


def _read_option(setting: str) -> tuple[str, str]:
    """Return name and value of ``name=value`` or ``{ name = value }``; empty if it is neither."""
    if setting.startswith("{") and setting.endswith("}"):
        setting = setting[1:-1]
    match = _OPTION.match(setting)
    return (match[1], match[2].strip(WHITE_SPACE)) if match else ("", "")
