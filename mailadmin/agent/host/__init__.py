"""The mail host: the only package that runs programs or touches the daemons' files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mailadmin.agent.config import AgentConfig
from mailadmin.agent.host.dovecot import DovecotHost, DovecotTexts, version_numbers
from mailadmin.agent.host.files import FileState, remove_file, replace_file, to_bytes
from mailadmin.agent.host.leaves import read_leaves
from mailadmin.agent.host.ports import bind_problem, find_holder, is_mail_program
from mailadmin.agent.host.postfix import PostfixHost
from mailadmin.agent.host.processes import is_halted
from mailadmin.agent.host.scratch import ScratchServer
from mailadmin.agent.host.store import Store
from mailadmin.agent.host.trial import TrialFile
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf import dovecot_settings, material, postfix
from mailadmin.mailconf.adopting.base import Base
from mailadmin.mailconf.adopting.dovecot_files import read_dovecot
from mailadmin.mailconf.adopting.postfix_files import PostfixSource, read_postfix
from mailadmin.mailconf.dovecot_settings import DovecotSettings
from mailadmin.mailconf.front import HostSettings
from mailadmin.mailconf.postfix import PostfixFiles
from mailadmin.mailconf.proof import Expectation
from mailadmin.mailconf.rehearsal import PARAMETERS, Installed
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import ListenerState
from mailadmin.pki.problems import Problem


@dataclass(frozen=True, slots=True)
class Found:
    """The host as it is: its files, and what must be known to render for it."""

    main_cf: FileState
    master_cf: FileState
    dropin: FileState
    postfix_version: str
    dovecot_version: str
    map_type: str
    # The address families Postfix uses: ``all``, or a list of ``ipv4`` and ``ipv6``.
    inet_protocols: str
    # Some parameters of Postfix, expanded, that paths in its files are built from.
    postfix_parameters: Mapping[str, str]
    # As the files give them; asked once, since each question is a process.
    dovecot: DovecotSettings
    # The two files by which Dovecot runs as two instances; not there where it is one.
    core_dropin: FileState
    front: FileState
    # Dovecot refuses our file as it is, and would not start with it.
    is_dropin_refused: bool = False
    # Of two instances the one that has the ports does not run.
    is_front_dead: bool = False

    @property
    def postfix_files(self) -> PostfixFiles:
        """Return main.cf and master.cf as text."""
        return PostfixFiles(self.main_cf.text, self.master_cf.text)

    @property
    def dovecot_texts(self) -> DovecotTexts:
        """Return our files of Dovecot as text."""
        return DovecotTexts(self.dropin.text, self.core_dropin.text, self.front.text)

    @property
    def files(self) -> tuple[FileState, ...]:
        """Return every file that an apply may change, in the order in which it does."""
        return self.dropin, self.core_dropin, self.front, self.main_cf, self.master_cf

    @property
    def versions(self) -> dict[str, str]:
        """Return the daemons' versions."""
        return {"postfix": self.postfix_version, "dovecot": self.dovecot_version}

    @property
    def dovecot_numbers(self) -> tuple[int, int]:
        """Return Dovecot's major and minor version."""
        return version_numbers(self.dovecot_version)


@dataclass(frozen=True, slots=True)
class Rendered:
    """The files as they should become; one of Dovecot's that is empty should not be there."""

    postfix: PostfixFiles
    dovecot: DovecotTexts

    @property
    def dropin(self) -> str:
        """Return what is told Dovecot of ports and certificates."""
        return self.dovecot.dropin

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the texts in the order of :attr:`Found.files`."""
        own = self.dovecot
        return own.dropin, own.core_dropin, own.front, self.postfix.main_cf, self.postfix.master_cf


class Host:
    """Everything that an apply does to the machine, one method a deed."""

    def __init__(self, config: AgentConfig) -> None:
        self.postfix = PostfixHost(config.postfix)
        self.dovecot = DovecotHost(config.dovecot)
        self.store = Store(config.state_dir)
        self.scratch = ScratchServer(config)
        self.trial = TrialFile(config.state_dir)
        self.log_files = config.log_files

    # Reading

    def read(self) -> Found:
        """Return the host as it is. Raises :class:`AgentError`."""
        parameters = self.postfix.read_parameters()
        main_cf, master_cf = self.postfix.read_files()
        settings, is_dropin_refused = self._read_dovecot_settings()
        core_dropin, front = self.dovecot.read_split()
        return Found(
            main_cf=main_cf,
            master_cf=master_cf,
            dropin=self.dovecot.read_dropin(),
            postfix_version=parameters["mail_version"],
            dovecot_version=self.dovecot.version(),
            map_type=parameters["default_database_type"],
            inet_protocols=parameters["inet_protocols"],
            postfix_parameters=parameters,
            dovecot=settings,
            core_dropin=core_dropin,
            front=front,
            is_dropin_refused=is_dropin_refused,
            is_front_dead=self.dovecot.is_split and not self.dovecot.front.is_running(),
        )

    def _read_dovecot_settings(self) -> tuple[DovecotSettings, bool]:
        """Return the settings, and whether a file of ours keeps Dovecot from reading them."""
        try:
            return self.dovecot.read_settings(), False
        except AgentError:
            if self.dovecot.read_dropin().content is None and not self.dovecot.is_split:
                raise
            return self.dovecot.read_settings_as_meant(self.store.folder), True

    def read_owned_files(self) -> tuple[FileState, ...]:
        """Return main.cf, master.cf, the drop-in and the two files by which Dovecot is split, even
        where they are gone; asks no program.

        Raises :class:`AgentError`.
        """
        paths = (self.postfix.paths.main_cf, self.postfix.paths.master_cf)
        dovecot = (self.dovecot.read_dropin(), *self.dovecot.read_split())
        return FileState.read(paths[0]), FileState.read(paths[1]), *dovecot

    def read_dovecot_base(self) -> HostSettings:
        """Return what Dovecot's own files say, ours left out. Raises :class:`AgentError`."""
        return self.dovecot.read_host_settings(self.store.folder)

    def read_versions(self) -> dict[str, str]:
        """Return the versions of the daemons, however their files are. Raises AgentError."""
        return {"postfix": self.postfix.version(), "dovecot": self.dovecot.version()}

    def read_listeners(self, found: Found) -> list[ListenerState]:
        """Return the listeners as the daemons' files have them now."""
        return [
            *postfix.read_listeners(found.postfix_files),
            *dovecot_settings.read_listeners(found.dovecot),
        ]

    def read_base(self, found: Found) -> Base:
        """Return what the daemons' own files say, our part left out. Raises :class:`AgentError`."""
        source = PostfixSource(
            found.postfix_files,
            found.postfix_parameters,
            self.postfix.read_tables(found.postfix_files, found.postfix_parameters),
        )
        settings = found.dovecot
        if found.dropin.content is not None or found.front.content is not None:
            settings = self.dovecot.read_settings_without_dropin(self.store.folder)
        postfix_base = read_postfix(source)
        dovecot_base = read_dovecot(settings, self.dovecot.read_texts())
        groups = postfix_base.file_groups | dovecot_base.file_groups
        return Base(postfix_base, dovecot_base, {files: read_leaves(files) for files in groups})

    def read_pem_files(self, found: Found) -> dict[str, bytes]:
        """Return every PEM file that the daemons are told to use, by path; keys included."""
        paths = [*self.store.pem_files(), *_postfix_pem_files(found)]
        for pair in found.dovecot.certificate_files():
            paths += [Path(name) for name in pair if name]
        base = self.read_base(found)
        for group in (*base.postfix.file_groups, *base.dovecot.file_groups):
            paths += [Path(name) for name in group if name.startswith("/")]
        files: dict[str, bytes] = {}
        for path in dict.fromkeys(paths):
            try:
                state = FileState.read(path)
            except AgentError:
                continue
            if state.content:
                files[str(path)] = state.content
        return files

    def running_daemons(self) -> dict[Daemon, bool]:
        """Tell which masters live."""
        return {
            Daemon.POSTFIX: self.postfix.is_running(),
            Daemon.DOVECOT: self.dovecot.is_running(),
        }

    def halted_daemons(self) -> dict[Daemon, int]:
        """Return who has a master that lives and yet does nothing, with its process number."""
        dovecot = self.dovecot
        masters = (
            (Daemon.POSTFIX, self.postfix.master_pid()),
            (Daemon.DOVECOT, dovecot.core.master_pid()),
            (Daemon.DOVECOT, dovecot.front.master_pid()),
        )
        return {daemon: pid for daemon, pid in masters if pid and is_halted(pid)}

    def port_problem(self, service: str, address: str, port: int) -> Problem | None:
        """Return why a daemon could not listen there; None if it could."""
        return bind_problem(service, address, port)

    def port_holder(self, expected: Expectation) -> str:
        """Return ``program (pid)`` of whoever listens on the port, or an empty text."""
        holder = find_holder(expected.address, expected.port)
        return f"{holder.program} (pid {holder.pid})" if holder else ""

    def is_held_by_another(self, expected: Expectation) -> bool:
        """Tell whether somebody listens on the port who is neither Postfix nor Dovecot."""
        holder = find_holder(*expected.target)
        return holder is not None and not is_mail_program(holder.program)

    def read_installed(self) -> Installed:
        """Return what a server of its own would be made of. Raises :class:`AgentError`."""
        return Installed(
            postfix=self.postfix.read_parameters(PARAMETERS),
            dovecot_version=version_numbers(self.dovecot.version()),
            protocols=self._read_dovecot_settings()[0].protocols,
        )

    # Checking a staged copy

    def check_postfix(self, files: PostfixFiles, staging: Path) -> None:
        """Ask Postfix's parser. Raises :class:`AgentError` with its words."""
        self.postfix.check(files, staging / "postfix")

    def check_postfix_as_it_is(self) -> None:
        """Ask whether the files that are in place can be reloaded. Raises :class:`AgentError`."""
        self.postfix.check_parameters()

    def check_dovecot(self, texts: DovecotTexts, staging: Path) -> None:
        """Ask Dovecot's parser. Raises :class:`AgentError` with its words."""
        self.dovecot.check(texts, staging / "dovecot")

    # Changing

    def write_generation(
        self, number: int, files: dict[str, bytes], sni_source: str, map_type: str
    ) -> Path:
        """Write the PEM files of a generation and compile its SNI map, all of mode 0600."""
        if sni_source:
            files = files | {material.SNI_MAP: sni_source.encode()}
        folder = self.store.write_generation(number, files)
        if sni_source:
            self.postfix.compile_map(folder / material.SNI_MAP, map_type)
        return folder

    def refuse_if_edited(self, found: Found) -> None:
        """Raise :class:`AgentError` if somebody edited a file since it was read.

        The digest is compared at the beginning; the parsers take a moment after that.
        """
        for was in found.files:
            if FileState.read(was.path).content != was.content:
                raise AgentError.because("plan.file_edited", str(was.path))

    def put_files(self, found: Found, rendered: Rendered) -> None:
        """Put the changed files in place, each by rename. Raises :class:`AgentError`.

        Those that go come last: to bring one back may take room, when a disk is full by then.
        """
        both = list(zip(found.files, rendered.texts, strict=True))
        # Of Postfix's two a text that is empty is no wish to be rid of the file.
        leaving = [was for was, text in both[:3] if not text]
        for was, text in both:
            content = to_bytes(text)
            if was not in leaving and content != was.content:
                replace_file(was, content)
        for was in leaving:
            remove_file(was)

    def start_if_dead(self, daemon: Daemon) -> bool:
        """Start a master that died; returns whether it had to be. Raises :class:`AgentError`."""
        one = self.postfix if daemon is Daemon.POSTFIX else self.dovecot
        if one.is_running():
            return False
        one.start()
        return True


def _postfix_pem_files(found: Found) -> list[Path]:
    settings = postfix.read_certificate_settings(found.postfix_files)
    return [Path(path) for path in settings if path.startswith("/")]
