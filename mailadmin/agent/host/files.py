"""Files of the daemons: read, replaced by rename, and put back as they were."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import shutil
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from mailadmin.agent.protocol import AgentError

_UNFINISHED = ".mailadmin"
# What a file system without hard links says, or one on which there are too many of this file.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it was: its bytes and who may read it. ``content`` is None if it was not there."""

    path: Path
    content: bytes | None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    # When it was written last, in seconds; whether it is the same file does not hang on that.
    modified_at: float = field(default=0.0, compare=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file, following links. Raises :class:`AgentError`."""
        # Not Path.resolve(): that raises RuntimeError for links that go in circles.
        real = Path(os.path.realpath(path))
        try:
            with real.open("rb") as file:
                status = os.fstat(file.fileno())
                mode = status.st_mode & 0o7777
                owner = (status.st_uid, status.st_gid)
                return cls(real, file.read(), mode, *owner, status.st_mtime)
        except FileNotFoundError:
            return cls(real, None)
        except OSError as error:
            raise file_error("file.unreadable", real, error) from None

    @property
    def text(self) -> str:
        """Return the content as text; bytes that are not UTF-8 survive a round trip."""
        return (self.content or b"").decode("utf-8", "surrogateescape")

    def as_dict(self, backup: str | None) -> dict[str, Any]:
        """Return what the journal keeps: everything but the content, which lies beside it."""
        return {
            "path": str(self.path),
            "backup": backup,
            "mode": self.mode,
            "uid": self.uid,
            "gid": self.gid,
        }


def to_bytes(text: str) -> bytes:
    """Return the bytes of a text that :attr:`FileState.text` gave."""
    return text.encode("utf-8", "surrogateescape")


def replace_file(like: FileState, content: bytes) -> None:
    """Put the content in place by rename, with the mode and owner of ``like``.

    Raises :class:`AgentError`; then the old file stands untouched.
    """
    temporary = like.path.with_name(f".{like.path.name}.{secrets.token_hex(4)}{_UNFINISHED}")
    try:
        write_new(temporary, content, mode=like.mode)
        os.chown(temporary, like.uid, like.gid)
        # chown clears set-id bits and the umask took its part: the mode comes last.
        temporary.chmod(like.mode)
        cool_down(temporary)
        temporary.rename(like.path)
        sync_folder(like.path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise file_error("file.unwritable", like.path, error) from None


def cool_down(path: Path) -> None:
    """Date a file three seconds back. Raises ``OSError``.

    Postfix reads a file of the last second again and again until it has "cooled down"
    (dict_load_file_xt in src/util/dict.c), which costs each of its programs up to two seconds.
    That guards against half-written files; ours appear whole, by rename.
    """
    moment = time.time() - 3
    os.utime(path, (moment, moment))


def remove_file(was: FileState) -> None:
    """Remove the file if it is there. Raises :class:`AgentError`."""
    try:
        was.path.unlink(missing_ok=True)
        sync_folder(was.path.parent)
    except OSError as error:
        raise file_error("file.unwritable", was.path, error) from None


def keep_old(was: FileState) -> None:
    """Keep a file under a second name, so that the way back takes no room on the disk.

    Raises :class:`AgentError`. Where there are no hard links the way back writes the file anew.
    """
    if was.content is None:
        return
    _remove_leftovers(was.path)
    try:
        _old_name(was.path).hardlink_to(was.path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise file_error("file.unwritable", was.path, error) from None


def keep_old_link(link: Path) -> None:
    """Keep where a link points now, for the same reason. Raises :class:`AgentError`."""
    target = read_link(link)
    if target is None:
        return
    try:
        _old_name(link).unlink(missing_ok=True)
        _old_name(link).symlink_to(target)
    except OSError as error:
        raise file_error("file.unwritable", link, error) from None


def drop_old(path: Path) -> None:
    """Forget what was kept of a file or a link, and what was left beside it unfinished."""
    _remove_leftovers(path)


def _old_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.old{_UNFINISHED}")


def restore_file(was: FileState) -> bool:
    """Make the file what it was, byte for byte; returns whether anything had to be done.

    Raises :class:`AgentError`.
    """
    now = FileState.read(was.path)
    is_changed = now != was and not (now.content is None and was.content is None)
    if is_changed:
        _put_back(was)
    _remove_leftovers(was.path)
    return is_changed


def _put_back(was: FileState) -> None:
    if was.content is not None and not _is_kept(was):
        replace_file(was, was.content)
        return
    try:
        if was.content is None:
            was.path.unlink(missing_ok=True)
        else:
            _old_name(was.path).rename(was.path)
        sync_folder(was.path.parent)
    except OSError as error:
        raise file_error("file.unwritable", was.path, error) from None


def _is_kept(was: FileState) -> bool:
    """Tell whether the file is there under its second name, as it was."""
    try:
        kept = FileState.read(_old_name(was.path))
    except AgentError:
        return False
    return replace(kept, path=was.path) == was


def _remove_leftovers(path: Path) -> None:
    """Remove what an agent that was killed while it wrote has left beside the file."""
    remove_matching(path.parent, f".{glob.escape(path.name)}.*{_UNFINISHED}")


def remove_unfinished(folder: Path) -> None:
    """Remove what an agent that was killed while it wrote has left in a folder of its own.

    Such a file may hold a key, and nothing else would ever look for it.
    """
    remove_matching(folder, f".*{_UNFINISHED}")


def remove_matching(folder: Path, pattern: str) -> None:
    """Remove the files whose names match, as far as that is possible."""
    for leftover in folder.glob(pattern):
        with contextlib.suppress(OSError):
            leftover.unlink()


def copy_folder(folder: Path, copy: Path) -> None:
    """Copy a configuration folder for a parser to read. Raises :class:`AgentError`.

    Links stay links, so that no key they lead to is copied; those that lead out of the folder are
    made to lead there from the copy too. Sockets and pipes are left out.
    """
    try:
        shutil.copytree(folder, copy, symlinks=True, ignore=_name_special_files)
        _make_writable(copy)
        for link in copy.rglob("*"):
            if link.is_symlink() and not link.readlink().is_absolute():
                _keep_leading(link, folder / link.relative_to(copy), folder)
    except OSError as error:
        raise file_error("file.unreadable", folder, error) from None


def _make_writable(copy: Path) -> None:
    """Let us write into the copies of folders that are not for writing: root may not be all."""
    for folder in (copy, *copy.rglob("*")):
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(folder.stat().st_mode | stat.S_IRWXU)


def _keep_leading(link: Path, original: Path, folder: Path) -> None:
    target = Path(os.path.normpath(original.parent / original.readlink()))
    if not target.is_relative_to(folder):
        link.unlink()
        link.symlink_to(target)


def _name_special_files(folder: str, names: list[str]) -> list[str]:
    modes = ((name, (Path(folder) / name).lstat().st_mode) for name in names)
    kinds = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
    return [name for name, mode in modes if not any(is_kind(mode) for is_kind in kinds)]


def put_staged(path: Path, content: bytes) -> None:
    """Replace a file of a copy that a parser is asked about. Raises :class:`AgentError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A link would lead out of the copy.
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        cool_down(path)
    except OSError as error:
        raise file_error("file.unwritable", path, error) from None


def write_new(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file that must not exist yet, down to the disk. Raises ``OSError``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_own(path: Path, content: bytes) -> None:
    """Replace one of the agent's own files, mode 0600. Raises :class:`AgentError`."""
    replace_file(FileState(path, None, 0o600, os.getuid(), os.getgid()), content)


def make_folder(path: Path) -> None:
    """Create one of the agent's own folders, mode 0700. Raises :class:`AgentError`."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise file_error("file.unwritable", path, error) from None


def write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write new files, mode 0600, into a folder of the agent's own. Raises :class:`AgentError`."""
    make_folder(folder)
    for name, content in files.items():
        try:
            write_new(folder / name, content)
        except OSError as error:
            raise file_error("file.unwritable", folder / name, error) from None
    with contextlib.suppress(OSError):
        sync_folder(folder)


def read_link(link: Path) -> str | None:
    """Return where the link points, or None if there is none."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise file_error("file.unreadable", link, error) from None


def switch_link(link: Path, target: str | None) -> None:
    """Point the link elsewhere in one step; None removes it. Raises :class:`AgentError`."""
    temporary = link.with_name(f".{link.name}.{secrets.token_hex(4)}{_UNFINISHED}")
    try:
        if target is None:
            link.unlink(missing_ok=True)
        elif read_link(_old_name(link)) == target:
            _old_name(link).rename(link)
        else:
            temporary.symlink_to(target)
            temporary.rename(link)
        sync_folder(link.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise file_error("file.unwritable", link, error) from None


def sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut. Raises ``OSError``."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_error(code: str, path: Path, error: OSError) -> AgentError:
    """Return what to raise: which file, and the operating system's words."""
    return AgentError.because(code, str(path), detail=error.strerror or "unknown")
