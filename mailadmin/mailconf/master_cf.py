"""Read and write the services of master.cf as text (master(5))."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from mailadmin.mailconf import block
from mailadmin.mailconf.services import SERVICES
from mailadmin.mailconf.state import ANY_ADDRESS

OFF = "#off# "
# Names that /etc/services gives to our ports; smtps is what Debian called submissions for years.
_PORT_NAMES = {name: service.port for name, service in SERVICES.items()} | {"smtps": 465}
_OPTION = re.compile(r"\{?\s*([A-Za-z0-9_]+)\s*=")


@dataclass(frozen=True, slots=True)
class Entry:
    """One service of master.cf: its name, seven columns, and the words after the command."""

    name: str
    kind: str
    columns: tuple[str, str, str, str, str]
    command: str
    words: tuple[str, ...] = ()

    @property
    def address_and_port(self) -> tuple[str, int] | None:
        """Return where an ``inet`` service listens; None for a port name we do not know."""
        host, _, port = self.name.rpartition(":")
        number = int(port) if port.isdecimal() else _PORT_NAMES.get(port)
        if self.kind != "inet" or number is None:
            return None
        return host.strip("[]") or ANY_ADDRESS, number

    def without_options(self, names: Collection[str]) -> Entry:
        """Return the entry less every ``-o`` that sets one of these parameters."""
        words = list(self.words)
        kept: list[str] = []
        while words:
            word = words.pop(0)
            if word == "-o" and words:
                setting = words.pop(0)
                match = _OPTION.match(setting)
                if not match or match[1] not in names:
                    kept += [word, setting]
            else:
                kept.append(word)
        return replace(self, words=tuple(kept))

    def with_options(self, options: Mapping[str, str]) -> Entry:
        """Return the entry with these parameters set, before the ones it had."""
        words = [word for item in options.items() for word in ("-o", write_option(*item))]
        return replace(self, words=(*words, *self.words))

    def as_text(self, mark: str = "") -> str:
        """Return the lines of master.cf, one ``-o`` a line, each behind ``mark``."""
        head = " ".join((self.name, self.kind, *self.columns, self.command))
        lines = [head]
        words = list(self.words)
        while words:
            word = words.pop(0)
            lines.append(f"  {word} {words.pop(0)}" if word == "-o" and words else f"  {word}")
        return "".join(f"{mark}{line}\n" for line in lines)


def write_option(name: str, value: str) -> str:
    """Return ``name=value``, in braces where the value holds white space (master(5))."""
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("a control character cannot be written to master.cf")
    value = value.replace("$", "$$")
    return f"{{ {name} = {value} }}" if re.search(r"\s", value) else f"{name}={value}"


def entry_name(address: str, port: int) -> str:
    """Return the service name for an address and port; IPv6 in brackets."""
    if address == ANY_ADDRESS:
        return str(port)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def read_entries(text: str) -> list[Entry]:
    """Return the active services, those of our block included. Odd lines are left out."""
    return [entry for entry, _ in _entries(text) if entry]


def read_switched_off(section: str) -> list[Entry]:
    """Return the services kept for later in a part of our block, with the options they had."""
    lines = section.splitlines(keepends=True)
    return read_entries("".join(line.removeprefix(OFF) for line in lines if line.startswith(OFF)))


def replace_entries(text: str, is_ours: Collection[Entry], content: str) -> str:
    """Return master.cf with those entries set aside in place and ``content`` in our block."""
    kept: list[str] = []
    for entry, lines in _entries(block.remove_block(text)):
        if entry in is_ours:
            kept += [line if _is_comment(line) else block.SET_ASIDE + line for line in lines]
        else:
            kept += lines
    return block.append_block("".join(kept), content)


def _entries(text: str) -> Iterator[tuple[Entry | None, list[str]]]:
    """Yield each logical line with its physical ones; comments in front come with None."""
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        is_continuation = line[0].isspace() or _is_comment(line)
        if lines and not is_continuation:
            yield _parse("".join(item for item in lines if not _is_comment(item))), lines
            lines = []
        lines.append(line)
    if lines:
        yield _parse("".join(item for item in lines if not _is_comment(item))), lines


def _is_comment(line: str) -> bool:
    stripped = line.strip()
    return not stripped or stripped.startswith("#")


def _parse(text: str) -> Entry | None:
    words = _split(text)
    if len(words) < 8:
        return None
    private, unprivileged, chroot, wakeup, maximum = words[2:7]
    columns = (private, unprivileged, chroot, wakeup, maximum)
    return Entry(words[0], words[1], columns, words[7], tuple(words[8:]))


def _split(text: str) -> list[str]:
    """Split at white space, but not inside braces."""
    words: list[str] = []
    depth, word = 0, ""
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character.isspace() and depth <= 0:
            if word:
                words.append(word)
            word = ""
        else:
            word += character
    return [*words, word] if word else words
