"""Answers to HTTP-01 as files in the folder of a web server that has port 80 already.

The folder may belong to somebody without rights, so nothing below it is reached through a link.
What is written there is noted first, in a file of the agent's own: the next agent removes what a
killed one left.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailadmin.agent.host.files import file_error, write_own
from mailadmin.agent.protocol import AgentError

logger = logging.getLogger(__name__)

_FOLDERS = (".well-known", "acme-challenge")
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Note:
    """What lies in a web root because of us."""

    web_root: Path
    tokens: set[str] = field(default_factory=set)
    # How many of the two folders were made by us, counted from the inner one.
    made: int = 0

    def as_bytes(self) -> bytes:
        """Return the JSON form."""
        shown = {"web_root": str(self.web_root), "tokens": sorted(self.tokens), "made": self.made}
        return json.dumps(shown).encode()

    @classmethod
    def read(cls, path: Path) -> Note | None:
        """Read the JSON form back; None if there is none that makes sense."""
        try:
            value = json.loads(path.read_bytes())
            web_root, tokens = Path(value["web_root"]), {str(item) for item in value["tokens"]}
            return cls(web_root, tokens, int(value["made"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            logger.warning("%s cannot be understood: nothing is removed by it", path)
            return None


class WebRoot:
    """The files of one web root; ``note`` is where the agent remembers them."""

    def __init__(self, folder: Path, note: Path) -> None:
        self._path = note
        self._note = Note(folder)

    def write(self, token: str, content: str) -> None:
        """Let the web server answer. Raises :class:`AgentError`; then there is no such file."""
        root = self._note.web_root
        try:
            with _opened(root) as root_folder, self._made(root_folder) as folder:
                self._note.tokens.add(token)
                write_own(self._path, self._note.as_bytes())
                _write(folder, token, content, os.fstat(root_folder))
        except OSError as error:
            self.remove(token)
            raise _unusable(root, error) from None

    def remove(self, token: str) -> None:
        """Remove a file again, and with the last one the folders that were made for them.

        What cannot be removed stays noted for the next agent.
        """
        if token not in self._note.tokens:
            return
        try:
            _remove(self._note, [token])
            self._note.tokens.discard(token)
            if not self._note.tokens:
                _remove_folders(self._note)
                self._path.unlink(missing_ok=True)
            else:
                write_own(self._path, self._note.as_bytes())
        except (OSError, AgentError) as error:
            logger.warning("an answer stays in %s: %s", self._note.web_root, error)

    @contextlib.contextmanager
    def _made(self, root_folder: int) -> Iterator[int]:
        """Yield the folder of the answers, made if need be. Raises ``OSError``."""
        with contextlib.ExitStack() as stack:
            folder = root_folder
            for depth, name in enumerate(_FOLDERS):
                is_ours = not _exists(folder, name)
                if is_ours:
                    self._note.made = max(self._note.made, len(_FOLDERS) - depth)
                    write_own(self._path, self._note.as_bytes())
                    os.mkdir(name, dir_fd=folder)
                folder = os.open(name, _OPEN_FOLDER, dir_fd=folder)
                stack.callback(os.close, folder)
                if is_ours:
                    # Not by the umask, which keeps everything else we create to ourselves.
                    os.fchmod(folder, 0o755)
            yield folder


def remove_leftovers(note_path: Path) -> None:
    """Remove what a dead agent left in a web root, be it another one than today's."""
    note = Note.read(note_path)
    try:
        if note is not None:
            _remove(note, sorted(note.tokens))
            _remove_folders(note)
        note_path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("answers of a dead agent stay behind: %s", error)


def _remove(note: Note, tokens: Sequence[str]) -> None:
    with contextlib.suppress(FileNotFoundError), _reached(note.web_root, _FOLDERS) as folder:
        for token in tokens:
            with contextlib.suppress(FileNotFoundError):
                # Its last part: whoever wrote the note, nothing outside the folder is named.
                os.unlink(Path(token).name, dir_fd=folder)


def _remove_folders(note: Note) -> None:
    for depth in range(len(_FOLDERS) - 1, len(_FOLDERS) - 1 - note.made, -1):
        # Whatever somebody else has put there since keeps its folder.
        with contextlib.suppress(OSError), _reached(note.web_root, _FOLDERS[:depth]) as folder:
            os.rmdir(_FOLDERS[depth], dir_fd=folder)
    note.made = 0


@contextlib.contextmanager
def _reached(root: Path, names: Sequence[str]) -> Iterator[int]:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_opened(root))
        for name in names:
            folder = os.open(name, _OPEN_FOLDER, dir_fd=folder)
            stack.callback(os.close, folder)
        yield folder


@contextlib.contextmanager
def _opened(root: Path) -> Iterator[int]:
    """Yield a descriptor of the web root; where it lies is the administrator's word, links too."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _exists(folder: int, name: str) -> bool:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(found.st_mode):
        raise OSError(0, f"{name} is a symbolic link")
    return True


def _write(folder: int, token: str, content: str, owner: os.stat_result) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(token, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(token, flags, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.fchmod(descriptor, 0o644)


def _unusable(root: Path, error: OSError) -> AgentError:
    return file_error("http01.web_root_unusable", root, error)
