"""What the agent stands on gives way under real daemons: the disk, its rights, the clock.

Each ends in the old state or the new one, proven, with files equal to the byte.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from mailadmin.agent import probe, proving, recovering, steps
from mailadmin.agent.protocol import Outcome
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState
from tests.integration.mail_host import MailHost
from tests.integration.test_agent_failures import (
    apply_anyhow,
    master_pid,
    reason_of,
    wait_until_taken_back,
)
from tests.states import make_material, with_default, with_open

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "_PATIENCE", 2.5)
    monkeypatch.setattr(probe, "_TIMEOUT", 1.5)
    monkeypatch.setattr(recovering, "_PAUSES", (0.5,))


def changed(host: MailHost) -> DesiredState:
    """Return a state that changes every file of both daemons."""
    renewed = with_default(host.base, make_material("renewed").certificate)
    return with_open(renewed, "pop3", "submission", is_open=False)


def folder_of(host: MailHost, daemon: Daemon) -> Path:
    return host.main_cf.parent if daemon is Daemon.POSTFIX else host.dropin.parent


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let the kernel refuse every change in the folder, to root as well."""
    mount(["--bind", str(folder), str(folder)])
    try:
        mount(["-o", "remount,bind,ro", str(folder)])
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, timeout=10)


def mount(arguments: list[str]) -> None:
    subprocess.run(["mount", *arguments], check=True, timeout=10)


@pytest.mark.parametrize("daemon", list(Daemon))
def test_a_read_only_file_system_is_told_and_leaves_the_old_state(
    host: MailHost, daemon: Daemon
) -> None:
    files, leaves, folder = host.files(), host.leaves(), folder_of(host, daemon)
    with read_only(folder):
        report = apply_anyhow(host, changed(host), f"read-only-{daemon}")
        problem = reason_of(report)
        assert report.outcome is Outcome.ROLLED_BACK
        assert (problem.code, problem.params["detail"]) == (
            "file.unwritable",
            os.strerror(30),
        )
        assert Path(problem.subject).parent == folder
        assert host.files() == files
    assert host.leaves() == leaves
    assert not host.has_journal


def test_a_file_system_that_becomes_read_only_on_the_way_back_is_waited_for(
    host: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ext4 does it after an error: half of the change is in place, and cannot be taken out."""
    files, leaves = host.files(), host.leaves()
    pid = master_pid(host, Daemon.DOVECOT)
    assert pid is not None
    reload = host.agent.host.postfix.reload
    with read_only_from(host, monkeypatch, pid):
        report = apply_anyhow(host, changed(host), "stays-read-only")
        problem = reason_of(report)
        assert (report.outcome, problem.code) == (Outcome.FAILED, "rollback.not_proven")
        assert problem.params["problem"] == "file.unwritable"
        assert problem.params["reason"] == "daemon.halted"
        assert problem.params["restored"] is False
        assert host.files() != files
        assert host.has_journal
        os.kill(pid, signal.SIGCONT)
        monkeypatch.setattr(host.agent.host.postfix, "reload", reload)
    wait_until_taken_back(host, "stays-read-only")
    assert (host.files(), host.leaves()) == (files, leaves)


@contextmanager
def read_only_from(host: MailHost, monkeypatch: pytest.MonkeyPatch, pid: int) -> Iterator[None]:
    """Make Postfix's folder read-only once it is told of its new files, and halt Dovecot, so that
    what was put in place will not be proven."""
    reload = host.agent.host.postfix.reload
    folder = folder_of(host, Daemon.POSTFIX)
    mount(["--bind", str(folder), str(folder)])

    def reload_and_lose_the_disk() -> None:
        reload()
        mount(["-o", "remount,bind,ro", str(folder)])
        os.kill(pid, signal.SIGSTOP)

    monkeypatch.setattr(host.agent.host.postfix, "reload", reload_and_lose_the_disk)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
        subprocess.run(["umount", "--lazy", folder], check=True, timeout=10)


@pytest.mark.parametrize("daemon", list(Daemon))
def test_a_folder_that_may_not_be_written_is_told_and_leaves_the_old_state(
    host: MailHost, daemon: Daemon
) -> None:
    """Root may all, unless it was taken from it, as a hardened unit of systemd does."""
    files, leaves, folder = host.files(), host.leaves(), folder_of(host, daemon)
    mode = folder.stat().st_mode
    host.stop_agent()
    host.start_agent_process("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    # From 3.9 on Postfix's own tools write to its log, which is its user's, and end if they cannot.
    host.sandbox.postfix_log.chmod(0o666)
    folder.chmod(0o555)
    try:
        report = apply_anyhow(host, changed(host), f"denied-{daemon}")
        problem = reason_of(report)
        assert report.outcome is Outcome.ROLLED_BACK
        assert (problem.code, problem.params["detail"]) == ("file.unwritable", os.strerror(13))
        assert Path(problem.subject).parent == folder
    finally:
        folder.chmod(mode)
        host.sandbox.postfix_log.chmod(0o644)
        host.end_agent_process()
        host.start_agent()
    assert (host.files(), host.leaves()) == (files, leaves)
    assert not host.has_journal


class _Jumping:
    """A wall clock that is set by a year, to and fro, whenever somebody looks at it."""

    def __init__(self) -> None:
        self.looks = 0
        self._years = itertools.cycle([0, 1, -1])
        self._time = time.time

    def time(self) -> float:
        self.looks += 1
        return self._time() + next(self._years) * 365 * 86_400

    def now(self, zone: tzinfo = UTC) -> datetime:
        self.looks += 1
        return datetime.now(zone) + timedelta(days=365) * next(self._years)


@pytest.mark.parametrize("is_proven", [True, False], ids=["proven", "taken back"])
def test_a_clock_that_jumps_in_mid_apply_changes_nothing(
    host: MailHost, monkeypatch: pytest.MonkeyPatch, is_proven: bool
) -> None:
    files, leaves, clock = host.files(), host.leaves(), _Jumping()
    reload = host.agent.host.postfix.reload

    def reload_in_vain() -> None:
        monkeypatch.setattr(host.agent.host.postfix, "reload", reload)

    if not is_proven:
        monkeypatch.setattr(host.agent.host.postfix, "reload", reload_in_vain)
    wanted = changed(host)
    started = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(steps, "datetime", clock)
        patch.setattr(time, "time", clock.time)
        report = apply_anyhow(host, wanted, f"jumping-{is_proven}")
    assert clock.looks > 5
    assert time.monotonic() - started < 40
    if is_proven:
        assert report.outcome is Outcome.SUCCEEDED
        assert report.proof_ms is not None
        assert 0 < report.proof_ms < 40_000
        assert all((step.duration_ms or 0) >= 0 for step in report.steps)
        assert not host.is_open("pop3")
        host.apply(host.base)
    else:
        assert report.outcome is Outcome.ROLLED_BACK
        assert host.files() == files
    assert host.leaves() == leaves
