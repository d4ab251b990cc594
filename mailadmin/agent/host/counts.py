"""What was counted of each log file, put aside so that the next reading goes on from there.

One file of the agent's own for each log file, named by its inode: logrotate renames a log and the
counts stay good. A packed file is a new one and is read anew, once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mailadmin.agent.host.files import write_own
from mailadmin.agent.host.mail_logs import is_packed
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf.maillog.tally import Tally

# Raise it when lines are read in another way: what was counted in the old one is not gone on from.
_FORMAT = 1
# A file that was emptied and written anew differs in its beginning, or before where we stopped.
_HEAD = 4096
_TAIL = 256
_LARGEST = 64 * 1024 * 1024


@dataclass(slots=True)
class Counted:
    """What was counted of one file up to ``end`` (bytes), or of the journal up to ``cursor``."""

    tally: Tally
    lines: int = 0
    reaches_to: int = 0
    end: int = 0
    cursor: str = ""
    # SMTP sessions that were open there.
    sessions: list[list[Any]] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "tally": self.tally.as_dict(),
            "lines": self.lines,
            "reaches_to": self.reaches_to,
            "end": self.end,
            "cursor": self.cursor,
            "sessions": self.sessions,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        return cls(**{**value, "tally": Tally.from_dict(value["tally"])})


class Counts:
    """The folder of them. ``naming``: which names meant which service, or counts are void.

    None of it is needed: where it cannot be read or written, everything is read anew.
    """

    def __init__(self, folder: Path | None, since: int, naming: Mapping[str, Any]) -> None:
        self._folder = folder
        self._since = since
        self._naming = _digest(json.dumps([_FORMAT, naming], sort_keys=True).encode())
        self._used: set[str] = set()
        self._names: dict[Path, str] = {}

    def recall(self, path: Path) -> Counted | None:
        """Return what was counted of this file; None if it is not that file any more."""
        name = self._names[path] = _name_of(path)
        kept = self._read(name) if name else None
        if kept is None:
            return None
        counted = self._counted(kept)
        return counted if counted and _is_same(path, kept["mark"], counted.end) else None

    def keep(self, path: Path, counted: Counted) -> None:
        """Put aside what was counted of this file, unless another took its place meanwhile."""
        name = _name_of(path)
        if name and name == self._names.get(path):
            with suppress(OSError):
                self._write(name, counted, _mark(path, counted.end))

    def recall_journal(self) -> Counted | None:
        """Return what was counted of the journal."""
        kept = self._read("journal")
        return self._counted(kept) if kept else None

    def keep_journal(self, counted: Counted) -> None:
        """Put aside what was counted of the journal."""
        self._write("journal", counted, "")

    def drop_unused(self) -> None:
        """Forget the files that were not asked about: they are gone, or too old."""
        if self._folder is None:
            return
        with suppress(OSError):
            for path in self._folder.iterdir():
                if path.name not in self._used:
                    path.unlink()

    def _read(self, name: str) -> dict[str, Any] | None:
        self._used.add(f"{name}.json")
        if self._folder is None:
            return None
        try:
            kept = json.loads((self._folder / f"{name}.json").read_bytes())
            return kept if kept["naming"] == self._naming else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _counted(self, kept: Mapping[str, Any]) -> Counted | None:
        """Return the counts, if they are of the time that is asked about and no more."""
        try:
            counted = Counted.from_dict(kept["counted"])
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        tally = counted.tally
        is_all = tally.since == self._since
        is_younger = tally.since < self._since and (not tally.oldest or tally.oldest >= self._since)
        if not (is_all or is_younger):
            return None
        tally.since = self._since
        return counted

    def _write(self, name: str, counted: Counted, mark: str) -> None:
        if self._folder is None:
            return
        kept = {"naming": self._naming, "mark": mark, "counted": counted.as_dict()}
        content = json.dumps(kept, separators=(",", ":")).encode()
        with suppress(OSError, AgentError):
            if len(content) <= _LARGEST:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                write_own(self._folder / f"{name}.json", content)


def _name_of(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_dev}-{status.st_ino}"


def _mark(path: Path, end: int) -> str:
    """Return what tells this file from another at its place. Raises ``OSError``."""
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        if is_packed(path):
            return f"{status.st_size} {status.st_mtime_ns}"
        head = stream.read(min(_HEAD, end))
        stream.seek(max(0, end - _TAIL))
        tail = stream.read(min(_TAIL, end))
    return _digest(head + tail)


def _is_same(path: Path, mark: str, end: int) -> bool:
    with suppress(OSError):
        return _mark(path, end) == mark
    return False


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
