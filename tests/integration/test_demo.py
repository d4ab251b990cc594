"""The demo starts whole, says where it is, and ends without leaving anything."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from mailadmin.demo import stack
from mailadmin.demo.authority.ports import find_free_port
from mailadmin.demo.password import load_or_create_password
from mailadmin.demo.programs import list_session
from mailadmin.demo.readiness import answers_http
from mailadmin.sandbox import paths
from tests.integration import mail_clients
from tests.stacks import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

_START_LIMIT = 90.0  # seconds, on a busy machine
_END_LIMIT = 15.0  # seconds, on a busy machine
_PROMISED_END = 5.0  # seconds, on one of its own


@dataclass
class RunningDemo:
    """One ``python -m mailadmin.demo``, started as make starts it."""

    var: Path
    port: int
    supervisor: subprocess.Popen[str]

    @property
    def card(self) -> Path:
        return self.var / "run.json"

    @property
    def log(self) -> Path:
        return self.var / "log" / "mailadmin.log"

    def wait_for_card(self) -> dict[str, Any]:
        deadline = time.monotonic() + _START_LIMIT
        while not self.card.exists():
            if self.supervisor.poll() is not None:
                raise AssertionError(f"the demo ended: {self.supervisor.communicate()}")
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        content: dict[str, Any] = json.loads(self.card.read_text())
        return content

    def find_processes(self) -> list[psutil.Process]:
        """Return all living processes that belong to this demo, however they were started."""
        found = []
        for process in psutil.process_iter():
            try:
                is_ours = process.environ().get("MAILADMIN_VAR") == str(self.var)
                is_mail = process.cwd().startswith(str(self.var))
                is_alive = process.status() != psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if is_alive and (is_ours or is_mail):
                found.append(process)
        return found

    def end(self, number: signal.Signals = signal.SIGINT) -> float:
        """Send a signal, wait for the end, and return the seconds it took."""
        began = time.monotonic()
        self.supervisor.send_signal(number)
        self.supervisor.communicate(timeout=60)
        return time.monotonic() - began


StartDemo = Callable[..., RunningDemo]


@pytest.fixture(scope="module")
def start_demo(make_open_folder: Callable[[], Path]) -> Iterator[StartDemo]:
    """Start demos; what is left of them after the test is ended."""
    started: list[RunningDemo] = []

    def start(var: Path | None = None, port: int | None = None) -> RunningDemo:
        var = var or make_open_folder() / "var"
        port = port or find_free_port()
        environment = {**os.environ, "MAILADMIN_VAR": str(var), "PANEL_PORT": str(port)}
        # The settings of the test suite are not those of the demo.
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        environment.pop("MAILADMIN_RUN", None)
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "mailadmin.demo"],
            cwd=paths.project_dir(),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        demo = RunningDemo(var, port, supervisor)
        started.append(demo)
        return demo

    yield start
    for demo in started:
        if demo.supervisor.poll() is None:
            demo.end(signal.SIGTERM)
        for process in demo.find_processes():
            process.kill()


def run_reset(var: Path, expected_code: int) -> str:
    """Run what ``make demo-reset`` runs and return its words."""
    done = subprocess.run(
        [sys.executable, "-m", "mailadmin.demo", "reset"],
        cwd=paths.project_dir(),
        env={**os.environ, "MAILADMIN_VAR": str(var)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == expected_code
    return done.stdout + done.stderr


def log_in(card: dict[str, Any]) -> str:
    """Log in as a browser would and return the page that follows."""
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = browser.open(card["url"], timeout=60)
    form = page.read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token is not None
    fields = {
        "csrfmiddlewaretoken": token[1],
        "login": card["username"],
        "password": card["password"],
    }
    answer = browser.open(page.url, urllib.parse.urlencode(fields).encode(), timeout=60)
    assert "login" not in answer.url
    return str(answer.read().decode())


@pytest.fixture(scope="module")
def shared(start_demo: StartDemo) -> RunningDemo:
    """Return a running demo for the tests which leave it as it was."""
    demo = start_demo()
    demo.wait_for_card()
    return demo


def test_the_demo_starts_serves_and_ends(start_demo: StartDemo) -> None:
    demo = start_demo()
    card = demo.wait_for_card()

    assert set(card) == {"url", "username", "password", "mail_host", "mailbox", "pid"}
    assert set(card["mailbox"]) == {"address", "password"}
    assert card["url"] == f"http://127.0.0.1:{demo.port}/"
    assert card["pid"] == demo.supervisor.pid
    assert stat.S_IMODE(demo.card.stat().st_mode) == 0o600
    assert log_in(card)
    assert mail_clients.is_open(card["mail_host"], 25)

    took = demo.end(signal.SIGINT)

    assert took < _END_LIMIT
    assert stack._WORKING_PATIENCE + stack._SERVING_PATIENCE < _PROMISED_END - 1
    assert demo.supervisor.returncode == 0
    assert not demo.card.exists()
    assert not demo.find_processes()

    # The second start: the same in every respect, and quicker.
    began = time.monotonic()
    again = start_demo(demo.var, demo.port)
    second_card = again.wait_for_card()
    second_start = time.monotonic() - began

    assert {**second_card, "pid": 0} == {**card, "pid": 0}
    assert log_in(second_card)
    # Five seconds on a machine of its own; the tests share theirs.
    assert second_start < 30

    # Ctrl-C, and again while it ends.
    again.supervisor.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert again.end(signal.SIGINT) < _END_LIMIT
    assert again.supervisor.returncode == 0
    assert not again.find_processes()

    assert "was removed" in run_reset(demo.var, 0)
    assert not demo.var.exists()
    assert "nothing to remove" in run_reset(demo.var, 0)


def test_ctrl_c_during_the_start_ends_it(start_demo: StartDemo) -> None:
    demo = start_demo()
    wait_until((demo.var / "mail" / "sandbox.json").exists, what="the start to be under way")
    demo.end(signal.SIGINT)
    assert demo.supervisor.returncode == 0
    assert not demo.find_processes()


def test_what_dies_is_started_again(shared: RunningDemo) -> None:
    card = shared.wait_for_card()
    for process in shared.find_processes():
        if "gunicorn" in " ".join(process.cmdline()) and process.ppid() == shared.supervisor.pid:
            process.kill()

    # First this: what the dead one had started may answer for another moment.
    wait_until(
        lambda: "web was started again" in shared.log.read_text(), what="web to be started again"
    )
    wait_until(lambda: answers_http(card["url"]), what="web to answer")
    assert log_in(card)


def test_the_state_of_a_running_demo_is_not_removed(shared: RunningDemo) -> None:
    assert f"runs already (process {shared.supervisor.pid})" in run_reset(shared.var, 1)
    assert log_in(shared.wait_for_card())


def test_a_running_demo_is_not_started_twice(shared: RunningDemo, start_demo: StartDemo) -> None:
    second = start_demo(shared.var)
    words, _ = second.supervisor.communicate(timeout=60)
    assert second.supervisor.returncode == 1
    assert f"runs already (process {shared.supervisor.pid})" in words
    assert len(words.strip().splitlines()) == 1
    assert log_in(shared.wait_for_card())


def test_a_strict_umask_does_not_lock_the_mail_server_out(start_demo: StartDemo) -> None:
    before = os.umask(0o077)
    try:
        demo = start_demo()
        card = demo.wait_for_card()
    finally:
        os.umask(before)
    assert mail_clients.is_open(card["mail_host"], 143)
    assert stat.S_IMODE((demo.var / "db.sqlite3").stat().st_mode) == 0o600
    demo.end()


def test_a_taken_port_is_named_with_its_holder(start_demo: StartDemo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        demo = start_demo(port=port)
        words, _ = demo.supervisor.communicate(timeout=60)
    assert demo.supervisor.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken by" in words
    assert f"(process {os.getpid()})" in words
    assert f"PANEL_PORT={port + 1} make run" in words
    assert len(words.strip().splitlines()) == 1


def is_readable_by_others(path: Path) -> bool:
    return path.is_file() and bool(path.stat().st_mode & 0o077)


def test_secrets_are_kept_from_other_users(shared: RunningDemo) -> None:
    card = shared.wait_for_card()
    secrets = [card["password"].encode(), card["mailbox"]["password"].encode()]
    for path in shared.var.rglob("*"):
        try:
            content = path.read_bytes() if is_readable_by_others(path) else b""
        except FileNotFoundError:
            # Replaced meanwhile, by a program that goes on.
            continue
        else:
            assert not any(secret in content for secret in secrets), path
    assert not any(secret in shared.log.read_bytes() for secret in secrets)


def test_two_demos_run_side_by_side_and_a_killed_one_takes_its_programs_along(
    shared: RunningDemo, start_demo: StartDemo
) -> None:
    second = start_demo()
    one, two = shared.wait_for_card(), second.wait_for_card()
    assert one["mail_host"] != two["mail_host"]
    assert log_in(one)
    assert log_in(two)

    second.end(signal.SIGKILL)
    wait_until(lambda: not second.find_processes(), what="its programs to end")
    assert log_in(one)


def test_the_password_is_drawn_once(tmp_path: Path) -> None:
    kept = tmp_path / "demo.json"
    password = load_or_create_password(kept)
    assert len(password) == 20
    assert load_or_create_password(kept) == password
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_session_lists_what_a_program_started() -> None:
    shell = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 60 & sleep 60 & wait"], start_new_session=True
    )
    try:
        wait_until(lambda: len(list_session(shell.pid)) == 3, what="both to be started")
    finally:
        members = list_session(shell.pid)
        for process in members:
            process.kill()
        shell.wait()
        psutil.wait_procs(members, timeout=60)
    assert not list_session(shell.pid)
