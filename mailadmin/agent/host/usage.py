"""Who used the mail server lately: the logs, read by a process of its own, and who is there now."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import mailadmin
from mailadmin.agent.host import Host
from mailadmin.agent.host.mail_logs import (
    JOURNALS,
    SYSTEM_LOGS,
    LogUnreadableError,
    find_logs,
)
from mailadmin.agent.host.programs import find_program
from mailadmin.agent.host.scanning import naming_as_dict
from mailadmin.agent.host.sessions import read_sessions
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf.maillog.naming import read_naming
from mailadmin.mailconf.maillog.usage import Usage
from mailadmin.pki.problems import Problem, Severity

SECONDS = 60.0
# After that the process is ended, whatever it does: a file system may hang.
_PATIENCE = 5.0
_LOOK_EVERY = 0.5
_DAY = 86_400
_CHILD = "mailadmin.agent.host.scanning"
_TREE = Path(mailadmin.__file__).parent.parent
_LONGEST_ANSWER = 16 * 1024 * 1024

Tell = Callable[[Mapping[str, Any]], None]
IsWanted = Callable[[], bool]


def read_usage(host: Host, days: int, tell: Tell, is_wanted: IsWanted) -> Usage:
    """Return who used what in the last ``days``, and who is connected now.

    Takes up to :data:`SECONDS`; ``tell`` hears how far it is, and when ``is_wanted`` says no,
    reading ends with ``usage.not_wanted``. Raises :class:`AgentError`.
    """
    found = host.read()
    now = int(time.time())
    since = now - days * _DAY
    listeners = host.read_listeners(found)
    parameters = host.postfix.read_parameters()
    naming = read_naming(found.master_cf.text, parameters["syslog_name"], listeners)
    logs = _log_files(host, parameters["maillog_file"], found.dovecot.get)
    problems: list[Problem] = []
    try:
        files = find_logs(logs, since)
    except LogUnreadableError as error:
        files = []
        problems.append(_problem("usage.log_unreadable", str(logs[0].parent), str(error)))
    journalctl = "" if _is_any_of(logs, files) else _journalctl()
    question = {
        "since": since,
        "until": now,
        "seconds": SECONDS,
        "files": [(str(item.path), item.changed_at) for item in files],
        "journalctl": journalctl,
        "naming": naming_as_dict(naming),
    }
    usage = _ask(question, tell, is_wanted)
    if not usage.sources:
        problems.append(_problem("usage.no_log", ", ".join(map(str, logs))))
    try:
        who = host.dovecot.read_who()
    except AgentError as error:
        who = ""
        problems.append(replace(error.problem, severity=Severity.WARNING))
    live = read_sessions(naming.ports, who)
    return replace(usage, live=live, problems=(*usage.problems, *problems))


def _log_files(host: Host, maillog_file: str, setting: Callable[[str], str]) -> list[Path]:
    """Return the files that the daemons write themselves, and the system's for the one that
    leaves that to syslog."""
    logs = [maillog_file, setting("info_log_path") or setting("log_path")]
    own = [Path(item) for item in logs if item.startswith("/") and item != "/dev/stdout"]
    if len(own) == len(logs):
        return own
    if host.log_files:
        return [*own, *host.log_files]
    system = next((path for path in SYSTEM_LOGS if path.exists()), SYSTEM_LOGS[0])
    return [*own, system]


def _is_any_of(logs: list[Path], files: list[Any]) -> bool:
    """Tell whether the last of the logs, which is the system's if one is, was found."""
    return any(item.path.name.startswith(logs[-1].name) for item in files)


def _journalctl() -> str:
    if not any(path.is_dir() for path in JOURNALS):
        return ""
    try:
        return str(find_program("journalctl"))
    except AgentError:
        return ""


def _problem(code: str, subject: str, detail: str = "") -> Problem:
    return Problem(code, Severity.WARNING, subject, {"detail": detail})


def _ask(question: Mapping[str, Any], tell: Tell, is_wanted: IsWanted) -> Usage:
    with subprocess.Popen(
        [sys.executable, "-s", "-m", _CHILD],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=_TREE,
        env={"LC_ALL": "C.UTF-8"},
    ) as running:
        try:
            return _listen(running, question, tell, is_wanted)
        finally:
            running.kill()


def _listen(
    running: subprocess.Popen[bytes],
    question: Mapping[str, Any],
    tell: Tell,
    is_wanted: IsWanted,
) -> Usage:
    if running.stdin is None or running.stdout is None:
        raise TypeError("a child always has its pipes")
    try:
        running.stdin.write(json.dumps(question).encode())
        running.stdin.close()
    except BrokenPipeError:
        raise AgentError.because("usage.broken_off") from None
    for line in _lines(running.stdout, is_wanted):
        message = json.loads(line)
        if "usage" in message:
            return Usage.from_dict(message["usage"])
        tell(message["event"])
    raise AgentError.because("usage.broken_off")


def _lines(stream: IO[bytes], is_wanted: IsWanted) -> Iterator[bytes]:
    """Yield what the child says. Raises :class:`AgentError` if it takes too long or in vain."""
    until = time.monotonic() + SECONDS + _PATIENCE
    received = b""
    while time.monotonic() < until:
        if not is_wanted():
            raise AgentError.because("usage.not_wanted")
        if not select.select([stream], [], [], _LOOK_EVERY)[0]:
            continue
        chunk = os.read(stream.fileno(), 65_536)
        if not chunk or len(received) > _LONGEST_ANSWER:
            return
        received += chunk
        *whole, received = received.split(b"\n")
        yield from whole
    raise AgentError.because("usage.too_slow", seconds=int(SECONDS))
