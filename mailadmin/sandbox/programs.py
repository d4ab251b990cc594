"""Run the daemons' own commands, and find and end the processes that belong to a sandbox."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

import psutil

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


def find_processes(folders: Iterable[Path], title: str) -> list[psutil.Process]:
    """Return the running processes which belong to one sandbox.

    That are those whose working directory is one of these folders (Postfix' daemons work in
    their queue directory, Dovecot's in their base directory), and those whose command line
    begins with ``title`` (Dovecot's sessions work in the user's home, but carry its name). This
    also finds those which outlived their master.
    """
    wanted = [folder.resolve() for folder in folders]
    return [process for process in psutil.process_iter() if _is_ours(process, wanted, title)]


def _is_ours(process: psutil.Process, wanted: Sequence[Path], title: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        here = Path(process.cwd())
        command = process.cmdline()
    except psutil.Error:
        return False
    is_titled = bool(command) and command[0].startswith(title)
    return is_titled or any(here.is_relative_to(folder) for folder in wanted)


def end_processes(processes: Sequence[psutil.Process], patience: float) -> None:
    """End these processes: asked first, forced after ``patience`` seconds."""
    for is_forced in (False, True):
        alive = [process for process in processes if is_alive(process)]
        for process in alive:
            _signal(process, is_forced=is_forced)
        deadline = time.monotonic() + patience
        # psutil.wait_procs would take a second for processes which are not our children.
        if wait_until(lambda: not any(is_alive(process) for process in processes), deadline):
            return


def is_alive(process: psutil.Process) -> bool:
    """Say whether the process runs; one that only waits to be collected does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, *, is_forced: bool) -> None:
    try:
        if is_forced:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        return


def name_port_holder(address: str, port: int) -> str | None:
    """Return "program (process id)" of whoever listens on this address and port, if anyone."""
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status != psutil.CONN_LISTEN or not connection.laddr:
            continue
        held = connection.laddr
        if held.port == port and held.ip in (address, "0.0.0.0", "::"):  # noqa: S104 - compared
            return _describe_process(connection.pid)
    return None


def _describe_process(pid: int | None) -> str:
    if pid is None:
        return "a program outside this container"
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.NoSuchProcess:
        return f"process {pid}"


def wait_until(condition: Callable[[], bool], deadline: float, pause: float = 0.01) -> bool:
    """Poll a condition until it holds; return False when ``deadline`` has passed.

    ``deadline`` is a ``time.monotonic()`` value.
    """
    while True:
        if condition():
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
