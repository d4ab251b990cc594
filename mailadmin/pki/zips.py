"""Zip files as authorities send them: their members, within bounds.

====================  ========  ============================================================
code                  severity  params
====================  ========  ============================================================
zip.unreadable        error
zip.too_many_files    error     limit
zip.too_large         error     limit (KiB): what it would unpack to is more
zip.encrypted         error     member
zip.method            error     member: packed in a way that is not understood
====================  ========  ============================================================
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass, field

from mailadmin.pki.problems import Param, Problem

MAX_MEMBERS = 60
MAX_MEMBER_BYTES = 256 * 1024
MAX_TOTAL_BYTES = 1024 * 1024
_MAX_RATIO = 100
_RATIO_MATTERS_FROM = 64 * 1024
_LONGEST_NAME = 100
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_IS_ENCRYPTED = 0x1
_JUNK_FOLDER = "__MACOSX"


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a zip file. The name is as it stands there; it is for showing only."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ZipContent:
    """The files of a zip file, and what kept others from being read."""

    members: tuple[Member, ...] = ()
    problems: tuple[Problem, ...] = ()


def is_zip(content: bytes) -> bool:
    """Tell whether bytes begin as zip files do."""
    return content.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def read_zip(content: bytes) -> ZipContent:
    """Unpack in memory, and never more than the bounds allow: sizes are looked at before.

    Folders, hidden files and what macOS adds are left out, and so is what is larger than any
    certificate. Never raises.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _read_archive(archive)
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, NotImplementedError):
        return _refuse("zip.unreadable")


def _read_archive(archive: zipfile.ZipFile) -> ZipContent:
    wanted = [info for info in archive.infolist() if _is_wanted(info)]
    if len(wanted) > MAX_MEMBERS:
        return _refuse("zip.too_many_files", limit=MAX_MEMBERS)
    unpacked = sum(info.file_size for info in wanted)
    packed = sum(info.compress_size for info in wanted)
    is_bomb = unpacked > _RATIO_MATTERS_FROM and unpacked > _MAX_RATIO * packed
    if unpacked > MAX_TOTAL_BYTES or is_bomb:
        return _refuse("zip.too_large", limit=MAX_TOTAL_BYTES // 1024)
    members, problems = [], []
    for info in wanted:
        problem = _find_problem(info)
        if problem:
            problems.append(problem)
        else:
            # No more than the size that was told is ever unpacked; another size is an error.
            members.append(Member(_show_name(info), archive.read(info)))
    return ZipContent(tuple(members), tuple(problems))


def _is_wanted(info: zipfile.ZipInfo) -> bool:
    folders = info.filename.split("/")
    is_junk = info.is_dir() or folders[0] == _JUNK_FOLDER or folders[-1].startswith(".")
    return not is_junk and 0 < info.file_size <= MAX_MEMBER_BYTES


def _find_problem(info: zipfile.ZipInfo) -> Problem | None:
    if info.flag_bits & _IS_ENCRYPTED:
        return Problem("zip.encrypted", params={"member": _show_name(info)})
    if info.compress_type not in _METHODS:
        return Problem("zip.method", params={"member": _show_name(info)})
    return None


def _show_name(info: zipfile.ZipInfo) -> str:
    name = info.filename[-_LONGEST_NAME:]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name)


def _refuse(code: str, **params: Param) -> ZipContent:
    return ZipContent(problems=(Problem(code, params=params),))
