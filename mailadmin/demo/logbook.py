"""One log for all programs, with the program's name before every line."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import IO

_LARGEST = 10 * 1024 * 1024  # bytes; then the log is put aside as .1
_LINES_REMEMBERED = 8


class Logbook:
    """A log file that several threads write to, line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._last_lines: dict[str, deque[str]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._open()

    def write(self, program: str, line: str) -> None:
        """Add one line of one program."""
        now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        with self._lock:
            self._last_lines.setdefault(program, deque(maxlen=_LINES_REMEMBERED)).append(line)
            if self._stream.closed:
                return
            self._stream.write(f"{now} {program:<7} {line}\n")
            self._stream.flush()
            if self._stream.tell() > _LARGEST:
                self._put_aside()

    def last_lines(self, program: str) -> list[str]:
        """Return the last few lines of one program."""
        with self._lock:
            return list(self._last_lines.get(program, ()))

    def close(self) -> None:
        """Write nothing more."""
        with self._lock:
            self._stream.close()

    def _put_aside(self) -> None:
        self._stream.close()
        self.path.rename(self.path.with_name(f"{self.path.name}.1"))
        self._stream = self._open()

    def _open(self) -> IO[str]:
        return self.path.open("a", encoding="utf-8", errors="replace")
