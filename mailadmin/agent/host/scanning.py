"""Read the logs, in a process of its own: ``python -m mailadmin.agent.host.scanning``.

On standard input one JSON object says what to read; on standard output come lines of how far it
is, and then the counts. A process of its own, because the agent's threads share one processor with
the proofs of an apply; of the lowest priority, because mail comes first.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import zoneinfo
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from mailadmin.agent.host.mail_logs import (
    LogFile,
    LogUnreadableError,
    read_chunks,
    split_chunks,
)
from mailadmin.mailconf.maillog.access import Naming
from mailadmin.mailconf.maillog.reading import LogReader
from mailadmin.mailconf.maillog.usage import Tally, Usage
from mailadmin.pki.problems import Problem, Severity

_LOWEST_PRIORITY = 19
_MOST_MEMORY = 1024 * 1024 * 1024
_LOCAL_ZONE = Path("/etc/localtime")
_TELL_EVERY = 0.5
_FAREWELL = 2.0
JOURNAL = "journal"


class _OutOfTimeError(Exception):
    """The time that was given is over."""


class Scan:
    """One reading of the logs: what was counted so far, and what could not be read."""

    def __init__(self, question: Mapping[str, Any]) -> None:
        self._since: int = question["since"]
        self._until: int = question["until"]
        self._naming = naming_from_dict(question["naming"])
        self._deadline = time.monotonic() + question["seconds"]
        self._zone = _local_zone()
        self._tally = Tally(self._since)
        self._lines = 0
        self._reaches_to = 0
        self._sources: list[str] = []
        self._problems: list[Problem] = []
        self._told_at = time.monotonic()

    def run(self, files: list[LogFile], journalctl: str) -> Usage:
        """Read everything, the newest first, as long as there is time."""
        is_complete = True
        try:
            for file in files:
                self._read_file(file)
            if journalctl:
                self._read_journal(journalctl)
        except _OutOfTimeError:
            is_complete = False
        return Usage(
            since=self._since,
            until=self._until,
            reaches_to=self._reaches_to,
            sources=tuple(self._sources),
            lines=self._lines,
            failures=self._tally.failures,
            is_complete=is_complete,
            groups=self._tally.groups(),
            names=self._tally.names(),
            problems=tuple(self._problems),
        )

    def _read_file(self, file: LogFile) -> None:
        until = datetime.fromtimestamp(file.changed_at, UTC)
        try:
            with closing(read_chunks(file.path)) as chunks:
                self._read(str(file.path), chunks, until)
        except LogUnreadableError as error:
            self._complain(str(file.path), str(error))

    def _read_journal(self, journalctl: str) -> None:
        command = [
            journalctl, "--quiet", "--no-pager", "--output=short-unix", f"--since=@{self._since}",
            "SYSLOG_FACILITY=2",
        ]  # fmt: skip
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        ) as running:
            try:
                if running.stdout is not None:
                    until = datetime.fromtimestamp(self._until, UTC)
                    self._read(JOURNAL, split_chunks(running.stdout), until)
                # It closed its end, so it is about to end; killed now, it could not say why.
                with suppress(subprocess.TimeoutExpired):
                    running.wait(_FAREWELL)
            finally:
                running.kill()
        if running.returncode > 0:
            self._complain(JOURNAL, f"journalctl ended with {running.returncode}")

    def _read(self, source: str, chunks: Iterator[list[bytes]], until: datetime) -> None:
        reader = LogReader(self._naming, self._zone, until)
        add = self._tally.add
        self._sources.append(source)
        for number, lines in enumerate(chunks):
            if number == 0:
                self._note_reach(reader, lines)
            for access in reader.read(lines):
                add(access)
            self._lines += len(lines)
            self._tell(source)
            if time.monotonic() > self._deadline:
                raise _OutOfTimeError
        for access in reader.finish():
            add(access)

    def _note_reach(self, reader: LogReader, lines: list[bytes]) -> None:
        oldest = next((at for at in map(reader.moment, lines[:100]) if at), 0)
        if oldest and (not self._reaches_to or oldest < self._reaches_to):
            self._reaches_to = oldest

    def _complain(self, source: str, detail: str) -> None:
        params = {"detail": detail}
        self._problems.append(Problem("usage.log_unreadable", Severity.WARNING, source, params))

    def _tell(self, source: str) -> None:
        if time.monotonic() - self._told_at >= _TELL_EVERY:
            self._told_at = time.monotonic()
            say({"event": {"lines": self._lines, "source": source}})


def naming_from_dict(value: Mapping[str, Any]) -> Naming:
    """Read the JSON form of the names back."""
    return Naming(
        {name: tuple(services) for name, services in value["postfix"].items()},
        {int(port): service for port, service in value["ports"].items()},
    )


def naming_as_dict(naming: Naming) -> dict[str, Any]:
    """Return the JSON form of the names."""
    return {
        "postfix": {name: list(services) for name, services in naming.postfix.items()},
        "ports": {str(port): service for port, service in naming.ports.items()},
    }


def say(message: Mapping[str, Any]) -> None:
    """Write one line to whoever asked. Ends the process when nobody is there any more."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _local_zone() -> tzinfo:
    try:
        with _LOCAL_ZONE.open("rb") as stream:
            return zoneinfo.ZoneInfo.from_file(stream)
    except (OSError, ValueError):
        return UTC


def main() -> int:
    """Answer the one question on standard input."""
    os.nice(_LOWEST_PRIORITY)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    question = json.load(sys.stdin)
    files = [LogFile(Path(path), changed_at) for path, changed_at in question["files"]]
    try:
        say({"usage": Scan(question).run(files, question["journalctl"]).as_dict()})
    except BrokenPipeError:
        # Nobody waits for it any more. What is left in the buffer must not be tried again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
