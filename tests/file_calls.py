"""Let an agent die, or let the disk fail it, at any call that changes a file.

Python tells an audit hook of each such call before it is made (``sys.addaudithook``); what the hook
raises takes the call's place. So every one of them is found, also those that are added later, and
none is named here by hand. Writing to an open file is told nobody: ``os.fsync``, which the agent
calls after each, stands for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What changes a file or a folder; the first argument is the path, of a rename also the second.
_EVENTS = frozenset(
    {
        "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
        "os.symlink", "os.truncate", "os.utime",
    }
)  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_TAKES_ROOM = frozenset({"open", "os.fsync", "os.mkdir", "os.rename", "os.symlink", "os.link"})


class KilledError(BaseException):
    """The agent is gone, as by SIGKILL: no ``except Exception`` may see it."""


@dataclass(frozen=True)
class Call:
    """One call that changes a file: its number, what it is, and of which file."""

    number: int
    name: str
    path: str
    # Whether it fails on a full disk.
    takes_room: bool

    def __str__(self) -> str:
        return f"{self.number:3} {self.name.removeprefix('os.'):8} {self.path}"


Fault = Callable[[Call], None]


@dataclass
class Watch:
    """Counts the calls below some folders, and lets some of them fail."""

    folders: Sequence[Path]
    fault: Fault
    calls: list[Call] = field(default_factory=list)
    thread: int = field(default_factory=threading.get_ident)

    def see(self, name: str, path: str) -> None:
        """Note a call; raise what is planned for it."""
        folder = next((item for item in self.folders if Path(path).is_relative_to(item)), None)
        if folder is None or threading.get_ident() != self.thread:
            return
        shown = str(Path(path).relative_to(folder))
        call = Call(len(self.calls) + 1, name, shown, _takes_room(name, Path(path)))
        self.calls.append(call)
        self.fault(call)


def _takes_room(name: str, path: Path) -> bool:
    if name == "os.rename":
        # In place of a file that is there, the folder does not grow.
        return not path.is_symlink() and not path.exists()
    return name in _TAKES_ROOM and not (name == "os.fsync" and path.is_dir())


_watches: list[Watch] = []
_sync = os.fsync


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watches:
        return
    if event == "open":
        path, _, flags = arguments
        # A number is a file that is open already.
        if isinstance(path, (str, Path)) and flags & _WRITES:
            _tell("open", str(path))
    elif event in _EVENTS:
        _tell(event, _full_path(event, arguments))


def _tell(name: str, path: str) -> None:
    for watch in list(_watches):
        watch.see(name, path)


def _full_path(event: str, arguments: tuple[Any, ...]) -> str:
    # A rename and a link change the place they lead to; the last argument is a folder or -1.
    place = arguments[1] if event in {"os.rename", "os.link", "os.symlink"} else arguments[0]
    path, folder = Path(os.fsdecode(place)), arguments[-1]
    if not path.is_absolute() and isinstance(folder, int) and folder >= 0:
        path = _path_of(folder) / path
    return str(path)


def _path_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def _sync_and_tell(fd: Any) -> None:
    if _watches:
        _tell("os.fsync", str(_path_of(fd)))
    _sync(fd)


@contextlib.contextmanager
def watching(folders: Sequence[Path], fault: Fault = lambda _: None) -> Iterator[Watch]:
    """Watch the calls of this thread that change files below the folders."""
    _install()
    watch = Watch(folders, fault)
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)


def _install() -> None:
    # An audit hook cannot be taken away again; without a watch it does nothing.
    if os.fsync is not _sync_and_tell:
        sys.addaudithook(_hook)
        os.fsync = _sync_and_tell


# What can happen at a call


def killed_at(number: int) -> Fault:
    """Die at this call: neither it nor any after it is made."""

    def die(call: Call) -> None:
        if call.number >= number:
            raise KilledError

    return die


def failing_once(number: int, code: int) -> Fault:
    """Let this one call fail, and all others work; on a full disk if it needs room."""

    def fail(call: Call) -> None:
        if call.number == number and (code != errno.ENOSPC or call.takes_room):
            raise OSError(code, os.strerror(code), call.path)

    return fail


def failing_from(number: int, code: int) -> Fault:
    """Let each call from this one on fail; on a full disk those that need room."""

    def fail(call: Call) -> None:
        if call.number >= number and (code != errno.ENOSPC or call.takes_room):
            raise OSError(code, os.strerror(code), call.path)

    return fail
