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
from typing import IO, NamedTuple, cast

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
    """One file of a log, and when it was written to last. ``log``: what it was rotated from."""

    path: Path
    changed_at: float
    log: str


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
                one = _look(path, log)
                if one is not None and one.changed_at >= since:
                    found[path] = one
    return sorted(found.values(), key=lambda item: item.changed_at, reverse=True)


def _look(path: Path, log: Path) -> LogFile | None:
    try:
        status = path.stat()
    except OSError:
        # Rotated away in this very moment, or a link to nowhere.
        return None
    return LogFile(path, status.st_mtime, str(log)) if stat.S_ISREG(status.st_mode) else None


class Chunk(NamedTuple):
    """Lines without their ends, and where in the file the last of them ends.

    The very last line of a file that nobody ended yet is a chunk of its own, ``is_cut``.
    """

    lines: list[bytes]
    end: int
    is_cut: bool = False


def read_chunks(path: Path, offset: int = 0) -> Generator[Chunk, None, None]:
    """Yield the lines of a file from ``offset`` on (unpacked), about a megabyte at a time.

    Raises :class:`LogUnreadableError`; what was yielded before is good.
    """
    try:
        with _open(path) as stream:
            stream.seek(offset)
            yield from split_chunks(stream, offset)
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise LogUnreadableError(str(error)[:200]) from None
    except OSError as error:
        raise LogUnreadableError(error.strerror or str(error)[:200]) from None


def split_chunks(stream: IO[bytes], offset: int = 0) -> Generator[Chunk, None, None]:
    """Yield the lines of a stream, about a megabyte at a time."""
    rest, position, end = b"", offset, offset
    while chunk := stream.read(_CHUNK):
        cut = chunk.rfind(b"\n")
        if cut >= 0:
            end = position + cut + 1
        position += len(chunk)
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()[-_LONGEST_LINE:]
        yield Chunk(lines, end)
    if rest:
        yield Chunk([rest], end, is_cut=True)


def is_packed(path: Path) -> bool:
    """Tell whether the file is compressed: such a one is written once and for all."""
    return path.suffix in {".gz", ".bz2", ".xz"}


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
