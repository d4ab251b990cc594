"""Run one of the daemons' own programs: absolute path, argument list, time limit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mailadmin.agent.protocol import AgentError

_SAFE_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
# What a daemon's parser says is shown to people; what doveconf prints is read whole.
_MOST_WORDS = 2000
_MOST_OUTPUT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: its exit code and what it printed, both streams together."""

    code: int
    output: str

    @property
    def is_ok(self) -> bool:
        """Tell whether the program reports success."""
        return self.code == 0

    @property
    def words(self) -> str:
        """Return the end of what it printed: as much as a person would read."""
        return self.output[-_MOST_WORDS:]


def find_program(name: str, *folders: Path) -> Path:
    """Return where the program is. Raises :class:`AgentError` if it is nowhere."""
    for folder in (*folders, Path("/usr/sbin"), Path("/usr/bin"), Path("/usr/local/sbin")):
        if os.access(folder / name, os.X_OK):
            return folder / name
    raise AgentError.because("program.missing", name)


def run(arguments: Sequence[str | Path], *, timeout: float = 20.0, hide: bool = False) -> Finished:
    """Run a program to its end; ``hide`` drops standard output, which may hold a key.

    One that does not end in time is killed with all that it has started: ``postfix`` is a shell
    script, and a child of it that hangs would let it go on long after we gave up.

    Raises :class:`AgentError` when it cannot be started or does not end in time.
    """
    name = Path(arguments[0]).name
    try:
        # A file, not a pipe: a daemon that was started keeps it open, and we would wait for it.
        with tempfile.TemporaryFile() as printed:
            program = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if hide else printed,
                stderr=printed if hide else subprocess.STDOUT,
                env=_SAFE_ENVIRONMENT,
                cwd="/",
                close_fds=True,
                start_new_session=True,
            )
            try:
                code = program.wait(timeout)
            except BaseException:
                _kill_all(program)
                raise
            return Finished(code, _read_end(printed))
    except subprocess.TimeoutExpired:
        raise AgentError.because("program.timeout", name, seconds=int(timeout)) from None
    except OSError as error:
        detail = error.strerror or "unknown"
        raise AgentError.because("program.not_started", name, detail=detail) from None


def _kill_all(program: subprocess.Popen[bytes]) -> None:
    """Kill a program and its children. What it left running as a daemon has a session of its own.

    Its number is its own for as long as nobody has waited for it.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def _read_end(printed: IO[bytes]) -> str:
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - _MOST_OUTPUT))
    return printed.read().decode(errors="replace").strip()
