"""The agent's own folder: generations of PEM files, the journal, and how applies ended.

::

    state_dir/generations/0007/   PEM files and SNI map, mode 0600, in a folder of mode 0700
    state_dir/generations/0007/applied.json   what the apply of this generation leaves on the host
    state_dir/live -> generations/0007
    state_dir/journal.json        while an apply is under way: what to put back
    state_dir/backup/             the files as they were, while an apply is under way
    state_dir/trial.json          a deployment that is taken back unless it is confirmed
    state_dir/set-aside/UUID/     what was edited by hand while that waited
    state_dir/host-keys/          keys that were on the host before the panel, and never leave it
    state_dir/results/UUID.json   how each deployment ended, for whoever asks again
    state_dir/counts/             what was counted of each log file (see ``counts.py``)
    state_dir/lock                held by the agent that is running
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mailadmin.agent.host.files import (
    FileState,
    drop_old,
    file_error,
    keep_old,
    keep_old_link,
    make_folder,
    read_link,
    remove_unfinished,
    restore_file,
    switch_link,
    sync_folder,
    write_all,
    write_own,
)
from mailadmin.agent.protocol import AgentError, ApplyReport
from mailadmin.mailconf.proof import Expectation, Seen

_NOTE = "applied.json"
_KEPT_GENERATIONS = 5
_KEPT_RESULTS = 200


@dataclass(frozen=True, slots=True)
class Journal:
    """What an apply is about to touch, written before it does; enough to undo all of it."""

    deployment_id: str
    generation: int
    files: tuple[FileState, ...]
    live_before: str | None
    daemons: tuple[str, ...]
    # Whether Dovecot moves its ports; else a re-read is enough for the way back as well.
    is_dovecot_reloaded: bool
    expected_before: tuple[Expectation, ...]
    seen_before: tuple[Seen, ...]
    # Whether one Dovecot becomes two, or two one.
    are_instances_changed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; the contents of the files lie in ``backup/`` by number."""
        return {
            "deployment_id": self.deployment_id,
            "generation": self.generation,
            "files": [
                file.as_dict(None if file.content is None else str(number))
                for number, file in enumerate(self.files)
            ],
            "live_before": self.live_before,
            "daemons": list(self.daemons),
            "is_dovecot_reloaded": self.is_dovecot_reloaded,
            "are_instances_changed": self.are_instances_changed,
            "expected_before": [item.as_dict() for item in self.expected_before],
            "seen_before": [item.as_dict() for item in self.seen_before],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], read: Callable[[str], bytes]) -> Self:
        """Read the JSON form back; ``read`` gives a file's contents by its number."""
        return cls(
            deployment_id=value["deployment_id"],
            generation=value["generation"],
            files=tuple(
                FileState(
                    Path(item["path"]),
                    None if item["backup"] is None else read(item["backup"]),
                    item["mode"],
                    item["uid"],
                    item["gid"],
                )
                for item in value["files"]
            ),
            live_before=value["live_before"],
            daemons=tuple(value["daemons"]),
            is_dovecot_reloaded=value["is_dovecot_reloaded"],
            # A journal of before there were two does not say it.
            are_instances_changed=value.get("are_instances_changed", False),
            expected_before=tuple(Expectation.from_dict(item) for item in value["expected_before"]),
            seen_before=tuple(Seen.from_dict(item) for item in value["seen_before"]),
        )


class Store:
    """The agent's folder on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live = folder / "live"
        self._journal = folder / "journal.json"
        self._backup = folder / "backup"
        self._results = folder / "results"
        self._generations = folder / "generations"
        self._staging = folder / "staging"
        self._lock: int | None = None
        self._host_keys = folder / "host-keys"

    def prepare(self) -> None:
        """Create the folders, for root's eyes only. Raises :class:`AgentError`."""
        for folder in (self.folder, self._results, self._generations, self._host_keys):
            make_folder(folder)
        self.folder.chmod(0o700)

    def lock(self) -> None:
        """Keep every other agent out of the folder. Raises :class:`AgentError` if one is in.

        A second agent would take the first one's apply for the remains of a dead one and undo it
        under its hands. What a dead one has left unfinished goes.
        """
        path = self.folder / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise file_error("file.unwritable", path, error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise AgentError.because("agent.already_running", str(self.folder)) from None
        self._lock = descriptor
        for folder in (self.folder, self._results, self._host_keys):
            remove_unfinished(folder)

    def unlock(self) -> None:
        """Let another agent in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def generation(self) -> int:
        """Return the number of the generation being served; 0 before the first apply."""
        target = read_link(self.live)
        return int(Path(target).name) if target else 0

    def generation_folder(self, number: int) -> Path:
        """Return the folder of a generation's files."""
        return self._generations / f"{number:04d}"

    def next_generation(self) -> int:
        """Return a number that no generation has, not even one that was taken back."""
        numbers = [int(item.name) for item in self._generations.iterdir() if item.name.isdecimal()]
        return max([*numbers, self.generation]) + 1

    def write_generation(self, number: int, files: Mapping[str, bytes]) -> Path:
        """Write a generation's files, mode 0600. Raises :class:`AgentError`."""
        folder = self.generation_folder(number)
        write_all(folder, files)
        return folder

    def write_note(self, number: int, note: Mapping[str, Any]) -> None:
        """Keep beside a generation what its apply leaves on the host. Raises :class:`AgentError`.

        It comes and goes with the generation: one rename of ``live`` makes both true.
        """
        write_all(self.generation_folder(number), {_NOTE: json.dumps(note).encode()})

    def read_note(self) -> dict[str, Any] | None:
        """Return the note of the generation being served; None if there is none to be read.

        With ``live`` gone it is that of the newest generation.
        """
        folder = self.live if self.live.is_dir() else self._newest_generation()
        try:
            note = json.loads((folder / _NOTE).read_bytes())
        except (OSError, ValueError):
            return None
        return note if isinstance(note, dict) else None

    def _newest_generation(self) -> Path:
        numbers = [int(item.name) for item in self._generations.iterdir() if item.name.isdecimal()]
        return self.generation_folder(max(numbers, default=0))

    def read_served(self, name: str) -> FileState:
        """Return a file of the generation being served. Raises :class:`AgentError`."""
        return FileState.read(self.live / name)

    def generation_files(self, number: int) -> dict[str, bytes]:
        """Return every file of a generation but its note, keys included. Raises ``OSError``."""
        paths = sorted(self.generation_folder(number).iterdir())
        return {path.name: path.read_bytes() for path in paths if path.name != _NOTE}

    def drop_generation(self, number: int) -> None:
        """Remove the files of a generation that is not served, keys included."""
        if number and number != self.generation:
            shutil.rmtree(self.generation_folder(number), ignore_errors=True)

    def drop_unused(self) -> None:
        """Remove generations above the one being served: staged, and never put in place."""
        for folder in self._generations.iterdir():
            if folder.name.isdecimal() and int(folder.name) > self.generation:
                self.drop_generation(int(folder.name))

    def switch_live(self, target: str | None) -> None:
        """Point ``live`` at another generation in one step. Raises :class:`AgentError`."""
        if read_link(self.live) != target:
            switch_link(self.live, target)

    def live_before(self) -> str | None:
        """Return where ``live`` points now; None before the first apply."""
        return read_link(self.live)

    def live_target(self, number: int) -> str:
        """Return what ``live`` points to for this generation."""
        return f"generations/{number:04d}"

    def fresh_staging(self) -> Path:
        """Return an empty folder for copies that a parser is asked about."""
        self.drop_staging()
        make_folder(self._staging)
        return self._staging

    def drop_staging(self) -> None:
        """Remove those copies: the configuration of a mail server holds passwords too."""
        shutil.rmtree(self._staging, ignore_errors=True)

    def begin(self, journal: Journal) -> None:
        """Write down what will be touched, before it is. Raises :class:`AgentError`."""
        shutil.rmtree(self._backup, ignore_errors=True)
        write_all(
            self._backup,
            {
                str(number): file.content
                for number, file in enumerate(journal.files)
                if file.content is not None
            },
        )
        write_own(self._journal, json.dumps(journal.as_dict()).encode())

    def open_journal(self) -> Journal | None:
        """Return the apply that was cut short, if there is one. Raises :class:`AgentError`."""
        try:
            content = self._journal.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise file_error("file.unreadable", self._journal, error) from None
        try:
            return Journal.from_dict(
                json.loads(content), lambda name: (self._backup / name).read_bytes()
            )
        except (OSError, ValueError, KeyError, TypeError):
            # Never guess: without the journal nobody knows what to put back.
            raise AgentError.because("agent.journal_unreadable", str(self._journal)) from None

    def keep_way_back(self, journal: Journal) -> None:
        """Keep what will be replaced where a rename brings it back, also on a disk that is full.

        Raises :class:`AgentError`.
        """
        for file in journal.files:
            keep_old(file)
        keep_old_link(self.live)

    def drop_way_back(self, journal: Journal) -> None:
        """Forget it: what replaced it is proven."""
        for path in (self.live, *(file.path for file in journal.files)):
            drop_old(path)

    def undo_files(self, journal: Journal) -> None:
        """Make every touched file what it was, byte for byte. Raises :class:`AgentError`."""
        for file in journal.files:
            restore_file(file)
        self.switch_live(journal.live_before)
        drop_old(self.live)

    def end(self) -> None:
        """Forget the journal: what it describes is proven, or undone. Raises AgentError."""
        try:
            self._journal.unlink(missing_ok=True)
        except OSError as error:
            raise file_error("file.unwritable", self._journal, error) from None
        shutil.rmtree(self._backup, ignore_errors=True)

    def save_result(self, deployment_id: str, report: ApplyReport) -> None:
        """Keep how a deployment ended. Raises :class:`AgentError`."""
        content = json.dumps(report.as_dict()).encode()
        write_own(self._results / f"{deployment_id}.json", content)

    def drop_result(self, deployment_id: str) -> None:
        """Forget how a deployment ended. Raises :class:`AgentError`."""
        path = self._results / f"{deployment_id}.json"
        try:
            path.unlink(missing_ok=True)
            sync_folder(self._results)
        except OSError as error:
            raise file_error("file.unwritable", path, error) from None

    def read_result(self, deployment_id: str) -> ApplyReport | None:
        """Return how a deployment ended, if it was ever asked for."""
        try:
            value = json.loads((self._results / f"{deployment_id}.json").read_bytes())
            return ApplyReport.from_dict(value)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def prune(self) -> None:
        """Drop old generations, with their keys, and old results."""
        current = self.generation
        numbers = sorted(
            int(item.name) for item in self._generations.iterdir() if item.name.isdecimal()
        )
        for number in numbers[:-_KEPT_GENERATIONS]:
            if number != current:
                self.drop_generation(number)
        results = sorted(self._results.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in results[:-_KEPT_RESULTS]:
            path.unlink(missing_ok=True)

    def keep_host_key(self, public_key_id: str, key_pem: str) -> None:
        """Keep a key found on the host: once the daemons use ours, no file names it any more."""
        path = self._host_keys / f"{public_key_id}.pem"
        if not path.exists():
            write_own(path, key_pem.encode())

    def pem_files(self) -> Sequence[Path]:
        """Return the PEM files being served, and the keys that were here before."""
        served = sorted(self.live.glob("*.pem")) if self.live.exists() else []
        return [*served, *sorted(self._host_keys.glob("*.pem"))]
