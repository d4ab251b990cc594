"""A Postfix and a Dovecot that live for one rehearsal, apart from everything the host has.

::

    state_dir/scratch/      0700: both daemons' files, the key, Dovecot's log
    /run/mailadmin-N-scratch/  0711: queue, sockets, Postfix' log; no secret

The second one is there because the daemons' own users must pass to it, which the agent's folder
lets nobody, and because its name is short: that of a Unix socket holds 107 bytes (unix(7)).
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from mailadmin.agent.config import AgentConfig
from mailadmin.agent.host.files import cool_down, file_error, make_folder, write_all
from mailadmin.agent.host.ports import find_holder, listens
from mailadmin.agent.host.processes import end_all, find_processes
from mailadmin.agent.host.programs import find_program, run
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf.rehearsal import ADDRESS, Places, RehearsalFiles
from mailadmin.mailconf.services import Daemon

_RUN = Path("/run")
_TROUBLE = re.compile(r"\b(warning|error|fatal|panic):", re.IGNORECASE)
# Date, host, program and process number, which mean nothing once the server is gone.
_PREFIX = re.compile(r"^.*?\b(?=(?:warning|error|fatal|panic):)", re.IGNORECASE)
# What Dovecot adds about the client, which was the agent itself.
_SUFFIX = re.compile(r": user=<[^>]*>, .*$")
_MOST_WORDS = 1000


class ScratchServer:
    """The private server of one agent. ``clear`` ends whatever any agent left of it."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        name = hashlib.sha256(os.fsencode(config.state_dir)).hexdigest()[:10]
        self.folder = config.state_dir / "scratch"
        self.runtime = _RUN / f"mailadmin-{name}-scratch"
        self._postfix = self.folder / "postfix"
        self._dovecot_conf = self.folder / "dovecot" / "dovecot.conf"
        self._instance = f"rehearsal-{name}"

    @property
    def places(self) -> Places:
        """Return where everything is."""
        return Places(
            pem_folder=str(self.folder / "pem"),
            queue_directory=str(self.runtime / "queue"),
            data_directory=str(self.runtime / "data"),
            postfix_log=str(self.runtime / "postfix.log"),
            base_dir=str(self.runtime / "dovecot"),
            dovecot_state=str(self.folder / "dovecot" / "state"),
            dovecot_log=str(self.folder / "dovecot" / "log"),
            users=str(self.runtime / "users"),
            instance_name=self._instance,
        )

    def pick_ports(self, services: Sequence[str]) -> dict[str, int]:
        """Return a free port of the loopback for each service."""
        trials = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in services]
        try:
            for trial in trials:
                trial.bind((ADDRESS, 0))
            # Held until all are known, so that no two are the same.
            return {
                name: int(trial.getsockname()[1])
                for name, trial in zip(services, trials, strict=True)
            }
        except OSError as error:
            detail = error.strerror or "unknown"
            raise AgentError.because("rehearsal.no_port", detail=detail) from None
        finally:
            for trial in trials:
                trial.close()

    def write(self, files: RehearsalFiles, pem_files: Mapping[str, bytes], mail_owner: str) -> None:
        """Make the folders and their files. Raises :class:`AgentError`."""
        owner = _number_of(mail_owner)
        make_folder(self.folder)
        write_all(self.folder / "pem", pem_files)
        texts = {"main.cf": files.postfix.main_cf, "master.cf": files.postfix.master_cf}
        write_all(self._postfix, {name: text.encode() for name, text in texts.items()})
        write_all(self._dovecot_conf.parent, {"dovecot.conf": files.dovecot.encode()})
        try:
            for name in texts:
                cool_down(self._postfix / name)
            self._make_runtime(owner)
        except OSError as error:
            raise file_error("file.unwritable", self.runtime, error) from None

    def _make_runtime(self, owner: int) -> None:
        places = self.places
        # Never one that exists: somebody else's would be trusted.
        self.runtime.mkdir()
        self.runtime.chmod(0o711)
        for folder in (places.queue_directory, places.data_directory, places.base_dir):
            Path(folder).mkdir()
            Path(folder).chmod(0o755)
        Path(places.users).touch()
        Path(places.users).chmod(0o644)
        # postsuper writes the log as this user, and does not start Postfix when it cannot.
        Path(places.postfix_log).touch(mode=0o600)
        for path in (places.data_directory, places.postfix_log):
            os.chown(path, owner, -1)

    def start(self, daemon: Daemon, *, timeout: float) -> None:
        """Start one of the two; ``timeout`` in seconds. Raises :class:`AgentError` with its words.

        Dovecot goes first: without its socket an smtpd gives up.
        """
        if daemon is Daemon.DOVECOT:
            program = find_program("dovecot", self._config.dovecot.command_directory)
            done = run([program, "-c", self._dovecot_conf], timeout=timeout)
        else:
            program = find_program("postfix", self._config.postfix.command_directory)
            done = run([program, "-c", self._postfix, "start"], timeout=timeout)
        if not done.is_ok:
            words = self.trouble(daemon) or self._shorten(done.words)
            raise AgentError.because("rehearsal.not_started", str(daemon), words=words)

    def trouble(self, daemon: Daemon) -> str:
        """Return what a daemon's log complains of, without what only means something here."""
        places = self.places
        log = places.dovecot_log if daemon is Daemon.DOVECOT else places.postfix_log
        try:
            text = Path(log).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        lines = (line for line in text.splitlines() if _TROUBLE.search(line))
        found = (_SUFFIX.sub("", _PREFIX.sub("", line)) for line in lines)
        return self._shorten("\n".join(dict.fromkeys(found)))

    def _shorten(self, words: str) -> str:
        for folder in (self.folder, self.runtime):
            words = words.replace(f"{folder}/", "")
        return words[:_MOST_WORDS]

    def is_taken(self, port: int) -> bool:
        """Tell whether somebody else listens on one of our ports."""
        return find_holder(ADDRESS, port) is not None and not listens(self._processes(), port)

    def clear(self) -> None:
        """End every process of it and remove both folders; does nothing where there are none.

        Raises :class:`AgentError` if something is left.
        """
        if self.folder.exists() or self._processes():
            # At once: there is nothing in it that would have to be ended well.
            end_all(self._processes, 0)
        for folder in (self.folder, self.runtime):
            try:
                shutil.rmtree(folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise file_error("file.unwritable", folder, error) from None
        if self._processes():
            raise AgentError.because("rehearsal.not_ended")

    def _processes(self) -> list[psutil.Process]:
        places = self.places
        return find_processes(
            [Path(places.queue_directory), Path(places.base_dir)],
            (f"dovecot-{self._instance}/",),
            mail_config=self._postfix,
        )


def _number_of(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise AgentError.because("rehearsal.no_mail_owner", user) from None
