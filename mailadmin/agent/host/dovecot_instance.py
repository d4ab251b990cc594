"""One master process of Dovecot: its file, its folder of sockets, started and told things."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from mailadmin.agent.host.programs import find_program, run
from mailadmin.agent.protocol import AgentError

# Dovecot's process title says so; "dovecot" alone would also match a shell script.
_MASTER_NAME = "dovecot"
_TAKEN = "Address already in use"
_PORTS_ARE_FREE_WITHIN = 5.0
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class DovecotInstance:
    """One instance. Never ``doveadm service stop``: it panics the master (measured)."""

    config_file: Path
    base_dir: Path
    command_directory: Path

    def is_running(self) -> bool:
        """Tell whether the master lives."""
        return self.master_pid() is not None

    def master_pid(self) -> int | None:
        """Return the master's process number, or None."""
        try:
            pid = int((self.base_dir / "master.pid").read_text().strip())
            process = psutil.Process(pid)
            is_alive = process.name() == _MASTER_NAME and (process.status() != psutil.STATUS_ZOMBIE)
        except (OSError, ValueError, psutil.Error):
            return None
        return pid if is_alive else None

    def reload(self) -> None:
        """Tell the master to read its files and move its ports. Raises :class:`AgentError`."""
        program = find_program("doveadm", self.command_directory)
        done = run([program, "-c", self.config_file, "reload"])
        if not done.is_ok:
            raise AgentError.because("dovecot.reload_failed", words=done.words)

    def start(self) -> None:
        """Start a master that died. Raises :class:`AgentError`."""
        program = find_program("dovecot", self.command_directory)
        if not self.is_running():
            # Dovecot would not start while anything has the number of the one that died: another
            # program, or its own remains that nobody has collected.
            with contextlib.suppress(OSError):
                (self.base_dir / "master.pid").unlink(missing_ok=True)
        deadline = time.monotonic() + _PORTS_ARE_FREE_WITHIN
        while not (done := run([program, "-c", self.config_file])).is_ok:
            # The login processes of a master that was killed have its ports for a moment more.
            if _TAKEN not in done.words or time.monotonic() > deadline:
                raise AgentError.because("dovecot.start_failed", words=done.words)
            time.sleep(_PAUSE)

    def end(self) -> None:
        """Ask the master to end, and not wait: its ports are free long before it is gone.

        With ``shutdown_clients = no`` those who are connected stay so (measured).
        """
        pid = self.master_pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
