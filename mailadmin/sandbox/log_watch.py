"""Read what is new in a daemon's log, and pick the lines that tell of trouble."""

from __future__ import annotations

import re
from pathlib import Path

_TROUBLE = re.compile(r"\b(warning|error|fatal|panic):", re.IGNORECASE)


class LogWatch:
    """A place in a growing log file; the file may be emptied or replaced."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = _size_of(log)

    def read_trouble(self) -> list[str]:
        """Return the whole lines added since the last call that warn or tell of an error."""
        size = _size_of(self._log)
        if size < self._offset:
            self._offset = 0
        if size == self._offset:
            return []
        with self._log.open("rb") as stream:
            stream.seek(self._offset)
            whole, newline, _ = stream.read(size - self._offset).rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        lines = whole.decode("utf-8", errors="replace").splitlines()
        return [line for line in lines if _TROUBLE.search(line)]


def _size_of(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0
