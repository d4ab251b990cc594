"""A mail host of files only: real files and a real store, and daemons that merely remember.

What the fake daemons serve is what their files said when they were last told to read them, so a
test can ask the "wire" and compare it with the files. Any deed can be made to fail, or to kill the
agent in its tracks.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mailadmin.agent.apply import Applier
from mailadmin.agent.config import AgentConfig, DovecotPaths, PostfixPaths
from mailadmin.agent.deadline import Clock
from mailadmin.agent.host import Found, Host, Rendered
from mailadmin.agent.host.dovecot import DovecotTexts
from mailadmin.agent.host.files import FileState, make_folder, put_staged
from mailadmin.agent.host.scratch import ScratchServer
from mailadmin.agent.host.store import Journal, Store
from mailadmin.agent.host.trial import Trial, TrialFile
from mailadmin.agent.planner import make_plan
from mailadmin.agent.protocol import AgentError, ApplyReport, StepEvent
from mailadmin.mailconf import dovecot_settings, main_cf, postfix
from mailadmin.mailconf.front import HostSettings, Places
from mailadmin.mailconf.postfix import PostfixFiles
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.rehearsal import RehearsalFiles
from mailadmin.mailconf.services import SERVICES, Daemon
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.parts import read_parts
from mailadmin.pki.problems import Problem
from tests.states import Material, make_material

ADDRESS = "127.77.0.1"
_MAIN_CF = """# written by hand
myhostname = mail.example.test
smtpd_tls_chain_files = {pem}
smtpd_tls_security_level = may
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
"""
_MASTER_CF = f"""# written by hand too
{ADDRESS}:25 inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
"""
_DOVECONF = f"""listen = {ADDRESS}
protocols = imap pop3 sieve
shutdown_clients = no
ssl_cert = <{{pem}}
ssl_key = <{{pem}}
service imap-login {{{{
  inet_listener imap {{{{
    port = 143
  }}}}
  inet_listener imaps {{{{
    port = 993
  }}}}
}}}}
service pop3-login {{{{
  inet_listener pop3 {{{{
    port = 110
  }}}}
  inet_listener pop3s {{{{
    port = 995
  }}}}
}}}}
service managesieve-login {{{{
  inet_listener sieve {{{{
    port = 4190
  }}}}
}}}}
"""


@dataclass
class Faults:
    """Which deed fails, at which of its calls, and how; and every deed in order."""

    calls: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    planned: dict[tuple[str, int], Callable[[], BaseException]] = field(default_factory=dict)
    always: dict[str, Callable[[], BaseException]] = field(default_factory=dict)

    def fail(
        self, deed: str, *, at: int = 1, error: Callable[[], BaseException] | None = None
    ) -> None:
        """Let the ``at``-th call of the deed (from now) fail."""
        self.planned[deed, self.counts[deed] + at] = error or (
            lambda: AgentError.because(f"test.{deed}")
        )

    def fail_always(self, deed: str) -> None:
        """Let every call of the deed fail from now on."""
        self.always[deed] = lambda: AgentError.because(f"test.{deed}")

    def heal(self) -> None:
        """Let everything work again."""
        self.planned.clear()
        self.always.clear()

    def hit(self, deed: str) -> None:
        """Note the deed; raise what was planned for it."""
        self.calls.append(deed)
        self.counts[deed] += 1
        make = self.planned.get((deed, self.counts[deed])) or self.always.get(deed)
        if make is not None:
            raise make()


class FaultyStore(Store):
    """The real store, each deed of which can fail before it does anything."""

    def __init__(self, folder: Path, faults: Faults) -> None:
        super().__init__(folder)
        self.faults = faults

    def write_generation(self, number: int, files: Any) -> Path:
        self.faults.hit("store.write_generation")
        return super().write_generation(number, files)

    def begin(self, journal: Journal) -> None:
        self.faults.hit("store.begin")
        super().begin(journal)
        self.faults.hit("store.begun")

    def switch_live(self, target: str | None) -> None:
        self.faults.hit("store.switch_live")
        super().switch_live(target)

    def undo_files(self, journal: Journal) -> None:
        self.faults.hit("store.undo_files")
        super().undo_files(journal)

    def save_result(self, deployment_id: str, report: ApplyReport) -> None:
        self.faults.hit("store.save_result")
        super().save_result(deployment_id, report)

    def end(self) -> None:
        self.faults.hit("store.end")
        super().end()

    def prune(self) -> None:
        self.faults.hit("store.prune")
        super().prune()


class FaultyTrialFile(TrialFile):
    """The real record of a trial, each deed of which can fail before or after it is done."""

    def __init__(self, folder: Path, faults: Faults) -> None:
        super().__init__(folder)
        self.faults = faults

    def keep(self, trial: Trial) -> None:
        self.faults.hit("trial.keep")
        super().keep(trial)
        self.faults.hit("trial.kept")

    def drop(self) -> None:
        self.faults.hit("trial.drop")
        super().drop()
        self.faults.hit("trial.dropped")


@dataclass
class FakeClock:
    """The clocks of the host: they go only when a test says so, and can be set."""

    boot: str = "first boot"
    since_boot: float = 1_000.0
    wall: float = 1_800_000_000.0

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.since_boot, lambda: self.boot)

    def pass_by(self, seconds: float) -> None:
        self.since_boot += seconds
        self.wall += seconds

    def reboot(self, *, wall: float | None = None) -> None:
        self.boot, self.since_boot = f"after {self.boot}", 5.0
        self.wall = self.wall if wall is None else wall


@dataclass
class FakeDaemon:
    """What both daemons have in common."""

    machine: Machine
    daemon: Daemon

    def is_running(self) -> bool:
        return self.daemon in self.machine.running

    def reload(self) -> None:
        self.machine.faults.hit(f"{self.daemon}.reload")
        self.machine.load(self.daemon)

    def start(self) -> None:
        self.machine.faults.hit(f"{self.daemon}.start")
        self.machine.running.add(self.daemon)
        if self.daemon is Daemon.DOVECOT:
            is_split = self.machine.host.dovecot.is_split
            self.machine.instances |= {"core", "front"} if is_split else {"core"}
        self.machine.load(self.daemon)


class FakePostfix(FakeDaemon):
    """Postfix, as far as the host asks."""

    def read_parameters(self, names: Sequence[str] = ()) -> dict[str, str]:
        self.machine.faults.hit("postfix.read_parameters")
        return {
            **dict.fromkeys(names, "/nowhere"),
            "mail_owner": "root",
            "mail_version": self.version(),
            "default_database_type": "hash",
            "inet_protocols": self.machine.inet_protocols,
            "maillog_file": "",
            "syslog_name": "postfix",
        }

    @property
    def paths(self) -> PostfixPaths:
        return self.machine.config.postfix

    def version(self) -> str:
        return self.machine.versions["postfix"]

    def read_files(self) -> tuple[FileState, FileState]:
        return FileState.read(self.machine.main_cf), FileState.read(self.machine.master_cf)

    def read_tables(self, files: PostfixFiles, parameters: Mapping[str, str]) -> dict[str, str]:
        return {}

    def check(self, files: PostfixFiles, staging: Path) -> None:
        self.machine.faults.hit("postfix.check")
        make_folder(staging)

    def check_parameters(self) -> None:
        self.machine.faults.hit("postfix.check_parameters")

    def compile_map(self, source: Path, map_type: str) -> None:
        self.machine.faults.hit("postfix.compile_map")
        put_staged(source.with_name(f"{source.name}.db"), b"compiled")


@dataclass
class FakeInstance:
    """One of the instances of Dovecot; which of them has the ports is told by the files."""

    machine: Machine
    name: str

    def is_running(self) -> bool:
        return self.name in self.machine.instances

    def reload(self) -> None:
        self.machine.faults.hit(f"{self.name}.reload")
        self._read_files()

    def start(self) -> None:
        self.machine.faults.hit(f"{self.name}.start")
        self.machine.instances.add(self.name)
        self._read_files()

    def end(self) -> None:
        self.machine.faults.hit(f"{self.name}.end")
        self.machine.instances.discard(self.name)
        self.machine.close_ports(Daemon.DOVECOT)

    def _read_files(self) -> None:
        if self.machine.host.dovecot.is_split == (self.name == "front"):
            self.machine.load(Daemon.DOVECOT)
        elif "front" not in self.machine.instances:
            self.machine.close_ports(Daemon.DOVECOT)


class FakeDovecot(FakeDaemon):
    """Dovecot, as far as the host asks."""

    @property
    def paths(self) -> DovecotPaths:
        return self.machine.config.dovecot

    @property
    def core(self) -> FakeInstance:
        return FakeInstance(self.machine, "core")

    @property
    def front(self) -> FakeInstance:
        return FakeInstance(self.machine, "front")

    @property
    def is_split(self) -> bool:
        return self.paths.front_config.exists()

    @property
    def places(self) -> Places:
        return Places("/run/dovecot", "/run/dovecot-front", "conf.d/99-mailadmin.conf")

    def is_running(self) -> bool:
        is_front = not self.is_split or self.front.is_running()
        return super().is_running() and self.core.is_running() and is_front

    def read_split(self) -> tuple[FileState, FileState]:
        return FileState.read(self.paths.core_dropin), FileState.read(self.paths.front_config)

    def read_host_settings(self, folder: Path) -> HostSettings:
        settings = dovecot_settings.read_settings(self.text)
        return HostSettings(settings, settings)

    def version(self) -> str:
        return self.machine.versions["dovecot"]

    def read_dropin(self) -> FileState:
        return FileState.read(self.machine.dropin)

    def read_settings(self) -> dovecot_settings.DovecotSettings:
        own = self.machine.dropin.read_text() if self.machine.dropin.exists() else ""
        return dovecot_settings.read_settings(self.text + own)

    @property
    def text(self) -> str:
        return _DOVECONF.format(pem=self.machine.snakeoil)

    def read_settings_without_dropin(self, folder: Path) -> dovecot_settings.DovecotSettings:
        return dovecot_settings.read_settings(self.text)

    def read_texts(self) -> dict[str, str]:
        return {"dovecot.conf": self.text}

    def check(self, texts: DovecotTexts, staging: Path) -> None:
        self.machine.faults.hit("dovecot.check")
        make_folder(staging)

    def reread(self) -> None:
        self.machine.faults.hit("dovecot.reread")
        self.machine.load(self.daemon, is_reread=True)

    def read_who(self) -> str:
        self.machine.faults.hit("dovecot.read_who")
        return "username\tproto\tpid\tip\n"

    def is_answering(self) -> bool:
        self.machine.faults.calls.append("dovecot.is_answering")
        return self.machine.is_dovecot_answering


class FakeScratch(ScratchServer):
    """The real folders and files of a rehearsal, and daemons that only remember to be started."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.config)
        self.runtime = machine.folder / "runtime"
        self.machine = machine
        self.started: list[Daemon] = []
        self.words: dict[Daemon, str] = {}
        self.taken: set[str] = set()
        self.ports: dict[str, int] = {}

    def pick_ports(self, services: Sequence[str]) -> dict[str, int]:
        self.machine.faults.hit("scratch.pick_ports")
        self.ports = super().pick_ports(services)
        return self.ports

    def write(self, files: RehearsalFiles, pem_files: Mapping[str, bytes], mail_owner: str) -> None:
        self.machine.faults.hit("scratch.write")
        super().write(files, pem_files, mail_owner)

    def start(self, daemon: Daemon, *, timeout: float) -> None:
        self.machine.faults.hit(f"scratch.start.{daemon}")
        self.started.append(daemon)

    def trouble(self, daemon: Daemon) -> str:
        return self.words.get(daemon, "")

    def is_taken(self, port: int) -> bool:
        return any(self.ports.get(service) == port for service in self.taken)

    def clear(self) -> None:
        self.machine.faults.hit("scratch.clear")
        self.started.clear()
        super().clear()

    def look(self, expected: Sequence[Expectation]) -> list[Seen]:
        """Look at the ports of the rehearsal: what the files on the disk say is served."""
        self.machine.faults.hit("scratch.look")
        return [self.machine.disturb(self._see(item)) for item in expected]

    def _see(self, item: Expectation) -> Seen:
        seen = Seen(item.service, item.address, item.port, item.sni_name)
        if SERVICES[item.service].daemon not in self.started:
            return replace(seen, error="probe.closed", error_text="Connection refused")
        pem = Path(self.places.pem_folder, "default.pem").read_bytes()
        leaf, *chain = read_parts([pem]).certificates
        shown = tuple({"fingerprint": one.fingerprint} for one in chain)
        return replace(seen, is_open=True, fingerprint=leaf.fingerprint, chain=shown)


class FakeHost(Host):
    """The real host over files, with daemons that only remember."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.config)
        self.machine = machine
        self.postfix = FakePostfix(machine, Daemon.POSTFIX)  # type: ignore[assignment]
        self.dovecot = FakeDovecot(machine, Daemon.DOVECOT)  # type: ignore[assignment]
        self.store = FaultyStore(machine.config.state_dir, machine.faults)
        self.scratch: FakeScratch = FakeScratch(machine)
        self.trial = FaultyTrialFile(machine.config.state_dir, machine.faults)

    def halted_daemons(self) -> dict[Daemon, int]:
        return dict.fromkeys(self.machine.halted & self.machine.running, 4711)

    def port_problem(self, service: str, address: str, port: int) -> Problem | None:
        return self.machine.port_problem

    def port_holder(self, expected: Expectation) -> str:
        return "squatter (pid 4711)"

    def is_held_by_another(self, expected: Expectation) -> bool:
        return expected.port in self.machine.held_by_another

    def put_files(self, found: Found, rendered: Rendered) -> None:
        self.machine.faults.hit("host.put_files")
        super().put_files(found, rendered)


@dataclass(frozen=True)
class Port:
    """What one port serves."""

    service: str
    fingerprint: str
    by_name: Mapping[str, str] = field(default_factory=dict)


class Machine:
    """One mail host in a folder, running, with a snakeoil certificate; 465 and 587 are closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.main_cf = folder / "postfix" / "main.cf"
        self.master_cf = folder / "postfix" / "master.cf"
        self.dropin = folder / "dovecot" / "conf.d" / "99-mailadmin.conf"
        self.snakeoil = folder / "snakeoil.pem"
        self.mail_log = folder / "log" / "mail.log"
        self.config = AgentConfig.from_dict(
            {
                "socket": str(folder / "agent.sock"),
                "state_dir": str(folder / "state"),
                "postfix": {"config_directory": str(self.main_cf.parent)},
                "dovecot": {
                    "config_file": str(folder / "dovecot" / "dovecot.conf"),
                    "dropin": str(self.dropin),
                    "base_dir": str(folder / "run"),
                },
                "spacing": 0,
                "http01": {"addresses": []},
                "log_files": [str(self.mail_log)],
            }
        )
        self.faults = Faults()
        self.running = {Daemon.POSTFIX, Daemon.DOVECOT}
        self.instances = {"core"}
        self.halted: set[Daemon] = set()
        self.is_dovecot_answering = True
        self.port_problem: Problem | None = None
        self.held_by_another: set[int] = set()
        self.inet_protocols = "all"
        self.versions = {"postfix": "3.7.11", "dovecot": "2.3.19.1"}
        # Lets a test spoil what is seen: called with every answer of the probe.
        self.disturb: Callable[[Seen], Seen] = lambda seen: seen
        self.now = 0.0
        self.clocks = FakeClock()
        self._wire: dict[Daemon, dict[tuple[str, int], Port]] = {}
        self._write_files()
        self.host = FakeHost(self)
        self.host.store.prepare()
        for daemon in (Daemon.POSTFIX, Daemon.DOVECOT):
            self.load(daemon)
        self.faults.calls.clear()

    def _write_files(self) -> None:
        self.original: Material = make_material("snakeoil")
        self.main_cf.parent.mkdir()
        self.dropin.parent.mkdir(parents=True)
        self.snakeoil.write_text(self.original.bundle)
        self.main_cf.write_text(_MAIN_CF.format(pem=self.snakeoil))
        self.master_cf.write_text(_MASTER_CF)
        self.master_cf.chmod(0o640)

    # What the daemons do

    def load(self, daemon: Daemon, *, is_reread: bool = False) -> None:
        """Let a daemon read its files: its ports (not at a re-read) and its certificates."""
        found = PostfixFiles(self.main_cf.read_text(), self.master_cf.read_text())
        if daemon is Daemon.POSTFIX:
            listeners = postfix.read_listeners(found)
            pem = main_cf.read_parameters(found.main_cf)["smtpd_tls_chain_files"]
        else:
            settings = self.host.dovecot.read_settings()
            listeners = dovecot_settings.read_listeners(settings)
            pem = settings.get("ssl_cert").lstrip("<")
        leaf = _read_leaf(Path(pem))
        names = {
            path.stem.removeprefix("sni-"): _read_leaf(path)
            for path in self.host.store.live.glob("sni-*.pem")
        }
        ports = {
            (item.address, item.port): Port(item.service, leaf, names)
            for item in listeners
            if item.is_enabled
        }
        if is_reread:
            ports = {
                where: replace(port, fingerprint=leaf, by_name=names)
                for where, port in self._wire[daemon].items()
            }
        self._wire[daemon] = ports

    def close_ports(self, daemon: Daemon) -> None:
        """Let a daemon serve nothing until it reads its files again."""
        self._wire[daemon] = {}

    def die(self, daemon: Daemon) -> None:
        """Let a master die; its ports close."""
        self.running.discard(daemon)

    def probe(self, expected: Sequence[Expectation], is_thorough: bool) -> list[Seen]:
        """Look at the fake wire."""
        self.faults.calls.append("probe")
        return [self.disturb(self._see(item)) for item in expected]

    def _see(self, item: Expectation) -> Seen:
        seen = Seen(item.service, item.address, item.port, item.sni_name)
        for daemon in self.running:
            port = self._wire[daemon].get((item.address, item.port))
            if port:
                leaf = port.by_name.get(item.sni_name, port.fingerprint)
                return replace(seen, is_open=True, fingerprint=leaf)
        return replace(seen, error="probe.closed", error_text="Connection refused")

    @property
    def served(self) -> dict[tuple[str, int], str]:
        """Every open port and the leaf it shows."""
        return {
            where: port.fingerprint
            for daemon in self.running
            for where, port in self._wire[daemon].items()
        }

    def tick(self, seconds: float) -> None:
        """Let time pass: the ``sleep`` of the fake clock."""
        self.now += max(seconds, 0.001)

    # What a test does

    @property
    def applier(self) -> Applier:
        """An applier over this machine, with the machine's clock."""
        return Applier(self.host, self.probe, self.tick, self.clock, self.clocks.clock)

    def clock(self) -> float:
        """Return the fake time; every look takes a little."""
        self.now += 0.001
        return self.now

    def restart_agent(self) -> None:
        """Start a new agent over the same folder, as after a crash; nothing fails any more."""
        self.faults.heal()
        self.host = FakeHost(self)

    def state_now(self) -> DesiredState:
        """The state that describes the host as it is."""
        listeners = tuple(self.host.read_listeners(self.host.read()))
        facts = read_certificate(self.original.certificate.leaf_pem.encode())
        assert facts.fingerprint == self.original.certificate.fingerprint
        return DesiredState(
            "mail.example.test",
            listeners,
            self.original.certificate.fingerprint,
            (self.original.certificate,),
        )

    def apply(
        self,
        state: DesiredState,
        deployment_id: str = "one",
        digest: str | None = None,
        confirm_within: int | None = None,
    ) -> ApplyReport:
        """Plan and apply; the told events are in :attr:`told`."""
        self.told: list[StepEvent] = []
        reviewed = digest if digest is not None else make_plan(state, self.host).digest
        self.faults.calls.clear()
        return self.applier.apply(
            state,
            digest=reviewed,
            deployment_id=deployment_id,
            tell=self.told.append,
            confirm_within=confirm_within,
        )

    def snapshot(self) -> dict[str, tuple[bytes | str, int]]:
        """Every file of the daemons with its mode, and where ``live`` points."""
        shown: dict[str, tuple[bytes | str, int]] = {}
        for folder in (self.main_cf.parent, self.dropin.parent.parent):
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    shown[str(path)] = (path.read_bytes(), path.stat().st_mode)
        live = self.host.store.live
        shown["live"] = (str(live.readlink()) if live.is_symlink() else "", 0)
        return shown

    @property
    def generations(self) -> list[str]:
        """The folders with keys that are on the disk."""
        return sorted(path.name for path in (self.config.state_dir / "generations").iterdir())

    @property
    def has_trial(self) -> bool:
        """Tell whether a deployment waits to be confirmed."""
        return (self.config.state_dir / "trial.json").exists()

    @property
    def has_journal(self) -> bool:
        """Tell whether an apply is noted as under way."""
        return (self.config.state_dir / "journal.json").exists()

    def wipe_state(self) -> None:
        """Lose the agent's folder."""
        shutil.rmtree(self.config.state_dir)


def _read_leaf(path: Path) -> str:
    return read_parts([path.read_bytes()]).certificates[0].fingerprint
