"""Dovecot on this host: its version, its parser, its re-read and its reload."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mailadmin.agent.config import DovecotPaths
from mailadmin.agent.host.dovecot_instance import DovecotInstance
from mailadmin.agent.host.files import FileState, copy_folder, put_staged, to_bytes
from mailadmin.agent.host.programs import Finished, find_program, run
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf.dovecot_settings import DovecotSettings, read_settings
from mailadmin.mailconf.front import HostSettings, Places, find_open_listener

_MOST_FILES = 200
_INCLUDE = re.compile(r"^\s*!include(?:_try)?\s+(\S+)", re.MULTILINE)
_VERSION = re.compile(r"(\d+)\.(\d+)\S*")


@dataclass(frozen=True, slots=True)
class DovecotTexts:
    """Our files of Dovecot; of one that is not there the text is empty.

    ``front`` is that of the instance which has the ports, ``core_dropin`` takes them from the
    other: both are there or neither.
    """

    dropin: str
    core_dropin: str = ""
    front: str = ""


class DovecotHost:
    """Dovecot as one instance, or as two: the *front* then has the ports, the *core* the rest."""

    def __init__(self, paths: DovecotPaths) -> None:
        self.paths = paths
        self.core = DovecotInstance(paths.config_file, paths.base_dir, paths.command_directory)
        self.front = DovecotInstance(
            paths.front_config, paths.front_base_dir, paths.command_directory
        )

    @property
    def is_split(self) -> bool:
        """Tell whether there are two instances, by the files."""
        return self.paths.front_config.exists()

    @property
    def serving(self) -> DovecotInstance:
        """Return the instance that has the ports."""
        return self.front if self.is_split else self.core

    @property
    def places(self) -> Places:
        """Return what the two must be told of each other."""
        folder = self.paths.config_file.parent
        return Places(
            core_base_dir=str(self.paths.base_dir),
            front_base_dir=str(self.paths.front_base_dir),
            dropin=os.path.relpath(self.paths.dropin, folder),
        )

    def version(self) -> str:
        """Return the version as Dovecot says it, for example ``2.3.19.1``."""
        done = run([find_program("dovecot", self.paths.command_directory), "--version"])
        match = _VERSION.search(done.words)
        if not match:
            raise AgentError.because("dovecot.version_unknown", words=done.words)
        return match[0]

    def read_dropin(self) -> FileState:
        """Return our file, which need not exist yet."""
        return FileState.read(self.paths.dropin)

    def read_split(self) -> tuple[FileState, FileState]:
        """Return the two files that make two instances of one; neither need exist."""
        return FileState.read(self.paths.core_dropin), FileState.read(self.paths.front_config)

    def read_settings(self) -> DovecotSettings:
        """Return every setting as Dovecot reads it (``doveconf -a``); holds paths, not keys.

        The defaults come first, since 2.4 leaves those of a listener out of ``-a``. Without ``-P``
        Dovecot 2.3 hides the path of the key like a password, so passwords are among them too.
        """
        return read_settings(self._print_settings(self.serving.config_file))

    def read_settings_without_dropin(self, folder: Path) -> DovecotSettings:
        """Return every setting as it would be without our file, from a copy under ``folder``.

        Raises :class:`AgentError`.
        """
        return read_settings(self._print_without_dropin(folder))

    def read_settings_as_meant(self, folder: Path) -> DovecotSettings:
        """Return every setting where Dovecot refuses our file: all others, and what ours says.

        So it is after an upgrade to a version that knows some of ours no more. Raises
        :class:`AgentError` if the others cannot be read either.
        """
        return read_settings(f"{self._print_without_dropin(folder)}\n{self.read_dropin().text}")

    def _print_without_dropin(self, folder: Path) -> str:
        with self._copy_without_ours(folder) as config:
            return self._print_settings(config)

    def read_host_settings(self, folder: Path) -> HostSettings:
        """Return what the host's own files say, from a copy. Raises :class:`AgentError`."""
        with self._copy_without_ours(folder) as config:
            every = read_settings(self._print_settings(config))
            return HostSettings(every, read_settings(self._print(config, "-n", "-P")))

    @contextlib.contextmanager
    def _copy_without_ours(self, folder: Path) -> Iterator[Path]:
        source = self.paths.config_file.parent
        with tempfile.TemporaryDirectory(prefix="reading-", dir=folder) as name:
            copy = Path(name) / "dovecot"
            copy_folder(source, copy)
            for own in (self.paths.dropin, self.paths.core_dropin):
                (copy / own.relative_to(source)).unlink(missing_ok=True)
            yield copy / self.paths.config_file.name

    def read_texts(self) -> dict[str, str]:
        """Return Dovecot's files, by path from the folder of the first, but not our own.

        They follow ``!include`` as config-parser.c does: from the folder of the file that says it.
        What cannot be read is left out; Dovecot's parser has the say.
        """
        texts: dict[str, str] = {}
        waiting = [self.paths.config_file]
        while waiting:
            path = waiting.pop(0)
            name = os.path.relpath(path, self.paths.config_file.parent)
            is_ours = path in {self.paths.dropin, self.paths.core_dropin}
            if name in texts or is_ours or len(texts) >= _MOST_FILES:
                continue
            with contextlib.suppress(AgentError):
                texts[name] = FileState.read(path).text
                waiting += _included(path, texts[name])
        return texts

    def _print_settings(self, config: Path) -> str:
        return "\n".join(self._print(config, option, "-P") for option in ("-d", "-a"))

    def _print(self, config: Path, *options: str) -> str:
        done = self._doveconf(config, *options)
        if not done.is_ok:
            raise AgentError.because("dovecot.config_broken", words=done.words)
        return done.output

    def is_running(self) -> bool:
        """Tell whether the master lives; of two instances, whether both do."""
        return self.core.is_running() and (not self.is_split or self.front.is_running())

    def master_pid(self) -> int | None:
        """Return the process number of the master that has the ports, or None."""
        return self.serving.master_pid()

    def check(self, texts: DovecotTexts, staging: Path) -> None:
        """Ask Dovecot's own parser about a staged copy. Raises :class:`AgentError` with its words.

        ``-x`` makes it open the certificate files too; what it prints then holds keys and is
        never kept.
        """
        folder = self.paths.config_file.parent
        copy_folder(folder, staging)
        put_staged(staging / self.paths.dropin.relative_to(folder), to_bytes(texts.dropin))
        self._stage_split(texts, staging)
        core = staging / self.paths.config_file.name
        serving = staging / self.paths.front_config.name if texts.front else core
        for config in dict.fromkeys((core, serving)):
            done = run([self._program("doveconf"), "-c", config, "-n", "-x"], hide=True)
            if not done.is_ok:
                words = done.words.replace(f"{staging}/", "")
                raise AgentError.because("dovecot.check_failed", words=words)
        self._check_is_effective(serving, texts.dropin)
        if texts.front:
            self._check_is_closed(core)

    def _stage_split(self, texts: DovecotTexts, staging: Path) -> None:
        folder = self.paths.config_file.parent
        for path, text in (
            (self.paths.core_dropin, texts.core_dropin),
            (self.paths.front_config, texts.front),
        ):
            staged = staging / path.relative_to(folder)
            if text:
                put_staged(staged, to_bytes(text))
            else:
                staged.unlink(missing_ok=True)

    def _check_is_effective(self, config: Path, dropin: str) -> None:
        """Refuse when another file, read later, overrides ours or ours is not read at all."""
        wanted = [path for path, _ in read_settings(dropin).certificate_files()]
        if not wanted:
            return
        # All settings, since 2.4 answers nothing when asked for one alone.
        done = self._doveconf(config, "-a")
        found = [path for path, _ in read_settings(done.output).certificate_files()]
        if found != wanted:
            is_new = version_numbers(self.version()) >= (2, 4)
            name = "ssl_server_cert_file" if is_new else "ssl_cert"
            raise AgentError.because("dovecot.dropin_overridden", name, found=str(found)[:200])

    def _check_is_closed(self, core: Path) -> None:
        """Refuse where a file read after ours opens a port in the instance that has none."""
        settings = read_settings(self._print_settings(core))
        still_open = find_open_listener(settings)
        if still_open:
            listener, port = still_open
            raise AgentError.because("front.core_not_closed", listener=listener, port=port)

    def reread(self) -> None:
        """Make Dovecot parse its files again without a reload: new connections follow, no
        session ends, and a file it cannot use is refused while the old settings stay.

        The request is the one its master makes at SIGHUP (src/config/config-connection.c, 2.3.19
        and 2.4.1). Internal to Dovecot: whoever calls this proves the result and can fall back to
        :meth:`reload`. Raises :class:`AgentError`.
        """
        is_new = version_numbers(self.version()) >= (2, 4)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(5)
                connection.connect(str(self.serving.base_dir / "config"))
                answer = _reread_new(connection) if is_new else _reread_old(connection)
        except OSError as error:
            detail = error.strerror or "no answer"
            raise AgentError.because("dovecot.reread_unavailable", detail=detail) from None
        if answer is not None:
            raise AgentError.because("dovecot.reread_refused", words=answer)

    def reload(self) -> None:
        """Tell who has the ports to read its files and move them. Raises :class:`AgentError`."""
        self.serving.reload()

    def start(self) -> None:
        """Start what died of it. Raises :class:`AgentError`."""
        if not self.core.is_running():
            self.core.start()
        if self.is_split and not self.front.is_running():
            self.front.start()

    def read_who(self) -> str:
        """Return who is logged in, a connection a line, as ``doveadm who`` prints it."""
        done = run(
            [self._program("doveadm"), "-c", self.paths.config_file, "-f", "tab", "who", "-1"]
        )
        if not done.is_ok:
            raise AgentError.because("dovecot.who_failed", words=done.words)
        return done.output

    def is_answering(self) -> bool:
        """Tell whether logins are served: the auth socket is unlinked and made anew by a reload,
        and a Postfix smtpd that starts in between gives up for its throttle time (measured).

        Of two instances it is the core that serves them, to the other one as well.
        """
        if not self.core.is_running():
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(1)
                connection.connect(str(self.paths.base_dir / "login" / "login"))
        except OSError:
            return False
        return True

    def _doveconf(self, config: Path, *arguments: str) -> Finished:
        return run([self._program("doveconf"), "-c", config, *arguments])

    def _program(self, name: str) -> Path:
        return find_program(name, self.paths.command_directory)


def _included(path: Path, text: str) -> list[Path]:
    folder = path.parent
    return [
        Path(name)
        for match in _INCLUDE.finditer(text)
        for name in sorted(glob.glob(str(folder / match[1])))  # noqa: PTH207 - may be absolute
    ]


def version_numbers(version: str) -> tuple[int, int]:
    """Return major and minor of a version such as ``2.3.19.1``. Raises :class:`AgentError`."""
    match = _VERSION.match(version)
    if not match:
        raise AgentError.because("dovecot.version_unknown", words=version)
    return int(match[1]), int(match[2])


def _reread_old(connection: socket.socket) -> str | None:
    """Ask 2.3; returns the error it answers, or None. The answer itself (settings) is dropped.

    It answers a line of the blocks there are for some protocols or names, which is empty where
    there are none, then settings and an empty line; or an empty line, the error, and the end.
    """
    connection.sendall(b"VERSION\tconfig\t2\t0\nREQ\tmodule=master\n")
    answer = bytearray()
    while part := connection.recv(65536):
        answer += part
        is_error = answer.startswith(b"\nERROR ")
        if len(answer) > len(b"\n\n") and answer.endswith(b"\n\n") and not is_error:
            return None
    error = answer.removeprefix(b"\nERROR ")
    was_refused = len(error) < len(answer)
    return error.decode(errors="replace").strip() if was_refused else "the connection was closed"


def _reread_new(connection: socket.socket) -> str | None:
    """Ask 2.4; it answers ``+`` with a file descriptor, or ``-`` and the reason."""
    connection.sendall(b"VERSION\tconfig\t3\t0\nREQ\treload\n")
    answer = b""
    while True:
        part, descriptors, _, _ = socket.recv_fds(connection, 4096, 4)
        for descriptor in descriptors:
            os.close(descriptor)
        if not part:
            return "the connection was closed"
        answer += part
        # The server greets with its own VERSION line first.
        body = answer.partition(b"\n")[2] if answer.startswith(b"VERSION") else answer
        if body[:1] == b"+":
            return None
        if body[:1] == b"-" and b"\n" in body:
            return body[1:].decode(errors="replace").strip()
