"""The master key: 32 random bytes in a file outside the database, read anew for each use.

A database dump or a backup without this file opens no private key. The file holds base64 text and
belongs to one account alone (mode 0600).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import secrets
import stat
from pathlib import Path

from mailadmin.pki.problems import Problem

KEY_LENGTH = 32  # bytes: AES-256
_LONGEST_FILE = 200  # bytes; the text has 44 characters
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class CustodyProblem(Exception):  # noqa: N818 - the word is shared with Problem
    """Private keys cannot be sealed or opened. ``problem`` says why, without any secret."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def read_master_key(path: Path) -> bytes | None:
    """Return the key in the file, or ``None`` when there is no file.

    Raises :class:`CustodyProblem` with ``custody.master_key_exposed`` (others may read it) or
    ``custody.master_key_unreadable``.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LONGEST_FILE)
    except FileNotFoundError:
        return None
    except OSError:
        raise _problem("custody.master_key_unreadable", path) from None
    if mode & _OTHERS:
        raise _problem("custody.master_key_exposed", path, mode=f"{stat.S_IMODE(mode):04o}")
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_LENGTH:
        raise _problem("custody.master_key_unreadable", path)
    return key


def create_master_key(path: Path) -> bytes:
    """Draw a new key into the file (mode 0600) and return it.

    The file appears whole or not at all. When another program creates it at the same moment, the
    first one wins and its key is returned. Raises :class:`CustodyProblem` when it cannot be kept.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            _write_privately(draft, base64.b64encode(secrets.token_bytes(KEY_LENGTH)) + b"\n")
            _link_unless_there(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        _flush_folder(path.parent)
    except OSError:
        raise _problem("custody.master_key_not_kept", path) from None
    key = read_master_key(path)
    if key is None:
        raise _problem("custody.master_key_not_kept", path)
    return key


def _write_privately(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


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
