"""All programs of the product on one machine, started, watched and ended together."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import psutil

from mailadmin.demo import readiness
from mailadmin.demo.authority import ChallengeDns, Pebble
from mailadmin.demo.errors import DemoError
from mailadmin.demo.files import write_agent_config, write_private_file, write_redis_config
from mailadmin.demo.logbook import Logbook
from mailadmin.demo.programs import Program, is_same_process, kill_process, list_session
from mailadmin.sandbox import Sandbox, SandboxError, paths
from mailadmin.sandbox.end_request import EndRequest

# The first four serve the others, and end after them.
SERVING = ("mail", "redis", "dns", "pebble")
WORKING = ("agent", "worker", "web")
ALL_PROGRAMS = (*SERVING, *WORKING)

_PYTHON = (sys.executable, "-m")
_WORKER = (
    *(*_PYTHON, "celery", "--quiet", "-A", "mailadmin.celery", "worker", "--beat"),
    *("--concurrency", "2", "--loglevel", "INFO", "--hostname", "demo@localhost"),
    # One worker alone has nobody to gossip or to compare clocks with.
    *("--without-gossip", "--without-mingle"),
)
_WEB = (
    *(*_PYTHON, "gunicorn", "mailadmin.wsgi:application", "--preload"),
    *("--worker-class", "gthread", "--workers", "2", "--threads", "4"),
    *("--graceful-timeout", "2", "--no-control-socket"),
)

_READY_LIMIT = 60.0  # seconds
_LOOK_EVERY = 0.05  # seconds
_WORKING_PATIENCE = 2.6  # seconds to end by themselves; both together stay below five
_SERVING_PATIENCE = 1.2


class Stack:
    """The programs of one demo, with its state in ``var`` and its sockets in ``run``.

    ``wanted`` leaves programs out; with ``is_supervised`` off a program that dies stays dead,
    so that a test can look. Setting ``asked_to_end`` makes a start that is under way give up.
    ``say`` gets a sentence for each thing worth telling a person.
    """

    def __init__(
        self,
        var: Path,
        run: Path | None = None,
        panel_port: int = 8000,
        *,
        wanted: Collection[str] = ALL_PROGRAMS,
        is_supervised: bool = True,
        asked_to_end: EndRequest | None = None,
        say: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self.var = var
        self.run = run or paths.run_dir(var)
        self.panel_port = panel_port
        self.is_supervised = is_supervised
        self._wanted = [name for name in ALL_PROGRAMS if name in wanted]
        self._say = say
        self._prepare_folders()
        self.logbook = Logbook(var / "log" / "mailadmin.log")
        self.sandbox = self._create_sandbox()
        self.dns = ChallengeDns(
            var / "authority" / "dns",
            self.logbook,
            default_address=self.sandbox.settings.address,
        )
        self.pebble = Pebble(var / "authority" / "pebble", self.logbook, self.dns.address)
        self.programs = {name: self._build_program(name) for name in self._wanted}
        self._asked_to_end = asked_to_end or EndRequest()
        self._is_stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        # Held while programs are started or ended, so that a stop misses none.
        self._lock = threading.Lock()

    @property
    def panel_url(self) -> str:
        """Address of the panel."""
        return f"http://127.0.0.1:{self.panel_port}/"

    @property
    def agent_config(self) -> Path:
        """The agent's configuration file."""
        return self.var / "agent" / "agent.json"

    def environment(self) -> dict[str, str]:
        """Return the environment in which manage.py and all programs run."""
        return {
            **os.environ,
            "MAILADMIN_VAR": str(self.var),
            "MAILADMIN_RUN": str(self.run),
            "DJANGO_SETTINGS_MODULE": "mailadmin.settings",
            # Notices come through the demo's own mail server, for the mailbox that lives there.
            "MAILADMIN_SMTP_HOST": self.sandbox.settings.address,
            "MAILADMIN_SMTP_PORT": str(self.sandbox.settings.ports["smtp"]),
            "MAILADMIN_MAIL_FROM": f"mailadmin@{self.sandbox.settings.host_name}",
            "MAILADMIN_URL": self.panel_url,
            # The test authority and its DNS live on loopback, and ask on a port of their own.
            "MAILADMIN_DNS_RESOLVERS": self.dns.address,
            "MAILADMIN_ACME_HTTP_PORT": str(self.pebble.http_port),
            "MAILADMIN_ACME_PRIVATE": "1",
            "PYTHONUNBUFFERED": "1",
            # The agent answers root alone, so here the worker has to be root; Celery minds.
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        }

    def start(self, prepare: Callable[[], None] | None = None) -> None:
        """Start all programs and return when they are ready; then watch over them.

        ``prepare`` is called between the agent, which it may ask, and the panel, which relies on
        it. Without it everything starts at once. Raises DemoError when a program cannot be
        started; nothing is left running then.
        """
        try:
            self._start_in_order(prepare)
        except BaseException:
            self.stop()
            raise
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._watcher.start()

    def _start_in_order(self, prepare: Callable[[], None] | None) -> None:
        self.end_leftovers()
        write_redis_config(self.var / "redis", paths.redis_socket(self.run))
        write_agent_config(
            self.agent_config,
            self.sandbox,
            paths.agent_socket(self.run),
            self.var / "agent",
            http_port=self.pebble.http_port,
        )
        self._start_programs(SERVING)
        if prepare is None:
            self._start_programs(["web"])
        self._wait_until_ready(["mail", "redis"])
        self._start_programs(["agent"])
        if prepare is None:
            self._start_programs(["worker"])
        else:
            self._wait_until_ready(["agent"])
            prepare()
            self._start_programs(["worker", "web"])
        self._wait_until_ready(ALL_PROGRAMS)

    def stop(self) -> None:
        """End all programs, in order, and make sure that nothing of them is left."""
        self._is_stopping.set()
        with self._lock:
            self._end_programs(WORKING, _WORKING_PATIENCE)
            self._end_programs(SERVING, _SERVING_PATIENCE)
            self.sandbox.stop()
            self._sessions_file.unlink(missing_ok=True)
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(timeout=2)
        self.logbook.close()

    def restart(self, name: str) -> None:
        """Start a program that is not running, and wait until it is ready."""
        self._start_programs([name])
        self._wait_until_ready([name])

    @property
    def is_ending(self) -> bool:
        """Say whether the stack was asked to end, or ends."""
        return self._asked_to_end.is_set() or self._is_stopping.is_set()

    # Making ready

    def _prepare_folders(self) -> None:
        # The mail server's own users pass through; what is private has mode 0600 or 0700.
        paths.make_open_folder(self.var)
        for folder in ("log", "redis", "agent", "secrets", "worker", "authority"):
            (self.var / folder).mkdir(mode=0o700, exist_ok=True)
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _create_sandbox(self) -> Sandbox:
        root = paths.mail_root(self.var)
        try:
            sandbox = Sandbox.create(root)
        except SandboxError as error:
            raise DemoError(str(error)) from error
        link = self.var / "mail"
        if root != link and not link.is_symlink():
            link.symlink_to(root)
        return sandbox

    def _build_program(self, name: str) -> Program:
        if name in {"dns", "pebble"}:
            return self.dns.program if name == "dns" else self.pebble.program
        command, is_ready = self._describe(name)
        return Program(
            name,
            command,
            environment=self.environment(),
            folder=paths.project_dir(),
            logbook=self.logbook,
            is_ready=is_ready,
            # Everything but the mail server, which has users of its own, works as root alone.
            umask=0o022 if name == "mail" else 0o077,
        )

    def _describe(self, name: str) -> tuple[list[str], Callable[[], bool]]:
        """Return a program's command line and the question whether it does its work."""
        agent_socket, redis_socket = paths.agent_socket(self.run), paths.redis_socket(self.run)
        described: Mapping[str, tuple[list[str], Callable[[], bool]]] = {
            "mail": (
                [
                    *(*_PYTHON, "mailadmin.sandbox", str(self.sandbox.settings.root)),
                    *("--end-with", str(os.getpid())),
                ],
                lambda: self.sandbox.is_postfix_running() and self.sandbox.is_dovecot_running(),
            ),
            "redis": (
                ["/usr/bin/redis-server", str(self.var / "redis" / "redis.conf")],
                lambda: readiness.answers_redis_ping(redis_socket),
            ),
            "agent": (
                [*_PYTHON, "mailadmin.agent", "--config", str(self.agent_config)],
                lambda: readiness.accepts_connections(agent_socket),
            ),
            "worker": (
                [*_WORKER, "--schedule", str(self.var / "worker" / "beat-schedule")],
                lambda: readiness.answers_worker_ping(redis_socket),
            ),
            "web": (
                [*_WEB, "--bind", f"127.0.0.1:{self.panel_port}"],
                lambda: readiness.answers_http(self.panel_url),
            ),
        }
        return described[name]

    # Starting

    def _start_programs(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.programs:
                continue
            with self._lock:
                if self.is_ending:
                    raise DemoError("The start was given up, as asked.")
                self.programs[name].start()
                self._record_sessions()

    def _wait_until_ready(self, names: Collection[str]) -> None:
        deadline = time.monotonic() + _READY_LIMIT
        waiting = [name for name in names if name in self.programs]
        while waiting:
            if self.is_ending:
                raise DemoError("The start was given up, as asked.")
            self._refuse_dead(waiting)
            waiting = [name for name in waiting if not self.programs[name].is_ready()]
            if waiting and time.monotonic() > deadline:
                raise DemoError(
                    f"{' and '.join(waiting)} did not become ready within {_READY_LIMIT:.0f} "
                    f"seconds. The log says why: {self.logbook.path}"
                )
            if waiting:
                time.sleep(_LOOK_EVERY)

    def _refuse_dead(self, names: Collection[str]) -> None:
        for name in names:
            program = self.programs[name]
            if not program.is_running():
                raise DemoError(
                    f"{name} ended while it was started (exit code {program.exit_code}). "
                    f"It said:\n{program.last_words()}\nThe whole log is {self.logbook.path}"
                )

    # Watching

    def _watch(self) -> None:
        """Start again what died, each time a little later, until the stack ends."""
        due: dict[str, float] = {}
        while not self._is_stopping.wait(0.2):
            if not self.is_supervised:
                continue
            now = time.monotonic()
            for name, program in self.programs.items():
                if program.is_running():
                    due.pop(name, None)
                elif name not in due:
                    due[name] = now + program.backoff()
                    self._tell(name, f"ended unexpectedly (exit code {program.exit_code})")
                elif now >= due[name]:
                    self._start_again(name)

    def _start_again(self, name: str) -> None:
        program = self.programs[name]
        # What the dead program started would be in the way of the new one.
        program.kill()
        try:
            self._start_programs([name])
        except DemoError:
            return
        program.restarts += 1
        self._tell(name, "was started again")

    def _tell(self, name: str, what: str) -> None:
        self.logbook.write("demo", f"{name} {what}")
        self._say(f"{name} {what}; see {self.logbook.path}")

    # Ending

    def _end_programs(self, names: Collection[str], patience: float) -> None:
        programs = [self.programs[name] for name in names if name in self.programs]
        for program in programs:
            program.ask_to_end()
        deadline = time.monotonic() + patience
        while True:
            programs = [program for program in programs if not program.has_ended()]
            if not programs or time.monotonic() > deadline:
                break
            time.sleep(_LOOK_EVERY)
        for program in programs:
            program.kill()

    @property
    def _sessions_file(self) -> Path:
        return self.run / "sessions.json"

    def _record_sessions(self) -> None:
        """Note which sessions run, for the next start should this supervisor be killed."""
        sessions = {
            program.pid: psutil.Process(program.pid).create_time()
            for program in self.programs.values()
            if program.pid is not None and program.is_running()
        }
        write_private_file(self._sessions_file, json.dumps(sessions))

    def end_leftovers(self) -> None:
        """End what an earlier demo, killed without a chance to do so, left running."""
        try:
            sessions = json.loads(self._sessions_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            sessions = {}
        for leader, started_at in sessions.items():
            for process in list_session(int(leader)):
                if is_same_process(process, int(leader), started_at) or self._is_ours(process):
                    kill_process(process)
        self.sandbox.stop()

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("MAILADMIN_VAR") == str(self.var)
        except psutil.Error:
            return False
