"""Dovecot on this host: its version, its parser, its re-read and its reload."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import socket
import tempfile
from pathlib import Path

import psutil

from mailadmin.agent.config import DovecotPaths
from mailadmin.agent.host.files import FileState, copy_folder, put_staged, to_bytes
from mailadmin.agent.host.programs import Finished, find_program, run
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf.dovecot_settings import DovecotSettings, read_settings

_MOST_FILES = 200
_INCLUDE = re.compile(r"^\s*!include(?:_try)?\s+(\S+)", re.MULTILINE)
_VERSION = re.compile(r"(\d+)\.(\d+)\S*")
# Dovecot's process title says so; "dovecot" alone would also match a shell script.
_MASTER_NAME = "dovecot"


class DovecotHost:
    """One Dovecot instance. Never ``doveadm service stop``: it panics the master (measured)."""

    def __init__(self, paths: DovecotPaths) -> None:
        self.paths = paths

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

    def read_settings(self) -> DovecotSettings:
        """Return every setting as Dovecot reads it (``doveconf -a``); holds paths, not keys.

        The defaults come first, since 2.4 leaves those of a listener out of ``-a``. Without ``-P``
        Dovecot 2.3 hides the path of the key like a password, so passwords are among them too.
        """
        return read_settings(self._print_settings(self.paths.config_file))

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
        source = self.paths.config_file.parent
        with tempfile.TemporaryDirectory(prefix="reading-", dir=folder) as name:
            copy = Path(name) / "dovecot"
            copy_folder(source, copy)
            (copy / self.paths.dropin.relative_to(source)).unlink(missing_ok=True)
            return self._print_settings(copy / self.paths.config_file.name)

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
            if name in texts or path == self.paths.dropin or len(texts) >= _MOST_FILES:
                continue
            with contextlib.suppress(AgentError):
                texts[name] = FileState.read(path).text
                waiting += _included(path, texts[name])
        return texts

    def _print_settings(self, config: Path) -> str:
        outputs = []
        for option in ("-d", "-a"):
            done = self._doveconf(config, option, "-P")
            if not done.is_ok:
                raise AgentError.because("dovecot.config_broken", words=done.words)
            outputs.append(done.output)
        return "\n".join(outputs)

    def is_running(self) -> bool:
        """Tell whether the master lives."""
        return self.master_pid() is not None

    def master_pid(self) -> int | None:
        """Return the master's process number, or None."""
        try:
            pid = int((self.paths.base_dir / "master.pid").read_text().strip())
            process = psutil.Process(pid)
            is_alive = process.name() == _MASTER_NAME and (process.status() != psutil.STATUS_ZOMBIE)
        except (OSError, ValueError, psutil.Error):
            return None
        return pid if is_alive else None

    def check(self, dropin: str, staging: Path) -> None:
        """Ask Dovecot's own parser about a staged copy. Raises :class:`AgentError` with its words.

        ``-x`` makes it open the certificate files too; what it prints then holds keys and is
        never kept.
        """
        folder = self.paths.config_file.parent
        copy_folder(folder, staging)
        target = staging / self.paths.dropin.relative_to(folder)
        put_staged(target, to_bytes(dropin))
        config = staging / self.paths.config_file.name
        done = run([self._program("doveconf"), "-c", config, "-n", "-x"], hide=True)
        if not done.is_ok:
            words = done.words.replace(f"{staging}/", "")
            raise AgentError.because("dovecot.check_failed", words=words)
        self._check_is_effective(config, dropin)

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
                connection.connect(str(self.paths.base_dir / "config"))
                answer = _reread_new(connection) if is_new else _reread_old(connection)
        except OSError as error:
            detail = error.strerror or "no answer"
            raise AgentError.because("dovecot.reread_unavailable", detail=detail) from None
        if answer is not None:
            raise AgentError.because("dovecot.reread_refused", words=answer)

    def reload(self) -> None:
        """Tell the master to read its files and move its ports. Raises :class:`AgentError`."""
        program = self._program("doveadm")
        done = run([program, "-c", self.paths.config_file, "reload"])
        if not done.is_ok:
            raise AgentError.because("dovecot.reload_failed", words=done.words)

    def start(self) -> None:
        """Start a master that died. Raises :class:`AgentError`."""
        program = find_program("dovecot", self.paths.command_directory)
        if not self.is_running():
            # Dovecot would not start while anything has the number of the one that died: another
            # program, or its own remains that nobody has collected.
            with contextlib.suppress(OSError):
                (self.paths.base_dir / "master.pid").unlink(missing_ok=True)
        done = run([program, "-c", self.paths.config_file])
        if not done.is_ok:
            raise AgentError.because("dovecot.start_failed", words=done.words)

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
        and a Postfix smtpd that starts in between gives up for its throttle time (measured)."""
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

    It answers settings and an empty line; or an empty line, the error, and the end.
    """
    connection.sendall(b"VERSION\tconfig\t2\t0\nREQ\tmodule=master\n")
    answer = bytearray()
    while part := connection.recv(65536):
        answer += part
        if answer.endswith(b"\n\n") and not answer.startswith(b"\n"):
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
