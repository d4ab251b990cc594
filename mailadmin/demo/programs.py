"""One program under supervision: its process, its output, and all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from mailadmin.demo.logbook import Logbook

# Should the supervisor be killed, the kernel ends its programs (prctl(2), PR_SET_PDEATHSIG).
_DIE_WITH_PARENT = ("/usr/bin/setpriv", "--pdeathsig", "TERM", "--")
_LONGEST_BACKOFF = 10.0  # seconds
_SAME_START = 0.5  # seconds; the kernel counts starts in hundredths
_STABLE_AFTER = 20.0  # seconds of life after which a death counts as the first again


class Program:
    """A program that can be started again and again. Each run is a session of its own."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        logbook: Logbook,
        is_ready: Callable[[], bool],
        umask: int = 0o077,
    ) -> None:
        self.name = name
        self.restarts = 0
        self._command = list(command)
        self._environment = dict(environment)
        self._folder = folder
        self._logbook = logbook
        self._is_ready = is_ready
        self._umask = umask
        self._running: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._started_at = 0.0
        self._deaths_in_a_row = 0

    @property
    def pid(self) -> int | None:
        """Process id of the current or last run, which is its session id too."""
        return self._running.pid if self._running else None

    @property
    def exit_code(self) -> int | None:
        """Exit code of the last run; None while it lives or was never started."""
        return self._running.poll() if self._running else None

    def is_running(self) -> bool:
        """Say whether the program itself lives."""
        return self._running is not None and self._running.poll() is None

    def is_ready(self) -> bool:
        """Say whether the program lives and does its work."""
        return self.is_running() and self._is_ready()

    def start(self) -> None:
        """Start the program; its output goes to the log."""
        running = subprocess.Popen(
            [*_DIE_WITH_PARENT, *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
            cwd=self._folder,
            umask=self._umask,
            # Ctrl-C in the terminal reaches the supervisor alone, which ends them in order.
            start_new_session=True,
        )
        self._running = running
        self._started_at = time.monotonic()
        if running.stdout is not None:
            output = running.stdout
            self._reader = threading.Thread(target=self._copy_output, args=(output,), daemon=True)
            self._reader.start()

    def ask_to_end(self) -> None:
        """Send SIGTERM, if the program lives."""
        if self._running is not None and self._running.poll() is None:
            self._running.terminate()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal (SIGKILL) to the program and to all that it started, and wait for it."""
        if self._running is None:
            return
        end_session(self._running.pid, number)
        self._running.wait()

    def has_ended(self) -> bool:
        """Say whether nothing of the last run is left, neither itself nor what it started."""
        if self._running is None:
            return True
        return self._running.poll() is not None and not list_session(self._running.pid)

    def backoff(self) -> float:
        """Return the seconds to wait before the next start after a death: 0, 1, 2, 4 ..."""
        if time.monotonic() - self._started_at > _STABLE_AFTER:
            self._deaths_in_a_row = 0
        self._deaths_in_a_row += 1
        seconds = 2.0 ** (self._deaths_in_a_row - 2) if self._deaths_in_a_row > 1 else 0.0
        return min(seconds, _LONGEST_BACKOFF)

    def last_words(self) -> str:
        """Return the last lines the program wrote."""
        if self._reader is not None:
            self._reader.join(timeout=1)
        return "\n".join(self._logbook.last_lines(self.name))

    def _copy_output(self, output: IO[bytes]) -> None:
        with output:
            for raw in output:
                line = raw.decode("utf-8", errors="replace").rstrip()
                if line:
                    self._logbook.write(self.name, line)


def list_session(session: int) -> list[psutil.Process]:
    """Return the living processes of a session, given by the process id of its leader."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) != session:
                continue
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def end_session(session: int, number: signal.Signals) -> None:
    """Send a signal to every process of a session."""
    for process in list_session(session):
        kill_process(process, number)


def kill_process(process: psutil.Process, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process, unless it ended meanwhile."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def is_same_process(process: psutil.Process, pid: int, started_at: float) -> bool:
    """Say whether this is the process that had the number then, and not a later one."""
    return process.pid == pid and abs(process.create_time() - started_at) < _SAME_START
