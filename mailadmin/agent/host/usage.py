"""Who used the mail server lately: the logs, read by a process of its own, and who is there now."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import mailadmin
from mailadmin.agent.host import Host
from mailadmin.agent.host.mail_logs import (
    JOURNALS,
    SYSTEM_LOGS,
    LogFile,
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
_COUNTS = "counts"
_CHILD = "mailadmin.agent.host.scanning"
_TREE = Path(mailadmin.__file__).parent.parent
_LONGEST_ANSWER = 16 * 1024 * 1024

Tell = Callable[[Mapping[str, Any]], None]
IsWanted = Callable[[], bool]


def read_usage(host: Host, days: int, tell: Tell, is_wanted: IsWanted) -> Usage:
    """Return who used what in the last ``days`` and the one before them in part, and who is
    connected now. Days are whole, in UTC, so that what was counted stays good until midnight.

    Takes up to :data:`SECONDS`; ``tell`` hears how far it is, and when ``is_wanted`` says no,
    reading ends with ``usage.not_wanted``. Raises :class:`AgentError`.
    """
    found = host.read()
    now = int(time.time())
    since = (now - days * _DAY) // _DAY * _DAY
    listeners = host.read_listeners(found)
    parameters = host.postfix.read_parameters()
    naming = read_naming(found.master_cf.text, parameters["syslog_name"], listeners)
    sources = _find_sources(*_log_files(host, parameters["maillog_file"], found.dovecot.get), since)
    question = {
        "since": since,
        "until": now,
        "seconds": SECONDS,
        "counts": str(host.store.folder / _COUNTS),
        "files": [(str(item.path), item.changed_at, item.log) for item in sources.files],
        "journalctl": sources.journalctl,
        "naming": naming_as_dict(naming),
    }
    usage = _ask(question, tell, is_wanted)
    problems = list(sources.problems)
    try:
        who = host.dovecot.read_who()
    except AgentError as error:
        who = ""
        problems.append(replace(error.problem, severity=Severity.WARNING))
    live = read_sessions(naming.ports, who)
    return replace(usage, live=live, problems=(*usage.problems, *problems))


@dataclass(frozen=True, slots=True)
class _Sources:
    """What is read, and what of it is not there."""

    files: tuple[LogFile, ...]
    journalctl: str
    problems: tuple[Problem, ...]


def _find_sources(own: Sequence[Path], system: Sequence[Path], since: float) -> _Sources:
    """Find the files; for the system's log, where none is, the journal."""
    problems: list[Problem] = []
    files: list[LogFile] = []
    for log in (*own, *system):
        try:
            files += find_logs([log], since)
        except LogUnreadableError as error:
            problems.append(_problem("usage.log_unreadable", str(log), str(error)))
    there = {item.log for item in files}
    missing = [str(log) for log in own if str(log) not in there]
    journalctl = ""
    if system and not there & set(map(str, system)):
        journalctl = _journalctl()
        missing += [] if journalctl else map(str, system)
    if missing:
        problems.append(_problem("usage.no_log", ", ".join(missing)))
    newest_first = sorted(files, key=lambda item: item.changed_at, reverse=True)
    return _Sources(tuple(dict.fromkeys(newest_first)), journalctl, tuple(problems))


def _log_files(
    host: Host, maillog_file: str, setting: Callable[[str], str]
) -> tuple[list[Path], list[Path]]:
    """Return the files that the daemons write themselves, and the system's for the one that
    leaves that to syslog."""
    logs = [maillog_file, setting("info_log_path") or setting("log_path")]
    own = [Path(item) for item in logs if item.startswith("/") and item != "/dev/stdout"]
    if len(own) == len(logs):
        return own, []
    if host.log_files:
        return own, list(host.log_files)
    return own, [next((path for path in SYSTEM_LOGS if path.exists()), SYSTEM_LOGS[0])]


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
