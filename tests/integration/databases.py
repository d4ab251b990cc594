"""The two databases the panel runs on, for the tests: empty ones, and many who write at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from mailadmin.sandbox import paths

_OWNER = "postgres"
# An application's role as an administrator would make it; the databases are its own.
ROLE = "panel"
_START_LIMIT = 30.0
# Nothing here has to survive a power cut.
_FAST = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "log_min_messages": "warning",
}


# PostgreSQL


@dataclass(slots=True)
class PostgresqlServer:
    """A server that only this machine can reach, by the socket in its folder."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it over what its folder holds, and wait until it answers."""
        settings = _FAST | {"unix_socket_directories": str(self.folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                _as_owner(_find_programs() / "postgres", "-D", self.folder / "data", *options),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        _wait_until_it_answers(self.process, self.folder)

    def stop(self) -> None:
        """End it, and every connection with it."""
        if self.process is None:
            return
        # Its "fast" way to stop: connections that are left are closed.
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def create_database(self, name: str) -> str:
        """Create an empty database and return its DATABASE_URL."""
        with self.connect("postgres", user=_OWNER) as connection:
            connection.execute(f'CREATE DATABASE "{name}" OWNER {ROLE} TEMPLATE template0')
        return f"postgresql://{ROLE}@{quote(str(self.folder), safe='')}/{name}"

    def connect(self, database: str, user: str = ROLE) -> psycopg.Connection[tuple[Any, ...]]:
        """Open a connection of our own, beside those of the panel."""
        return psycopg.connect(
            host=str(self.folder), dbname=database, user=user, autocommit=True, connect_timeout=5
        )

    def drop_connections(self, database: str) -> None:
        """Cut off everybody who is connected to the database, as a restart of it would."""
        with self.connect("postgres", user=_OWNER) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [database],
            )

    def dump(self, database: str) -> bytes:
        """Return all that is stored in the database, as text."""
        return subprocess.run(
            [_find_programs() / "pg_dump", "-h", self.folder, "-U", ROLE, database],
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout


@contextmanager
def run_postgresql() -> Iterator[PostgresqlServer]:
    """Start Debian's PostgreSQL in a new folder, and leave nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="ma-pg-", dir="/tmp"))
    server = PostgresqlServer(folder)
    try:
        shutil.chown(folder, _OWNER, _OWNER)
        _create_cluster(_find_programs(), folder)
        server.start()
        with server.connect("postgres", user=_OWNER) as connection:
            connection.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _find_programs() -> Path:
    """Return the folder of the newest PostgreSQL; Debian has one for each version."""
    found = sorted(
        (path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()),
        key=lambda path: int(path.parent.name),
    )
    if not found:
        pytest.fail("PostgreSQL is not installed: run bin/bootstrap --tests")
    return found[-1]


def _as_owner(*command: str | Path) -> list[str]:
    """PostgreSQL refuses to run as root; it ends with us, also when we are killed."""
    switch = ["setpriv", "--reuid", _OWNER, "--regid", _OWNER, "--clear-groups"]
    return [*switch, "--pdeathsig", "INT", *map(str, command)]


def _create_cluster(programs: Path, folder: Path) -> None:
    # ICU sorts as people do, which no test may rely on, and SQLite does not.
    language = ["--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US"]
    options = ["--auth", "trust", "--no-sync", "--encoding", "UTF8"]
    done = subprocess.run(
        _as_owner(programs / "initdb", "-D", folder / "data", "-U", _OWNER, *options, *language),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _wait_until_it_answers(server: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _START_LIMIT
    while True:
        try:
            PostgresqlServer(folder).connect("postgres", user=_OWNER).close()
        except psycopg.OperationalError:
            said = (folder / "log").read_text(errors="replace")
            assert server.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        else:
            return


# Either of the two


@dataclass(frozen=True, slots=True)
class Database:
    """A database of the panel, its tables made, and how programs are told to use it."""

    name: str
    environment: Mapping[str, str]

    def manage(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a management command with the project's own settings, to its end."""
        return run_manage(self.environment, *arguments, given=given)

    @contextmanager
    def rushers(self, count: int = 2) -> Iterator[Rushers]:
        """Start processes that can write to the database at once."""
        with ExitStack() as stack:
            yield Rushers([stack.enter_context(_rusher(self.environment)) for _ in range(count)])


@contextmanager
def make_database(name: str, url: str = "") -> Iterator[Database]:
    """Make the tables in the empty database, by default SQLite's, as the first start does."""
    folder = Path(tempfile.mkdtemp(prefix="ma-db-", dir="/tmp"))
    try:
        environment = panel_environment(folder, url)
        done = run_manage(environment, "migrate", "--no-input", "--verbosity", "0")
        assert done.returncode == 0, done.stderr
        yield Database(name, environment)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def panel_environment(folder: Path, url: str = "") -> dict[str, str]:
    """Return the environment of a panel with its state in the folder, but for the database."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DJANGO", "MAILADMIN", "PYTEST", "DATABASE"))
    }
    told = {"MAILADMIN_VAR": str(folder), "MAILADMIN_LOG_LEVEL": "ERROR"}
    told |= {"DJANGO_SETTINGS_MODULE": "mailadmin.settings", "MAILADMIN_BROKER_URL": "memory://"}
    return kept | told | ({"DATABASE_URL": url} if url else {})


def run_manage(
    environment: Mapping[str, str], *arguments: str, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a management command to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=paths.project_dir(),
        env=dict(environment),
        input=given,
        capture_output=True,
        text=True,
        timeout=90,
    )


# Many at once


class Rushers:
    """Processes with the panel loaded, each of which does a job in several threads at once."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self.processes = processes

    def do(self, job: str, *, threads: int = 4, **arguments: Any) -> list[Any]:
        """Do the job in every thread of every process at once; returns what each one returned.

        An exception in a thread is its result: ``{"error": "..."}``. Threads are told their
        number, from 0 on over all processes.
        """
        for position, process in enumerate(self.processes):
            order = {"job": job, "threads": threads, "first": position * threads}
            self._tell(process, order | {"arguments": arguments})
        assert [self._hear(process) for process in self.processes] == ["ready"] * len(
            self.processes
        )
        for process in self.processes:
            self._tell(process, "go")
        return [result for process in self.processes for result in self._hear(process)]

    def do_once(self, job: str, **arguments: Any) -> Any:
        """Do the job in one thread of one process; an exception there is one here."""
        result = Rushers(self.processes[:1]).do(job, threads=1, **arguments)[0]
        assert not (isinstance(result, dict) and "error" in result), result
        return result

    @staticmethod
    def _tell(process: subprocess.Popen[str], message: object) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()

    @staticmethod
    def _hear(process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "a process died; what it said is on stderr"
        return json.loads(line)


@contextmanager
def _rusher(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.rush"],
        cwd=paths.project_dir(),
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.communicate(timeout=60)
