"""The panel on PostgreSQL: everything that SQLite does for it by default, done there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg.errors import RaiseException

from mailadmin.sandbox import paths
from tests.integration import mail_clients
from tests.integration.databases import (
    Database,
    PostgresqlServer,
    make_database,
    panel_environment,
    run_manage,
    run_postgresql,
)
from tests.integration.test_demo import log_in
from tests.stacks import USERNAME, RunningStack, run_stack, wait_until
from tests.throwaway_pki import ThrowawayCa

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
# Where tests read and write rows; those beside them that do not are left out (tests/conftest.py).
SUITES = (
    "tests/web",
    "tests/unit/acme",
    "tests/unit/certificates",
    "tests/unit/deployments",
    "tests/unit/listeners",
    "tests/unit/notifications",
)
# Of these, what is about uploads, files, sockets, roles or markup, and asks the database for
# nothing that the others do not ask as well. What is new is run until somebody puts it here.
ALIKE_ON_EVERY_DATABASE = (
    "tests/unit/acme/test_dns_writers.py",
    "tests/web/accounts/test_frame.py",
    "tests/web/acme/test_answering.py",
    "tests/web/certificates/test_completing.py",
    "tests/web/certificates/test_completing_stored.py",
    "tests/web/certificates/test_csr_commands.py",
    "tests/web/certificates/test_export.py",
    "tests/web/certificates/test_known_keys.py",
    "tests/web/certificates/test_permissions.py",
    "tests/web/certificates/test_secrecy.py",
    "tests/web/certificates/test_slow_uploads.py",
    "tests/web/certificates/test_upload.py",
    "tests/web/dashboard/test_frame.py",
)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    with run_postgresql() as running:
        yield running


@pytest.fixture(scope="module")
def database(server: PostgresqlServer) -> Iterator[Database]:
    """Yield a database that was migrated from nothing, with one person in it."""
    with make_database("postgresql", server.create_database("panel")) as made:
        done = made.manage(
            "user_create", "ada", "--role", "administrator", "--password-stdin", given="lamp-oil-26"
        )
        assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture
def connection(
    server: PostgresqlServer, database: Database
) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Yield a connection as the panel's own role, which nothing of Django guards."""
    with server.connect("panel") as opened:
        yield opened


def counts(connection: psycopg.Connection[tuple[object, ...]]) -> tuple[object, ...] | None:
    return connection.execute(
        "SELECT (SELECT count(*) FROM audit_auditevent), (SELECT count(*) FROM accounts_user)"
    ).fetchone()


def test_the_models_and_the_migrations_agree(database: Database) -> None:
    done = database.manage("makemigrations", "--check", "--dry-run")
    assert done.returncode == 0, done.stdout
    assert "No changes detected" in done.stdout


def test_the_system_check_finds_nothing(database: Database) -> None:
    done = database.manage("check", "--database", "default", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr


def test_a_person_is_created_with_an_event(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    row = connection.execute("SELECT username, role FROM accounts_user").fetchone()
    assert row == ("ada", "administrator")
    verb = connection.execute("SELECT verb, after->>'role' FROM audit_auditevent").fetchone()
    assert verb == ("user.created", "administrator")


def test_a_name_that_is_taken_is_refused_in_words(database: Database) -> None:
    done = database.manage("user_create", "ada", "--password-stdin", given="lamp-oil-27")
    assert done.returncode == 1
    assert "already exists" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditevent SET actor_name = 'eve'",
        "DELETE FROM audit_auditevent",
        "TRUNCATE audit_auditevent",
        "TRUNCATE accounts_user CASCADE",
    ],
)
def test_the_database_itself_keeps_the_audit_log(
    connection: psycopg.Connection[tuple[object, ...]], statement: LiteralString
) -> None:
    with pytest.raises(RaiseException, match="audit events are append-only"):
        connection.execute(statement)
    assert counts(connection) == (1, 1)


def test_the_audit_log_is_guarded_again_after_its_migration_went_back_and_forth(
    server: PostgresqlServer,
) -> None:
    with make_database("again", server.create_database("again")) as made:
        for target in ("0001", ""):
            done = made.manage("migrate", "audit", *filter(None, [target]), "--verbosity", "0")
            assert done.returncode == 0, done.stderr
        with server.connect("again") as connection:
            with pytest.raises(RaiseException):
                connection.execute("TRUNCATE audit_auditevent")
            kept = connection.execute("SELECT proname FROM pg_proc WHERE proname LIKE 'audit_%'")
            assert kept.fetchall() == [("audit_auditevent_refuse",)]


def test_the_shared_cache_counts_and_forgets(database: Database) -> None:
    code = (
        "from django.core.cache import cache; cache.set('seen', 1, 60); cache.incr('seen'); "
        "cache.set('old', 1, -1); print(cache.get('seen'), cache.get('old'), cache.add('seen', 5))"
    )
    done = database.manage("shell", "-v", "0", "-c", code)
    assert done.stdout.split() == ["2", "None", "False"], done.stderr


@pytest.mark.parametrize(
    "form",
    ["postgresql://panel@/panel?host={folder}", "postgres:///panel?user=panel&host={folder}"],
)
def test_a_socket_is_named_in_either_way(
    server: PostgresqlServer, database: Database, tmp_path: Path, form: str
) -> None:
    environment = panel_environment(tmp_path, form.format(folder=server.folder))
    done = run_manage(environment, "migrate", "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("option", ["sslmode=require", "sslmod=require"])
def test_an_option_is_never_ignored(
    server: PostgresqlServer, database: Database, tmp_path: Path, option: str
) -> None:
    url = f"postgresql://panel@127.0.0.1:1/panel?{option}&connect_timeout=2"
    done = run_manage(panel_environment(tmp_path, url), "migrate", "--check")
    assert done.returncode != 0
    is_known = option.startswith("sslmode")
    assert ("invalid connection option" in done.stderr) is not is_known


# Beside other tests it takes as long as they leave it. What hangs is ended sooner: each test in
# there has a limit of its own.
@pytest.mark.timeout(660)
def test_the_pages_and_services_work_as_on_sqlite(server: PostgresqlServer) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    environment["MAILADMIN_TEST_DATABASE_URL"] = server.create_database("suite")
    command = [sys.executable, "-m", "pytest", "-n", "0", "--tb=short", "--maxfail=5"]
    left_out = [f"--ignore={path}" for path in ALIKE_ON_EVERY_DATABASE]
    done = subprocess.run(
        [*command, *left_out, *SUITES],
        cwd=paths.project_dir(),
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    assert " passed" in done.stdout


def test_nothing_is_left_out_that_is_gone() -> None:
    left = [path for path in ALIKE_ON_EVERY_DATABASE if not (paths.project_dir() / path).is_file()]
    assert left == []


@pytest.mark.timeout(240)
@pytest.mark.xdist_group("stack")
def test_the_main_job_is_done_and_outlives_a_loss_of_every_connection(
    server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", server.create_database("stack"))
    with run_stack() as panel:
        fingerprint = import_certificate(panel, tmp_path)
        for command in (["certificate_assign", fingerprint, "--default"], ["apply", "--wait"]):
            done = panel.manage(*command)
            assert done.returncode == 0, done.stderr
        card = {"url": panel.url, "username": USERNAME, "password": panel.password}
        for _ in range(4):  # so that more than one thread of the web server is connected
            log_in(card)
        server.drop_connections("stack")
        served = {row["service"]: row["served"] for row in panel.status()["listeners"]}
        assert served["imaps"]["fingerprint"] == fingerprint
        assert "imaps" in log_in(card)
    assert b"PRIVATE KEY" not in server.dump("stack")


@pytest.mark.timeout(240)
@pytest.mark.xdist_group("stack")
def test_a_server_that_is_gone_in_mid_deployment_leaves_a_true_end(
    server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone during the apply and back after it: once with the same worker, once with the next."""
    monkeypatch.setenv("DATABASE_URL", server.create_database("gone"))
    with run_stack() as panel:
        journal = panel.stack.var / "agent" / "state" / "journal.json"
        for number, service in enumerate(("sieve", "pop3s"), start=1):
            done = panel.manage("listener", service, "--disable")
            assert done.returncode == 0, done.stderr
            with panel.start_command("apply") as asking:
                wait_until(journal.exists, what="the journal", seconds=60)
                server.stop()
                wait_until(lambda: not journal.exists(), what="the agent to be done")
                assert not is_open(panel, service)
                if number == 2:
                    panel.stack.programs["worker"].kill()
                tell_that_the_database_is_away(panel)
                server.start()
                asking.wait(60)
            wait_for_the_end(server, number)
            assert how_it_ended(server, number) == [("succeeded", "deployment.succeeded")]
            assert not is_open(panel, service)


def is_open(panel: RunningStack, service: str) -> bool:
    settings = panel.sandbox.settings
    return mail_clients.is_open(settings.address, settings.ports[service])


def tell_that_the_database_is_away(panel: RunningStack) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        log_in({"url": panel.url, "username": USERNAME, "password": panel.password})
    assert raised.value.code == 503
    assert "The panel cannot reach its database" in raised.value.read().decode()


def how_it_ended(server: PostgresqlServer, number: int) -> list[tuple[object, ...]]:
    """Return the status of the deployment, beside each event that says that it is over."""
    with server.connect("gone") as connection:
        return connection.execute(
            "SELECT d.status, e.verb FROM deployments_deployment AS d"
            " LEFT JOIN audit_auditevent AS e ON e.object_type = 'deployment'"
            " AND e.object_id = d.number::text AND e.verb IN"
            " ('deployment.succeeded', 'deployment.rolled_back', 'deployment.failed')"
            " WHERE d.number = %s",
            [number],
        ).fetchall()


def wait_for_the_end(server: PostgresqlServer, number: int) -> None:
    def is_over() -> bool:
        return any(verb for _, verb in how_it_ended(server, number))

    wait_until(is_over, what=f"the end of #{number}", seconds=60)


def import_certificate(panel: RunningStack, folder: Path) -> str:
    """Store a certificate with its key from the command line; returns its fingerprint."""
    issued = ThrowawayCa("PostgreSQL Root").issue(["mail.example.test"])
    (folder / "chain.pem").write_bytes(issued.fullchain_pem)
    (folder / "key.pem").write_bytes(issued.key_pem)
    files = [str(folder / "chain.pem"), "--key", str(folder / "key.pem")]
    done = panel.manage("certificate_import", *files)
    assert done.returncode == 0, done.stderr
    found = re.search(r"\b[0-9a-f]{64}\b", done.stdout)
    assert found, done.stdout
    return found[0]
