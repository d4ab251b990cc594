"""A sandbox mail server with an agent, as the tests drive it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mailadmin
from mailadmin.agent.client import AgentClient
from mailadmin.agent.config import AgentConfig
from mailadmin.agent.host.processes import is_alive
from mailadmin.agent.protocol import ApplyReport, Outcome, PlanReport, StepEvent
from mailadmin.agent.server import Agent, AgentServer
from mailadmin.mailconf.state import DesiredState
from mailadmin.sandbox import Sandbox
from mailadmin.sandbox.programs import run_program
from tests.integration import wire
from tests.integration.processes import find_named
from tests.states import ROOT_PEM, make_material, with_default, with_open

PROJECT = Path(mailadmin.__file__).parent.parent
SERVICES = ("smtp", "submissions", "submission", "imap", "imaps", "pop3", "pop3s", "sieve")
POSTFIX_SERVICES = SERVICES[:3]
DOVECOT_SERVICES = SERVICES[3:]

# As ``python -m mailadmin.agent``, once its first argument is taken.
_AGENT_THAT_WATCHES = (
    "import runpy, sys; from mailadmin.agent import proving; "
    "proving._WATCH = float(sys.argv.pop(1)); "
    "runpy.run_module('mailadmin.agent', run_name='__main__')"
)

FileFacts = tuple[bytes, int, int, int]


class MailHost:
    """One private mail server and the agent beside it, in one folder.

    Has the ``settings`` and ``certificate`` (what clients trust) that ``mail_clients`` asks for.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, **config: Any) -> None:
        self.sandbox = sandbox
        self.settings = sandbox.settings
        self.address = sandbox.settings.address
        self.folder = folder
        self.certificate = folder / "trusted.pem"
        self.certificate.write_bytes(ROOT_PEM + sandbox.certificate.read_bytes())
        self.main_cf = sandbox.postfix_config_directory / "main.cf"
        self.master_cf = sandbox.postfix_config_directory / "master.cf"
        self.dropin = sandbox.dovecot_config.parent / "conf.d" / "99-mailadmin.conf"
        self.config_file = folder / "agent.json"
        self.configure(**config)
        self.client = AgentClient(self.config.socket, "test")
        self.told: list[StepEvent] = []
        self.base: DesiredState
        self.process: subprocess.Popen[bytes] | None = None
        self.agent_log = folder / "agent.log"
        self._numbers = itertools.count(1)

    def _config(self) -> dict[str, Any]:
        return {
            "socket": str(self.folder / "agent.sock"),
            "state_dir": str(self.folder / "agent"),
            "allowed_uids": [0],
            "postfix": {"config_directory": str(self.sandbox.postfix_config_directory)},
            "dovecot": {
                "config_file": str(self.sandbox.dovecot_config),
                "dropin": str(self.dropin),
                "base_dir": str(self.sandbox.dovecot_base_dir),
            },
            # Not port 80, which may belong to this machine; nobody listens before he must.
            "http01": {"addresses": [self.address], "port": 5080},
        }

    def configure(self, **config: Any) -> None:
        """Write the agent's configuration; the next agent that is started reads it."""
        self.config_file.write_text(json.dumps(self._config() | {"spacing": 0} | config))
        self.config = AgentConfig.load(self.config_file)

    # The agent: in this process, where tests can wrap its deeds, or in one of its own

    def start_agent(self) -> None:
        """Serve the agent from this process."""
        self.agent = Agent(self.config)
        self.agent.prepare()
        self._server = AgentServer(self.agent)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop_agent(self) -> None:
        """Stop serving it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def start_agent_process(self, *before: str, watch: float | None = None) -> None:
        """Start the agent as it is started on a mail host, and wait until it answers.

        ``before``: a program that starts it, with its arguments. ``watch``: the seconds for which
        it looks on after a proof, where a test needs the time.
        """
        program = (
            ["-m", "mailadmin.agent"] if watch is None else ["-c", _AGENT_THAT_WATCHES, str(watch)]
        )
        command = [*before, sys.executable, *program, "--config", str(self.config_file)]
        with self.agent_log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log)
        process = self.process

        def answers() -> bool:
            assert process.poll() is None, self.agent_log.read_text()
            return not _is_deaf(self.config.socket)

        wire.wait_until(answers, 60, "the agent answers")

    def end_agent_process(self, number: int = signal.SIGTERM) -> int:
        """Signal the agent's process and wait for its end; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process = None
        return code

    # States

    def state_now(self) -> DesiredState:
        """Return the state that describes the host as it is, without any certificate."""
        listeners = self.client.observe()["listeners"]
        return DesiredState.from_dict(
            {
                "host_name": self.settings.host_name,
                "tls_profile": "intermediate",
                "listeners": listeners,
            }
        )

    def full_state(self) -> DesiredState:
        """Return a state with every service open and a certificate of its own making."""
        state = with_default(self.state_now(), make_material("base").certificate)
        return with_open(state, *SERVICES)

    def is_in_base_state(self) -> bool:
        """Tell whether applying the base state would change nothing."""
        return not self.plan(self.base).files

    # Deeds

    def plan(self, state: DesiredState) -> PlanReport:
        """Return what applying would change."""
        return self.client.plan(state)

    def apply(
        self,
        state: DesiredState,
        outcome: Outcome = Outcome.SUCCEEDED,
        *,
        deployment_id: str = "",
        on_step: Callable[[StepEvent], None] | None = None,
    ) -> ApplyReport:
        """Plan and apply; it must end as expected. What was told is in :attr:`told`."""
        plan = self.plan(state)
        self.told = told = []

        def tell(event: StepEvent) -> None:
            told.append(event)
            if on_step:
                on_step(event)

        report = self.client.apply(
            state,
            digest=plan.digest,
            deployment_id=deployment_id or f"d{next(self._numbers)}",
            on_step=tell,
        )
        assert report.outcome is outcome, (report.problem, [step.code for step in report.steps])
        return report

    @staticmethod
    def edit(path: Path, text: str) -> None:
        """Write a file by hand, some time ago: Postfix waits for one of this second to cool.

        As a good editor does it, by a rename: a daemon that starts this very moment would read
        half a file, and with Postfix's postlogd all that log into it would wait.
        """
        unfinished = path.with_name(f".{path.name}.edited")
        unfinished.write_text(text)
        if path.exists():
            shutil.copymode(path, unfinished)
            shutil.chown(unfinished, path.stat().st_uid, path.stat().st_gid)
        moment = time.time() - 60
        os.utime(unfinished, (moment, moment))
        unfinished.replace(path)

    # What is there

    def port(self, service: str) -> int:
        """Return the port of a service on the plain sandbox."""
        return int(self.settings.ports[service])

    def leaf(self, service: str, sni_name: str = "") -> str:
        """Return the SHA-256 of the leaf that openssl is shown; empty if there is none."""
        return wire.shown_leaf(self.address, self.port(service), service, sni_name)

    def leaves(self, sni_name: str = "") -> dict[str, str]:
        """Return the leaf of every port."""
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            leaves = pool.map(lambda service: self.leaf(service, sni_name), SERVICES)
            return dict(zip(SERVICES, leaves, strict=True))

    def is_open(self, service: str) -> bool:
        """Tell whether the service's port accepts connections."""
        return not wire.is_refused(self.address, self.port(service))

    def files(self) -> dict[str, FileFacts | str]:
        """Return every file of both daemons (bytes, mode, owner), and where ``live`` points."""
        found: dict[str, FileFacts | str] = {}
        for folder in (self.main_cf.parent, self.sandbox.dovecot_config.parent):
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    facts = path.stat()
                    kept = (path.read_bytes(), facts.st_mode, facts.st_uid, facts.st_gid)
                    found[str(path)] = kept
        live = self.config.state_dir / "live"
        found["live"] = str(live.readlink()) if live.is_symlink() else "none"
        return found

    def moments(self) -> dict[str, int]:
        """Return when every file of both daemons was written, in nanoseconds."""
        return {
            str(path): path.stat().st_mtime_ns
            for folder in (self.main_cf.parent, self.sandbox.dovecot_config.parent)
            for path in folder.rglob("*")
        }

    def generations(self) -> list[str]:
        """Return the folders of keys on the disk."""
        return sorted(path.name for path in (self.config.state_dir / "generations").iterdir())

    def masters(self) -> tuple[int | None, int | None]:
        """Return the process numbers of both masters, as the pid files give them."""
        return self.agent.host.postfix.master_pid(), self.agent.host.dovecot.master_pid()

    def count_reloads(self) -> tuple[int, int]:
        """Return how often each daemon has been told to reload, as their logs say."""
        self._let_postfix_log_settle()
        postfix = self.sandbox.postfix_log.read_text(errors="replace")
        dovecot = self.sandbox.dovecot_log.read_text(errors="replace")
        return postfix.count(": reload -- "), dovecot.count("SIGHUP received")

    def _let_postfix_log_settle(self) -> None:
        """Wait until the log tells of all that was done so far.

        The master reads its files, and says so, when it gets to it; and all write into the log
        through postlogd, which takes one line after the other.
        """
        log, marker = self.sandbox.postfix_log, f"settled {next(self._numbers)} {time.monotonic()}"
        words = ["-c", str(self.main_cf.parent), "-t", "mailadmin-test", marker]
        # It writes nothing where main.cf is broken, or the master dead: then nothing is to come.
        if run_program("postlog", words).returncode or not self.sandbox.is_postfix_running():
            return
        wire.wait_until(lambda: marker in log.read_text(errors="replace"), 60, "the log settles")

        def is_told() -> bool:
            life = log.read_text(errors="replace").rpartition("daemon started --")[2]
            return life.count(": refreshing the Postfix mail system") <= life.count(": reload -- ")

        # Two that came at once may have become one, and this waits in vain.
        deadline = time.monotonic() + 3
        while not is_told() and time.monotonic() < deadline:
            time.sleep(0.02)

    def reload_postfix(self) -> None:
        """Let it follow files edited by hand, and wait until nobody is left who read the old."""
        old = find_named(self.sandbox, "smtpd").values()
        self.agent.host.postfix.reload()
        wire.wait_until(lambda: not any(map(is_alive, old)), 60, "the old smtpd end")

    @property
    def has_journal(self) -> bool:
        """Tell whether an apply is noted as under way."""
        return (self.config.state_dir / "journal.json").exists()


def _is_deaf(socket_path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as trial:
        try:
            trial.connect(str(socket_path))
        except OSError:
            return True
    return False
