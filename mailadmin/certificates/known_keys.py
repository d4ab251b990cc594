"""Lists of keys whose private half is known: Debian's of 2008, and those published in devices.

No package ships them, so an administrator has to bring them: they are what ``badkeys --update-bl``
fetches. ``blocklist.dat`` has a record of 16 bytes for each key, in order: 15 bytes of SHA-256, and
the number of the list; ``badkeysdata.json`` beside it names the lists. Nothing here reaches the
network.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.drafting import draft_beside
from mailadmin.pki.problems import Problem
from mailadmin.pki.weak_keys import (
    ARITHMETIC,
    NO_KNOWN_KEYS,
    KnownKeys,
    WeakKeyCheck,
    check_of_list,
)

NAMES_FILE = "badkeysdata.json"
_RECORD, _DIGEST = 16, 15  # bytes
_MOST_NAMES_BYTES = 1024 * 1024
_MOST_NAME_LENGTH = 60


class KnownKeysProblem(Exception):  # noqa: N818 - the word is shared with Problem
    """Lists that cannot be taken. ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


@dataclass(frozen=True)
class KnownKeysFile:
    """The lists in one file. Looking a key up reads about 25 records; nothing is held in memory."""

    path: Path
    count: int
    names: Mapping[int, str] = field(hash=False)

    def find(self, digest: bytes) -> str | None:
        """Return the name of the list that holds a key, if any."""
        low, high = 0, self.count
        # A file that was taken away just now is as good as none.
        with suppress(OSError), self.path.open("rb", buffering=0) as file:
            while low < high:
                middle = (low + high) // 2
                file.seek(middle * _RECORD)
                record = file.read(_RECORD)
                if record[:_DIGEST] == digest:
                    return self.names.get(record[_DIGEST], f"list {record[_DIGEST]}")
                if record[:_DIGEST] < digest:
                    low = middle + 1
                else:
                    high = middle
        return None


def find_known_keys() -> KnownKeys:
    """Return the lists that are here; without any, none is looked in."""
    return open_known_keys() or NO_KNOWN_KEYS


def open_known_keys() -> KnownKeysFile | None:
    """Return the first of the files that is there and has its names beside it."""
    for path in settings.KNOWN_KEYS_FILES:
        with suppress(OSError, KnownKeysProblem):
            with path.open("rb") as file:  # one that may not be read is as good as none
                state = os.fstat(file.fileno())
            return _open(path, state.st_mtime_ns, state.st_size)
    return None


def weak_key_checks() -> dict[str, list[str]]:
    """Return which checks for weak keys are made here and which are not, for want of a list."""
    file = open_known_keys()
    by_list = {check_of_list(name) for name in file.names.values()} if file else set()
    made = ARITHMETIC | by_list
    return {
        "made": sorted(made),
        "not_made": sorted(frozenset(WeakKeyCheck) - made),
    }


def replace_known_keys(*, actor: Actor, path: Path) -> KnownKeysFile:
    """Check a file with the names beside it, and copy both to where the panel looks first.

    Raises :class:`KnownKeysProblem`; then nothing was changed.
    """
    names = _read_names(path.with_name(NAMES_FILE))
    count = _count_records(path)
    target: Path = settings.KNOWN_KEYS_FILES[0]
    before = open_known_keys()
    names_path, names_target = path.with_name(NAMES_FILE), target.with_name(NAMES_FILE)
    try:
        with draft_beside(names_target) as new_names, draft_beside(target) as new_list:
            # Before the transaction, for a list may be of a hundred megabytes.
            shutil.copyfile(names_path, new_names)
            shutil.copyfile(path, new_list)
            with transaction.atomic():
                record_event(
                    actor=actor,
                    verb="known_keys.updated",
                    object_type="known_keys",
                    before={"count": before.count} if before else None,
                    after={"count": count, "lists": sorted(names.values())},
                )
                # The names first: a list is not used without them.
                new_names.replace(names_target)
                new_list.replace(target)
    except OSError:
        raise _problem("known_keys.not_kept", target) from None
    return KnownKeysFile(target, count, names)


@lru_cache(maxsize=2)
def _open(path: Path, changed_at: int, size: int) -> KnownKeysFile:  # noqa: ARG001  # part of the cache's key
    return KnownKeysFile(path, size // _RECORD, _read_names(path.with_name(NAMES_FILE)))


def _read_names(path: Path) -> dict[int, str]:
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MOST_NAMES_BYTES))
        names = {int(item["id"]): str(item["name"]) for item in content["blocklists"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise _problem("known_keys.no_names", path) from None
    if not names:
        raise _problem("known_keys.no_names", path)
    return {number: name[:_MOST_NAME_LENGTH] for number, name in names.items()}


def _count_records(path: Path) -> int:
    """Return how many keys a file lists, all of it being in order."""
    count, last = 0, b""
    try:
        with path.open("rb") as file:
            while record := file.read(_RECORD):
                if len(record) < _RECORD or record[:_DIGEST] < last:
                    raise _problem("known_keys.not_a_list", path)
                count, last = count + 1, record[:_DIGEST]
    except OSError:
        raise _problem("known_keys.not_found", path) from None
    if not count:
        raise _problem("known_keys.not_a_list", path)
    return count


def _problem(code: str, path: Path) -> KnownKeysProblem:
    return KnownKeysProblem(Problem(code, params={"path": str(path)}))
