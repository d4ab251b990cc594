"""Where the daemons log, and how such a file is read: rotated, compressed, damaged or endless."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import zlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

# Where rsyslog writes what the daemons say: Debian, Red Hat, and hosts without a file for mail.
SYSTEM_LOGS = (
    Path("/var/log/mail.log"),
    Path("/var/log/maillog"),
    Path("/var/log/syslog"),
    Path("/var/log/messages"),
)
JOURNALS = (Path("/var/log/journal"), Path("/run/log/journal"))
# What logrotate puts behind a name.
_ROTATED = re.compile(r"[.-]\d+(\.(gz|bz2|xz))?")
_CHUNK = 1024 * 1024
# A line that does not end is not of a log; without a limit it would fill the memory.
_LONGEST_LINE = 64 * 1024


class LogUnreadableError(Exception):
    """A log cannot be read, or not to its end; the text is the system's own words."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of a log, and when it was written to last."""

    path: Path
    changed_at: float


def find_logs(logs: Sequence[Path], since: float) -> list[LogFile]:
    """Return each log with its rotated files, the newest first, less what is older than ``since``.

    Raises :class:`LogUnreadableError` for a folder that cannot be looked into.
    """
    found: dict[Path, LogFile] = {}
    for log in logs:
        try:
            neighbours = list(log.parent.iterdir())
        except FileNotFoundError:
            continue
        except OSError as error:
            raise LogUnreadableError(error.strerror or "unknown") from None
        for path in neighbours:
            rest = path.name.removeprefix(log.name)
            if path == log or (rest != path.name and _ROTATED.fullmatch(rest)):
                one = _look(path)
                if one is not None and one.changed_at >= since:
                    found[path] = one
    return sorted(found.values(), key=lambda item: item.changed_at, reverse=True)


def _look(path: Path) -> LogFile | None:
    try:
        status = path.stat()
    except OSError:
        # Rotated away in this very moment, or a link to nowhere.
        return None
    return LogFile(path, status.st_mtime) if stat.S_ISREG(status.st_mode) else None


def read_chunks(path: Path) -> Generator[list[bytes], None, None]:
    """Yield the lines of a file, about a megabyte at a time, without their ends.

    Raises :class:`LogUnreadableError`; what was yielded before is good.
    """
    try:
        with _open(path) as stream:
            yield from split_chunks(stream)
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise LogUnreadableError(str(error)[:200]) from None
    except OSError as error:
        raise LogUnreadableError(error.strerror or str(error)[:200]) from None


def split_chunks(stream: IO[bytes]) -> Generator[list[bytes], None, None]:
    """Yield the lines of a stream, about a megabyte at a time."""
    rest = b""
    while chunk := stream.read(_CHUNK):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()[-_LONGEST_LINE:]
        yield lines
    if rest:
        yield [rest]


def _open(path: Path) -> IO[bytes]:
    match path.suffix:
        case ".gz":
            return cast(IO[bytes], gzip.open(path, "rb"))
        case ".bz2":
            return bz2.open(path, "rb")
        case ".xz":
            return lzma.open(path, "rb")
        case _:
            return path.open("rb")
