"""Postfix on this host: its versions, its parser, its reload."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import psutil

from mailadmin.agent.config import PostfixPaths
from mailadmin.agent.host.files import FileState, copy_folder, put_staged, to_bytes
from mailadmin.agent.host.programs import Finished, find_program, run
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf import main_cf
from mailadmin.mailconf.adopting.postfix_files import table_sources
from mailadmin.mailconf.postfix import PostfixFiles

_LINE_NUMBER = re.compile(r", line [0-9-]+:")
_UNUSED = re.compile(r"unused parameter: ([^\s=]+)=")
_PARAMETERS = (
    "mail_version", "default_database_type", "queue_directory", "maillog_file", "inet_protocols",
    "syslog_name",
    # What paths and restrictions in the files are built from.
    "config_directory", "daemon_directory", "data_directory", "command_directory", "myhostname",
    "mydomain", "myorigin", "meta_directory", "shlib_directory",
)  # fmt: skip


class PostfixHost:
    """One Postfix instance. Its own commands only, always with ``-c`` and an absolute path."""

    # Seconds; it takes 0.1.
    reload_timeout = 20.0

    def __init__(self, paths: PostfixPaths) -> None:
        self.paths = paths
        self._queue_directory: Path | None = None

    def read_parameters(self, names: Sequence[str] = _PARAMETERS) -> dict[str, str]:
        """Return parameters as Postfix itself reads them; without ``names`` the few we go by."""
        done = self._run("postconf", self.paths.config_directory, "-x", *names)
        if not done.is_ok:
            raise AgentError.because("postfix.config_broken", words=done.words)
        found: dict[str, str] = {}
        for line in done.output.splitlines():
            name, separator, value = line.partition("=")
            if separator:
                found[name.strip()] = value.strip()
        return found

    def version(self) -> str:
        """Return the version, for example ``3.7.11``; a broken main.cf is no matter (``-d``)."""
        done = self._run("postconf", self.paths.config_directory, "-d", "-h", "mail_version")
        if not done.is_ok:
            raise AgentError.because("postfix.config_broken", words=done.words)
        return done.output.strip()

    def read_files(self) -> tuple[FileState, FileState]:
        """Return main.cf and master.cf. Raises :class:`AgentError` if one is missing."""
        files = FileState.read(self.paths.main_cf), FileState.read(self.paths.master_cf)
        for file in files:
            if file.content is None:
                raise AgentError.because("file.missing", str(file.path))
        return files

    def read_tables(self, files: PostfixFiles, parameters: Mapping[str, str]) -> dict[str, str]:
        """Return the sources of the tables of host names, by path; what cannot be read is left
        out. A source holds paths; the compiled map, which holds keys, is not opened."""
        tables: dict[str, str] = {}
        for _, path in table_sources(files, parameters):
            with contextlib.suppress(AgentError):
                state = FileState.read(Path(path))
                if state.content is not None:
                    tables[path] = state.text
        return tables

    def is_running(self) -> bool:
        """Tell whether the master lives, by its pid file and what runs under that number.

        ``postfix status`` would say no while the configuration is broken (measured).
        """
        return self.master_pid() is not None

    def master_pid(self) -> int | None:
        """Return the master's process number, or None."""
        if self._queue_directory is None:
            # Not ours to change, so once is enough: this is asked several times a second.
            self._queue_directory = Path(self.read_parameters()["queue_directory"])
        try:
            pid = int((self._queue_directory / "pid" / "master.pid").read_text().strip())
            process = psutil.Process(pid)
            is_alive = process.name() == "master" and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, psutil.Error):
            return None
        return pid if is_alive else None

    def check(self, files: PostfixFiles, staging: Path) -> None:
        """Ask Postfix's own parser about a staged copy. Raises :class:`AgentError` with its words.

        ``postfix check`` prints to the log alone when nobody watches; ``postconf`` prints here.
        """
        copy_folder(self.paths.config_directory, staging)
        for name, text in (("main.cf", files.main_cf), ("master.cf", files.master_cf)):
            put_staged(staging / name, to_bytes(text))
        self.check_parameters(staging)
        known = self._warnings(self.paths.config_directory)
        parameters = main_cf.read_parameters(FileState.read(self.paths.main_cf).text)
        for arguments in (["-n"], ["-M"], ["-P"]):
            done = self._run("postconf", staging, *arguments)
            fresh = [
                line
                for line in _warning_lines(done.output, staging)
                if line not in known and not _is_about_unused(line, parameters)
            ]
            if not done.is_ok or fresh:
                words = "\n".join(fresh) or done.words
                raise AgentError.because("postfix.check_failed", words=_without(words, staging))
        done = self._run("postfix", staging, "check")
        if not done.is_ok:
            words = done.words or self.read_log_tail()
            raise AgentError.because("postfix.check_failed", words=_without(words, staging))

    def check_parameters(self, folder: Path | None = None) -> None:
        """Ask whether Postfix' own programs can start with these parameters (by default: ours).

        A reload needs that even where no file changes. Twenty times quicker than ``postfix
        check``, and it says why, which ``postfix`` says to its log alone. What ``postconf`` finds
        is not looked for again. Raises :class:`AgentError`.
        """
        folder = folder or self.paths.config_directory
        done = self._run("postmap", folder, "-q", "mailadmin", "static:mailadmin")
        if not done.is_ok:
            raise AgentError.because("postfix.check_failed", words=_without(done.words, folder))

    def compile_map(self, source: Path, map_type: str) -> None:
        """Compile an SNI map (``postmap -F``); the result takes the mode of the source: 0600."""
        done = self._run("postmap", self.paths.config_directory, "-F", f"{map_type}:{source}")
        if not done.is_ok:
            raise AgentError.because("postfix.map_failed", words=done.words)

    def reload(self) -> None:
        """Tell the master to read its files. Raises :class:`AgentError` with Postfix's words.

        With a log file of Postfix's own (``maillog_file``) its tools log through its postlogd: they
        wait for ever beside a master that hangs, which in turn may hang for that (measured, 3.7).
        """
        try:
            done = self._run(
                "postfix", self.paths.config_directory, "reload", timeout=self.reload_timeout
            )
        except AgentError as error:
            if error.problem.code != "program.timeout":
                raise
            seconds, pid = error.problem.params["seconds"], self.master_pid() or 0
            raise AgentError.because(
                "postfix.reload_hangs", "postfix", seconds=seconds, pid=pid
            ) from None
        if not done.is_ok:
            words = done.words or self.read_log_tail()
            raise AgentError.because("postfix.reload_failed", words=words)

    def start(self) -> None:
        """Start a master that died. Raises :class:`AgentError`."""
        done = self._run("postfix", self.paths.config_directory, "start")
        if not done.is_ok:
            words = done.words or self.read_log_tail()
            raise AgentError.because("postfix.start_failed", words=words)

    def read_log_tail(self, lines: int = 5) -> str:
        """Return the end of Postfix's own log file, if it has one."""
        with contextlib.suppress(AgentError, OSError):
            log = self.read_parameters().get("maillog_file", "")
            if log:
                return "\n".join(_last_lines(Path(log), lines))
        return ""

    def _warnings(self, folder: Path) -> set[str]:
        outputs = (self._run("postconf", folder, option).output for option in ("-n", "-M", "-P"))
        return {line for text in outputs for line in _warning_lines(text, folder)}

    def _run(
        self, program: str, config_directory: Path, *arguments: str, timeout: float = 20.0
    ) -> Finished:
        path = find_program(program, self.paths.command_directory)
        return run([path, "-c", config_directory, *arguments], timeout=timeout)


def _warning_lines(words: str, folder: Path) -> list[str]:
    """Return warnings without folder and line number, so that two folders can be compared."""
    warnings = [line.partition("warning:")[2].strip() for line in words.splitlines()]
    return [_LINE_NUMBER.sub(":", _without(line, folder), count=1) for line in warnings if line]


def _is_about_unused(warning: str, parameters: Collection[str]) -> bool:
    """Tell whether a variable of the admin's has lost its user, as ``mua_client_restrictions``
    does: the service that used it is set aside, and both come back when the panel goes."""
    match = _UNUSED.search(warning)
    return match is not None and match[1] in parameters


def _without(words: str, staging: Path) -> str:
    """Return the parser's words without the staging folder, which means nothing to a reader."""
    return words.replace(f"{staging}/", "")


def _last_lines(path: Path, count: int) -> list[str]:
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 8192))
        return file.read().decode(errors="replace").splitlines()[-count:]
