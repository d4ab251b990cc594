"""A deployment on trial: proven and in effect, and taken back unless somebody confirms it.

``state_dir/trial.json`` holds all that is needed for that, the files as they were included: one
file, replaced by rename, so that it is there whole or not at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mailadmin.agent.deadline import Deadline
from mailadmin.agent.host.files import FileState, file_error, make_folder, sync_folder, write_own
from mailadmin.agent.host.store import Journal
from mailadmin.agent.protocol import AgentError
from mailadmin.pki.problems import Problem


@dataclass(frozen=True, slots=True)
class Trial:
    """What was applied, how to undo it, and until when that can be prevented.

    ``seconds`` is for how long it was to wait; ``written`` are the digests of the files as the
    apply left them, by path. ``ending`` is why it is being taken back, written down before the
    first file is touched for that.
    """

    journal: Journal
    seconds: int
    deadline: Deadline
    written: Mapping[str, str]
    ending: Problem | None = None

    @property
    def deployment_id(self) -> str:
        """Return which deployment it is."""
        return self.journal.deployment_id

    def edited_since(self) -> list[FileState]:
        """Return the files that somebody else has changed since. Raises :class:`AgentError`."""
        now = ((was, FileState.read(was.path)) for was in self.journal.files)
        return [
            found
            for was, found in now
            if found.content not in {None, was.content}
            and digest_of(found) != self.written.get(str(found.path))
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        contents = {
            str(number): base64.b64encode(file.content).decode()
            for number, file in enumerate(self.journal.files)
            if file.content is not None
        }
        return {
            "journal": self.journal.as_dict(),
            "contents": contents,
            "seconds": self.seconds,
            "deadline": self.deadline.as_dict(),
            "written": dict(self.written),
            "ending": self.ending.as_dict() if self.ending else None,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        contents = value["contents"]
        return cls(
            journal=Journal.from_dict(
                value["journal"], lambda name: base64.b64decode(contents[name])
            ),
            seconds=int(value["seconds"]),
            deadline=Deadline.from_dict(value["deadline"]),
            written=dict(value["written"]),
            ending=Problem.from_dict(value["ending"]) if value["ending"] else None,
        )


def digest_of(file: FileState) -> str:
    """Return the SHA-256 of a file's bytes; empty if it is not there."""
    return "" if file.content is None else hashlib.sha256(file.content).hexdigest()


class TrialFile:
    """Where the one deployment on trial is written down."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "trial.json"
        self._set_aside = folder / "set-aside"

    def keep(self, trial: Trial) -> None:
        """Write it down, to the disk. Raises :class:`AgentError`."""
        write_own(self._path, json.dumps(trial.as_dict()).encode())

    def read(self) -> Trial | None:
        """Return it, if there is one. Raises :class:`AgentError` when it cannot be read."""
        try:
            return Trial.from_dict(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise file_error("file.unreadable", self._path, error) from None
        except (ValueError, KeyError, TypeError):
            # As with the journal: nobody else knows what to put back, and nothing is guessed.
            raise AgentError.because("agent.journal_unreadable", str(self._path)) from None

    def drop(self) -> None:
        """Forget it: it stays for good, or is taken back. Raises :class:`AgentError`."""
        try:
            self._path.unlink(missing_ok=True)
            sync_folder(self._path.parent)
        except OSError as error:
            raise file_error("file.unwritable", self._path, error) from None

    def set_aside(self, deployment_id: str, file: FileState) -> str:
        """Keep a copy of what somebody edited; returns where. Raises :class:`AgentError`."""
        folder = self._set_aside / deployment_id
        make_folder(folder)
        copy = folder / file.path.name
        write_own(copy, file.content or b"")
        return str(copy)
