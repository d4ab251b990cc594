"""Run the daemons' own commands, and find out who holds a port."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from mailadmin.agent.host.ports import UNKNOWN, find_holder
from mailadmin.sandbox.errors import SandboxError

_SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# What the daemons' commands get to see: nothing of the caller's environment can change them.
_ENVIRONMENT = {"PATH": _SEARCH_PATH, "LC_ALL": "C.UTF-8"}


def find_program(name: str) -> str:
    """Return the absolute path of a program. Raises SandboxError when it is not installed."""
    found = shutil.which(name, path=_SEARCH_PATH)
    if found is None:
        raise SandboxError(
            f"The program {name} is not installed. `make run` and `make test` install what is "
            "needed; or use apt-get install postfix dovecot-imapd dovecot-pop3d dovecot-lmtpd "
            "dovecot-managesieved."
        )
    return found


def run_program(
    name: str, arguments: Sequence[str], timeout: float = 20.0
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; the caller reads the return code. ``timeout`` is in seconds."""
    # Files, not pipes: a daemon that stays behind keeps them open, and we would wait for it.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        answer = subprocess.run(
            [find_program(name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            timeout=timeout,
            env=_ENVIRONMENT,
            cwd="/",
        )
        return subprocess.CompletedProcess(
            answer.args, answer.returncode, _read_text(output), _read_text(errors)
        )


def _read_text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", errors="replace")


def read_pid(pid_file: Path) -> int | None:
    """Return the process id kept in a file, or None when there is none."""
    try:
        return int(pid_file.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def name_port_holder(address: str, port: int) -> str | None:
    """Return "program (process id)" of whoever listens on this address and port, if anyone."""
    holder = find_holder(address, port)
    if holder is None:
        return None
    if not holder.pid:
        return "a program outside this container"
    if holder.program == UNKNOWN:
        return f"process {holder.pid}"
    return f"{holder.program} (process {holder.pid})"
