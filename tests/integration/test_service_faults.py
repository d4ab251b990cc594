"""What the panel stands on fails in mid-deployment: a daemon, the queue, the database, the logs.

One stack for all. Each ends in the old state or the new one, asked of the sockets.
"""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mailadmin.sandbox import paths
from tests.integration import mail_clients
from tests.stacks import USERNAME, RunningStack, run_stack, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("stack"),
]
REVIEW = "deployments/review/"
ENDED = {"succeeded", "rolled_back", "failed"}


class Browser:
    """One person at the panel, with a session of their own."""

    def __init__(self, panel: RunningStack, username: str, password: str) -> None:
        self._url = panel.url
        self._jar = http.cookiejar.CookieJar()
        cookies = urllib.request.HTTPCookieProcessor(self._jar)
        self._opener = urllib.request.build_opener(cookies)
        login, _ = self._open(self._url)
        address, page = self.send(login, login=username, password=password)
        assert "login" not in address, page

    def read(self, path: str) -> str:
        return self._open(self._url + path)[1]

    def send(self, path: str, **fields: str) -> tuple[str, str]:
        """Submit a form; returns the address it leads to, and the page there."""
        token = next(cookie.value for cookie in self._jar if cookie.name.endswith("csrftoken"))
        body = urllib.parse.urlencode({"csrfmiddlewaretoken": token or "", **fields}).encode()
        return self._open(urllib.parse.urljoin(self._url, path), body)

    def want(self, service: str, *, is_open: bool) -> None:
        self.send(f"listeners/{service}/switch/", is_enabled=str(int(is_open)))

    def try_to_want(self, service: str, *, is_open: bool) -> tuple[int, str]:
        """Return how that was refused: the status and the page."""
        try:
            self.want(service, is_open=is_open)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        raise AssertionError("it was saved")

    def look(self) -> dict[str, str]:
        """Return what the Apply button sends, or nothing while there is none."""
        form = re.search(r'<form[^>]*review/apply/".*?</form>', self.read(REVIEW), re.DOTALL)
        return dict(re.findall(r'name="(plan|digest)" value="(\w+)"', form[0] if form else ""))

    def review(self) -> dict[str, str]:
        """Wait for the plan; returns what its Apply button sends."""
        wait_until(lambda: bool(self.look()), what="the plan")
        return self.look()

    def press_apply(self, fields: dict[str, str]) -> tuple[int | None, str]:
        """Return the number of the deployment it leads to, if any, and the page."""
        address, page = self.send(f"{REVIEW}apply/", **fields)
        number = re.search(r"/deployments/(\d+)/$", address)
        return (int(number[1]) if number else None), page

    def _open(self, url: str, body: bytes | None = None) -> tuple[str, str]:
        with self._opener.open(url, body, timeout=45) as answer:
            return answer.url, answer.read().decode()


@pytest.fixture(scope="module")
def panel() -> Iterator[RunningStack]:
    with run_stack() as running:
        yield running


@pytest.fixture(scope="module")
def browser(panel: RunningStack) -> Browser:
    return Browser(panel, USERNAME, panel.password)


def query(panel: RunningStack, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask the panel's database behind its back."""
    address = f"file:{panel.stack.var / 'db.sqlite3'}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        return connection.execute(sql, values).fetchall()


def status(panel: RunningStack, number: int) -> str:
    sql = "SELECT status FROM deployments_deployment WHERE number = ?"
    return str(query(panel, sql, number)[0][0])


def end(panel: RunningStack, number: int, seconds: float = 40) -> str:
    """Wait until the deployment ended, and check that it was closed once; returns how."""
    wait_until(
        lambda: status(panel, number) in ENDED, what=f"the end of #{number}", seconds=seconds
    )
    verbs = [
        verb
        for (verb,) in query(
            panel,
            "SELECT verb FROM audit_auditevent WHERE object_type = 'deployment' AND object_id = ?",
            str(number),
        )
    ]
    ends = [verb for verb in verbs if verb.removeprefix("deployment.") in ENDED]
    assert ends == [f"deployment.{status(panel, number)}"]
    return status(panel, number)


def wanted(panel: RunningStack) -> list[tuple[Any, ...]]:
    return query(panel, "SELECT service, is_enabled FROM listeners_listener ORDER BY service")


def is_open(panel: RunningStack, service: str) -> bool:
    settings = panel.sandbox.settings
    return mail_clients.is_open(settings.address, settings.ports[service])


def journal(panel: RunningStack) -> Path:
    return panel.stack.var / "agent" / "state" / "journal.json"


def ask_redis(panel: RunningStack, command: str) -> str:
    """Return the first line of what Redis answers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(paths.redis_socket(panel.stack.run)))
        client.sendall(f"{command}\r\n".encode())
        return client.recv(200).decode().splitlines()[0]


def lose_the_queue(panel: RunningStack) -> None:
    """Empty Redis and kill it, and wait until another one answers."""
    redis = panel.stack.programs["redis"]
    pid = redis.pid
    assert pid is not None
    assert ask_redis(panel, "FLUSHALL SYNC") == "+OK"
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: redis.pid != pid and redis.is_ready(), what="another Redis")
    assert redis.pid != pid


@contextmanager
def without_worker(panel: RunningStack) -> Iterator[None]:
    """Kill the worker, which the queue then waits for, and start another one at the end."""
    panel.stack.is_supervised = False
    panel.stack.programs["worker"].kill()
    try:
        yield
    finally:
        panel.stack.is_supervised = True
        wait_until(panel.stack.programs["worker"].is_running, what="another worker")


# Redis


def test_the_queue_is_lost_while_a_deployment_waits_and_while_one_runs(
    panel: RunningStack, browser: Browser
) -> None:
    was_open = is_open(panel, "sieve")
    browser.want("sieve", is_open=not was_open)
    fields = browser.review()
    with without_worker(panel):
        number, page = browser.press_apply(fields)
        assert number is not None, page
        assert ask_redis(panel, "LLEN celery") != ":0"
        redis = panel.stack.programs["redis"].pid
        assert ask_redis(panel, "FLUSHALL SYNC") == "+OK"
        assert redis is not None
        os.kill(redis, signal.SIGKILL)
    wait_until(panel.stack.programs["redis"].is_ready, what="another Redis")
    assert status(panel, number) == "queued"
    # Only the beat knows of it now.
    wait_until(journal(panel).exists, what="the journal", seconds=60)
    lose_the_queue(panel)
    assert end(panel, number) == "succeeded"
    assert is_open(panel, "sieve") is not was_open
    asked = "SELECT count(*) FROM deployments_deploymentstep AS s JOIN deployments_deployment AS d"
    asked += " ON d.id = s.deployment_id WHERE d.number = ? AND s.code = 'swapped'"
    assert query(panel, asked, number) == [(1,)]


# The database


def test_the_database_is_locked_for_longer_than_anybody_waits_in_mid_deployment(
    panel: RunningStack, browser: Browser
) -> None:
    was_open = is_open(panel, "pop3s")
    browser.want("pop3s", is_open=not was_open)
    fields = browser.review()
    other = Browser(panel, USERNAME, panel.password)
    holder = sqlite3.connect(panel.stack.var / "db.sqlite3", timeout=10, isolation_level=None)
    with closing(holder):
        number, page = browser.press_apply(fields)
        assert number is not None, page
        wait_until(journal(panel).exists, what="the journal")
        before = wanted(panel)
        holder.execute("BEGIN EXCLUSIVE")
        # Whoever saves meanwhile waits, and is told when that was too long; whoever reads does not.
        with ThreadPoolExecutor(1) as pool:
            saving = pool.submit(other.try_to_want, "sieve", is_open=not is_open(panel, "sieve"))
            wait_until(lambda: not journal(panel).exists(), what="the agent to be done")
            assert f"#{number}" in browser.read(f"deployments/{number}/")
            assert status(panel, number) == "running"
            code, page = saving.result(timeout=40)
            assert code == 503
            assert "kept the database locked for too long" in page
            assert "What you just asked for was not saved." in page
            assert status(panel, number) == "running"
            holder.execute("ROLLBACK")
    assert end(panel, number) == "succeeded"
    assert is_open(panel, "pop3s") is not was_open
    assert wanted(panel) == before, "what could not be saved is not wanted"


# The logs


def test_a_log_that_cannot_be_read_is_told_and_forbids_nothing(
    panel: RunningStack, browser: Browser
) -> None:
    service = next(name for name in ("submission", "smtp") if is_open(panel, name))
    log = panel.sandbox.dovecot_log
    kept = log.with_name("kept")
    browser.want(service, is_open=False)
    log.rename(kept)
    try:
        # A regular file whose reading fails, for root too. Dovecot itself writes to the old one.
        log.symlink_to("/proc/self/mem")
        fields = browser.review()
        sentence = f"{log} could not be read to its end"
        wait_until(lambda: sentence in browser.read(REVIEW), what="what is said of the log")
        number, page = browser.press_apply(fields)
        assert number is not None, page
        assert end(panel, number) == "succeeded"
    finally:
        kept.replace(log)
    assert not is_open(panel, service)


# Two at once


def test_two_people_apply_at_once_and_neither_change_is_lost(
    panel: RunningStack, browser: Browser
) -> None:
    password = "lamp-oil-and-wicks-26"
    made = subprocess.run(
        [
            sys.executable,
            "manage.py",
            "user_create",
            "ada",
            "--role",
            "administrator",
            "--password-stdin",
        ],
        cwd=paths.project_dir(),
        env=panel.environment(),
        input=password,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr
    people = {"imap": browser, "submissions": Browser(panel, "ada", password)}
    wanted = {service: not is_open(panel, service) for service in people}
    (last,) = query(panel, "SELECT max(number) FROM deployments_deployment")[0]
    together = threading.Barrier(len(people))

    def change(service: str) -> None:
        """Want it and press Apply, again where that is refused, until it is served."""
        together.wait(10)
        people[service].want(service, is_open=wanted[service])

        def is_served() -> bool:
            fields = people[service].look()
            if fields:
                people[service].press_apply(fields)
            return is_open(panel, service) is wanted[service]

        wait_until(is_served, what=f"{service} to be as wanted", seconds=45)

    with ThreadPoolExecutor(len(people)) as pool:
        list(pool.map(change, people))
    sql = (
        "SELECT number, started_at, finished_at, changes FROM deployments_deployment"
        " WHERE number > ? ORDER BY number"
    )
    numbers = [number for number, *_ in query(panel, sql, last)]
    assert len(numbers) in {1, 2}
    assert [end(panel, number) for number in numbers] == ["succeeded"] * len(numbers)
    rows = query(panel, sql, last)
    assert all(earlier[2] <= later[1] for earlier, later in pairwise(rows)), "one after the other"
    changed = [change["subject"] for row in rows for change in json.loads(row[3])]
    assert sorted(changed) == sorted(people)
    assert {service: is_open(panel, service) for service in people} == wanted
    saved = "SELECT actor_name FROM audit_auditevent WHERE object_type = 'listener'"
    saved += " AND object_id = ? ORDER BY id DESC LIMIT 1"
    assert query(panel, saved, "imap") == [(USERNAME,)]
    assert query(panel, saved, "submissions") == [("ada",)]
