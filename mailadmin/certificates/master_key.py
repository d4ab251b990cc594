"""The master keys: each 32 random bytes, in a file outside the database, read anew for each use.

A database dump or a backup without this file opens no private key. The file belongs to one account
alone (mode 0600) and holds one key in base64 per line, the newest first: what is stored is sealed
with the first one, and opened with whichever it was sealed with. There is more than one only while
``rotate_master_key`` runs, or where somebody put the line of an older copy back.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailadmin.pki.problems import Problem

KEY_LENGTH = 32  # bytes: AES-256
MOST_KEYS = 16
_ID_LENGTH = 16  # hexadecimal digits
_LONGEST_FILE = MOST_KEYS * 46 + 2  # bytes; a key has 44 characters and the end of its line
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class CustodyProblem(Exception):  # noqa: N818 - the word is shared with Problem
    """Private keys cannot be sealed or opened. ``problem`` says why, without any secret."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class MasterKey:
    """One master key."""

    value: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """A name that may be seen by everybody: it tells keys apart and tells nothing of them."""
        return hmac.new(self.value, b"mailadmin master key", hashlib.sha256).hexdigest()[
            :_ID_LENGTH
        ]


def read_master_keys(path: Path) -> tuple[MasterKey, ...]:
    """Return the keys in the file, newest first; none when there is no file.

    Raises :class:`CustodyProblem` with ``custody.master_key_exposed`` (others may read it) or
    ``custody.master_key_unreadable``.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LONGEST_FILE + 1)
    except FileNotFoundError:
        return ()
    except OSError:
        raise _problem("custody.master_key_unreadable", path) from None
    if mode & _OTHERS:
        raise _problem("custody.master_key_exposed", path, mode=f"{stat.S_IMODE(mode):04o}")
    keys = [_decode(line) for line in text.split()]
    if not 0 < len(keys) <= MOST_KEYS or None in keys or len(text) > _LONGEST_FILE:
        raise _problem("custody.master_key_unreadable", path)
    return tuple(key for key in keys if key)


def create_master_key(path: Path) -> tuple[MasterKey, ...]:
    """Draw the first key into a new file (mode 0600) and return what the file holds.

    The file appears whole or not at all. When another program creates it at the same moment, the
    first one wins and its key is returned. Raises :class:`CustodyProblem` when it cannot be kept.
    """
    draft = _draft_for(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            _write_privately(draft, [draw_master_key()])
            _link_unless_there(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        _flush_folder(path.parent)
    except OSError:
        raise _problem("custody.master_key_not_kept", path) from None
    keys = read_master_keys(path)
    if not keys:
        raise _problem("custody.master_key_not_kept", path)
    return keys


def draw_master_key() -> MasterKey:
    """Return a new key that is kept nowhere yet."""
    return MasterKey(secrets.token_bytes(KEY_LENGTH))


def replace_master_keys(path: Path, keys: Sequence[MasterKey]) -> None:
    """Let the file hold these keys instead, newest first; owner and mode stay.

    A reader sees the file as it was or as it will be, also after a power cut. Raises
    :class:`CustodyProblem` when it cannot be written; then it is as it was.
    """
    target = path.resolve()  # a link stays a link
    draft = _draft_for(target)
    try:
        was = target.stat()
        try:
            _write_privately(draft, keys, was)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        _flush_folder(target.parent)
    except OSError:
        raise _problem("custody.master_key_not_replaced", path) from None


@contextlib.contextmanager
def only_one_rotation(path: Path) -> Iterator[None]:
    """Let nobody else rotate meanwhile, and clear away what a killed rotation left.

    The lock is on the folder and ends with the program, however that ends. Raises
    :class:`CustodyProblem` with ``custody.rotation_under_way``.
    """
    target = path.resolve()
    try:
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        raise _problem("custody.master_key_unreadable", path) from None
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _problem("custody.rotation_under_way", path) from None
        for draft in target.parent.glob(f".{target.name}.{'[0-9a-f]' * 16}"):
            draft.unlink(missing_ok=True)
        yield
    finally:
        os.close(folder)


def _decode(line: bytes) -> MasterKey | None:
    try:
        value = base64.b64decode(line, validate=True)
    except binascii.Error:
        return None
    return MasterKey(value) if len(value) == KEY_LENGTH else None


def _draft_for(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _write_privately(
    path: Path, keys: Sequence[MasterKey], like: os.stat_result | None = None
) -> None:
    """Write a new file and flush it; ``like`` tells whose it is to be, and its mode."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(base64.b64encode(key.value) + b"\n" for key in keys))
        file.flush()
        if like is not None:
            os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        os.fsync(descriptor)


def _link_unless_there(draft: Path, path: Path) -> None:
    """Give the draft its name; unlike a rename, that never replaces a key that is there."""
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)


def _flush_folder(folder: Path) -> None:
    """Make the new entry survive a power cut: the rows sealed with it will."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _problem(code: str, path: Path, **params: str) -> CustodyProblem:
    return CustodyProblem(Problem(code, params={"path": str(path), **params}))
