"""Find and end the processes of one private mail server, also those that outlived their master."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil

_MOST_ROUNDS = 12
_QUIET = 0.05  # seconds without any process


def is_halted(pid: int) -> bool:
    """Tell whether the process lives and yet does nothing: SIGSTOP, or a debugger."""
    try:
        return psutil.Process(pid).status() in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}
    except psutil.Error:
        return False


def find_processes(
    folders: Iterable[Path], titles: tuple[str, ...], *, mail_config: Path | None = None
) -> list[psutil.Process]:
    """Return the running processes which belong to one private Postfix and Dovecot.

    That are those whose working directory is one of these folders (Postfix' daemons work in
    their queue directory, Dovecot's in their base directory), and those whose command line
    begins with one of ``titles`` (Dovecot's sessions work in the user's home, but carry its name).
    This also finds those which outlived their master. With ``mail_config``, Postfix' configuration
    folder, also the commands that are about to start a master: ``postfix -c`` tells them by
    ``MAIL_CONFIG``.
    """
    wanted = [folder.resolve() for folder in folders]
    variable = None if mail_config is None else str(mail_config)
    return [item for item in psutil.process_iter() if _is_ours(item, wanted, titles, variable)]


def _is_ours(
    process: psutil.Process,
    wanted: Sequence[Path],
    titles: tuple[str, ...],
    mail_config: str | None,
) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        here = Path(process.cwd())
        command = process.cmdline()
        is_titled = bool(command) and command[0].startswith(titles)
        if is_titled or any(here.is_relative_to(folder) for folder in wanted):
            return True
        return mail_config is not None and process.environ().get("MAIL_CONFIG") == mail_config
    except (psutil.Error, OSError):
        return False


def end_processes(processes: Sequence[psutil.Process], patience: float) -> None:
    """End these processes: asked first, forced after ``patience`` seconds; at once if that is 0."""
    for is_forced in (False, True) if patience else (True,):
        alive = [process for process in processes if is_alive(process)]
        for process in alive:
            _signal(process, is_forced=is_forced)
        deadline = time.monotonic() + (patience or 1.0)
        # psutil.wait_procs would take a second for processes which are not our children.
        if wait_until(lambda: not any(is_alive(process) for process in processes), deadline):
            return


def end_all(find: Callable[[], Sequence[psutil.Process]], patience: float) -> bool:
    """End what is found until nothing is; tells whether that came to be. ``patience`` as above.

    Found again, for a master may start another process meanwhile; and looked for twice before it
    is believed, for one that is turning into another program shows neither its working folder nor
    its environment for a moment.
    """
    is_quiet = False
    for _ in range(_MOST_ROUNDS):
        if processes := find():
            end_processes(processes, patience)
            is_quiet = False
        elif is_quiet:
            return True
        else:
            time.sleep(_QUIET)
            is_quiet = True
    return False


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
