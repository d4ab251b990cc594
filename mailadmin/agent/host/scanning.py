"""Read the logs, in a process of its own: ``python -m mailadmin.agent.host.scanning``.

On standard input one JSON object says what to read; on standard output come lines of how far it
is, and then the counts. A process of its own, because the agent's threads share one processor with
the proofs of an apply; of the lowest priority, because mail comes first.
"""

from __future__ import annotations

import io
import json
import os
import resource
import select
import subprocess
import sys
import time
import zoneinfo
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from mailadmin.agent.host.counts import Counted, Counts
from mailadmin.agent.host.mail_logs import (
    Chunk,
    LogFile,
    LogUnreadableError,
    is_packed,
    read_chunks,
    split_chunks,
)
from mailadmin.mailconf.maillog.access import Naming
from mailadmin.mailconf.maillog.reading import LogReader
from mailadmin.mailconf.maillog.tally import Tally
from mailadmin.mailconf.maillog.usage import Usage
from mailadmin.pki.problems import Problem, Severity

_LOWEST_PRIORITY = 19
_MOST_MEMORY = 1024 * 1024 * 1024
_LOCAL_ZONE = Path("/etc/localtime")
_TELL_EVERY = 0.5
_FAREWELL = 2.0
JOURNAL = "journal"
_CURSOR = b"-- cursor: "


class Scan:
    """One reading of the logs: what was counted so far, and what could not be read."""

    def __init__(self, question: Mapping[str, Any]) -> None:
        self._since: int = question["since"]
        self._until: int = question["until"]
        self._naming = naming_from_dict(question["naming"])
        folder = question["counts"]
        self._counts = Counts(Path(folder) if folder else None, self._since, question["naming"])
        self._deadline = time.monotonic() + question["seconds"]
        self._zone = _local_zone()
        self._tally = Tally(self._since)
        self._lines = 0
        self._reaches: dict[str, int] = {}
        self._sources: list[str] = []
        self._problems: list[Problem] = []
        self._told_at = time.monotonic()

    def run(self, files: list[LogFile], journalctl: str) -> Usage:
        """Read everything, the newest first, as long as there is time."""
        sources = [partial(self._read_file, file) for file in files]
        if journalctl:
            sources.append(partial(self._read_journal, journalctl))
        # All of them, until the first that there was no time for.
        is_complete = all(read() for read in sources)
        if is_complete:
            self._counts.drop_unused()
        return Usage(
            since=self._since,
            until=self._until,
            # Nothing is known of the time before the log that begins last.
            reaches_to=max(self._reaches.values(), default=0),
            sources=tuple(self._sources),
            lines=self._lines,
            failures=self._tally.failures,
            is_complete=is_complete,
            groups=self._tally.groups(),
            names=self._tally.names(),
            problems=tuple(self._problems),
        )

    def _read_file(self, file: LogFile) -> bool:
        """Count a file; returns whether there was time for all of it."""
        known = self._counts.recall(file.path)
        counted = known or Counted(Tally(self._since))
        if known and is_packed(file.path):
            self._take(file.log, str(file.path), counted)
            return True
        reader = self._begin(datetime.fromtimestamp(file.changed_at, UTC), counted)
        is_whole, is_readable = False, True
        try:
            with closing(read_chunks(file.path, counted.end)) as chunks:
                is_whole = self._count(str(file.path), chunks, reader, counted)
        except LogUnreadableError as error:
            is_readable = False
            self._complain("usage.log_unreadable", str(file.path), str(error))
        # Nobody can go on in the middle of a packed file.
        if is_whole or not is_packed(file.path):
            self._counts.keep(file.path, counted)
        self._take(file.log, str(file.path), counted)
        self._add_open(reader)
        return is_whole or not is_readable

    def _read_journal(self, journalctl: str) -> bool:
        """Count the journal; returns whether there was time for all of it."""
        known = self._counts.recall_journal()
        if known is not None:
            is_whole, code = self._follow_journal(journalctl, known)
            if not code:
                return is_whole
        # Never read before, or so much was dropped since that its place is gone.
        is_whole, code = self._follow_journal(journalctl, Counted(Tally(self._since)))
        if code:
            self._complain("usage.log_unreadable", JOURNAL, f"journalctl ended with {code}")
        elif JOURNAL not in self._reaches:
            self._complain("usage.log_empty", JOURNAL)
        return is_whole

    def _follow_journal(self, journalctl: str, counted: Counted) -> tuple[bool, int]:
        """Count what came after; returns whether it came to the end, and how journalctl ended."""
        is_anew = not counted.cursor
        place = f"--since=@{self._since}" if is_anew else f"--after-cursor={counted.cursor}"
        command = [
            journalctl, "--quiet", "--no-pager", "--output=short-unix", "--show-cursor", place,
            "SYSLOG_FACILITY=2",
        ]  # fmt: skip
        reader = self._begin(datetime.fromtimestamp(self._until, UTC), counted)
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        ) as running:
            if running.stdout is None:
                raise TypeError("it was started with a pipe")
            printed = _UntilDeadline(running.stdout, self._deadline)
            try:
                chunks = _note_cursor(split_chunks(cast(IO[bytes], printed)), counted)
                is_whole = self._count(JOURNAL, chunks, reader, counted) and not printed.is_cut
                # It closed its end, so it is about to end; killed now, it could not say why.
                with suppress(subprocess.TimeoutExpired):
                    running.wait(_FAREWELL if is_whole else 0)
            finally:
                running.kill()
        if printed.is_cut:
            self._complain("usage.log_unreadable", JOURNAL, "journalctl says nothing more")
        code = running.returncode if is_whole else 0
        if is_whole and not code:
            self._counts.keep_journal(counted)
        if is_anew or not code:
            self._take(JOURNAL, JOURNAL, counted)
            self._add_open(reader)
        return is_whole, code

    def _begin(self, until: datetime, counted: Counted) -> LogReader:
        reader = LogReader(self._naming, self._zone, until)
        reader.resume(counted.sessions or ())
        return reader

    def _count(
        self, source: str, chunks: Iterator[Chunk], reader: LogReader, counted: Counted
    ) -> bool:
        """Count as long as there is time; returns whether it came to the end.

        What was counted before may be gone on from even if the rest cannot be read.
        """
        add = counted.tally.add
        for chunk in chunks:
            if chunk.is_cut and not is_packed(Path(source)):
                # Somebody writes it just now; it is read as a whole the next time.
                break
            if not counted.reaches_to:
                counted.reaches_to = _oldest(reader, chunk.lines)
            for access in reader.read(chunk.lines):
                add(access)
            counted.lines += len(chunk.lines)
            counted.end, counted.sessions = chunk.end, reader.open_sessions()
            self._tell(source, self._lines + counted.lines)
            if time.monotonic() > self._deadline:
                return False
        return True

    def _take(self, log: str, source: str, counted: Counted) -> None:
        """Add what was counted of one source to the whole."""
        self._sources.append(source)
        self._lines += counted.lines
        self._tally.join(counted.tally)
        if counted.reaches_to:
            known = self._reaches.get(log, counted.reaches_to)
            self._reaches[log] = min(known, counted.reaches_to)

    def _add_open(self, reader: LogReader) -> None:
        """Count the sessions that have not ended in the answer, but not in what is put aside."""
        for access in reader.finish():
            self._tally.add(access)

    def _complain(self, code: str, source: str, detail: str = "") -> None:
        self._problems.append(Problem(code, Severity.WARNING, source, {"detail": detail}))

    def _tell(self, source: str, lines: int) -> None:
        if time.monotonic() - self._told_at >= _TELL_EVERY:
            self._told_at = time.monotonic()
            say({"event": {"lines": lines, "source": source}})


class _UntilDeadline(io.RawIOBase):
    """What a program prints, for as long as there is time: it may hang and say nothing more."""

    def __init__(self, stream: IO[bytes], deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline
        self.is_cut = False

    def read(self, size: int = -1, /) -> bytes:
        """Return that much, or what came until its end or the deadline (``is_cut``)."""
        parts: list[bytes] = []
        left = size
        while left:
            patience = max(0.0, self._deadline - time.monotonic())
            if not select.select([self._stream], [], [], patience)[0]:
                self.is_cut = True
                break
            part = os.read(self._stream.fileno(), left)
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def _note_cursor(chunks: Iterator[Chunk], counted: Counted) -> Iterator[Chunk]:
    """Take from the end of what journalctl prints its own word on where that is."""
    for chunk in chunks:
        if chunk.lines and chunk.lines[-1].startswith(_CURSOR):
            counted.cursor = chunk.lines[-1][len(_CURSOR) :].decode(errors="replace").strip()
            yield chunk._replace(lines=chunk.lines[:-1])
        else:
            yield chunk


def _oldest(reader: LogReader, lines: list[bytes]) -> int:
    return next((at for at in map(reader.moment, lines[:100]) if at), 0)


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
    files = [LogFile(Path(path), changed_at, log) for path, changed_at, log in question["files"]]
    try:
        say({"usage": Scan(question).run(files, question["journalctl"]).as_dict()})
    except BrokenPipeError:
        # Nobody waits for it any more. What is left in the buffer must not be tried again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
