"""Whatever happens at whichever call that changes a file: the old state, or the new, and proven.

All calls of an apply are found by running it once (``tests.file_calls``); none is named here.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mailadmin.agent.planner import make_plan
from mailadmin.agent.protocol import ApplyReport, Outcome
from mailadmin.mailconf.state import DesiredState
from tests.file_calls import (
    Call,
    Fault,
    KilledError,
    failing_from,
    failing_once,
    killed_at,
    watching,
)
from tests.states import make_material, with_default, with_name, with_open
from tests.unit.agent.machine import Machine

MATERIAL = make_material("new").certificate
NAMED = make_material("sni").certificate
TRIAL = 300  # seconds


@dataclass
class Host:
    """A machine, what it was, and what it would become."""

    machine: Machine
    wanted: DesiredState
    before: dict[str, tuple[bytes | str, int]]
    served: dict[tuple[str, int], str]

    def apply(self, fault: Fault = lambda _: None) -> ApplyReport:
        with watching([self.machine.folder], fault):
            return self.machine.apply(self.wanted)

    def start_again(self, fault: Fault = lambda _: None) -> ApplyReport | None:
        """Start another agent over the same folder, as after a crash."""
        self.machine.restart_agent()
        store = self.machine.host.store
        try:
            with watching([self.machine.folder], fault):
                store.prepare()
                store.lock()
                report = self.machine.applier.recover(lambda _: None)
                if report is None:
                    store.drop_unused()
                store.drop_staging()
        finally:
            store.unlock()
        return report

    def is_old(self) -> bool:
        now = self.machine.snapshot()
        of_daemons = {path: facts for path, facts in now.items() if not path.endswith(".mailadmin")}
        return of_daemons == self.before and self.machine.served == self.served

    def is_new(self) -> bool:
        """Tell whether planning what was wanted finds nothing to do, and it is what is served."""
        leaves = {MATERIAL.fingerprint}
        files = make_plan(self.wanted, self.machine.host).report().files
        return not files and set(self.machine.served.values()) == leaves

    def assert_old_or_new(self, call: Call | int) -> None:
        assert self.is_old() or self.is_new(), f"half changed after {call}"
        assert not self.machine.has_journal, call
        assert not list(self.machine.folder.rglob("*.mailadmin")), call

    def assert_told_truly(self, report: ApplyReport, call: Call) -> None:
        """What the report says is so at once, with no further start of the agent."""
        is_so = self.is_new() if report.outcome is Outcome.SUCCEEDED else self.is_old()
        assert is_so, f"{report.outcome} after {call}"


MakeHost = Callable[[], Host]


@pytest.fixture(params=[(False, False), (False, True), (True, False)], ids=["", "split", "joined"])
def make_host(tmp_path: Path, request: pytest.FixtureRequest) -> MakeHost:
    """Make hosts with an earlier apply behind them, on which everything is to change."""
    is_split, becomes_split = request.param
    count = 0

    def make() -> Host:
        nonlocal count
        count += 1
        folder = tmp_path / str(count)
        folder.mkdir()
        machine = Machine(folder)
        state = with_open(machine.state_now(), "submissions")
        state = replace(state, is_dovecot_split=is_split)
        assert machine.apply(state, "earlier").outcome is Outcome.SUCCEEDED
        wanted = replace(state, is_dovecot_split=becomes_split)
        wanted = with_name(with_default(wanted, MATERIAL), "imap.example.test", NAMED)
        wanted = with_open(with_open(wanted, "submission"), "pop3", is_open=False)
        return Host(machine, wanted, machine.snapshot(), machine.served)

    return make


def calls_of(make_host: MakeHost) -> list[Call]:
    """Return every call of an apply that works."""
    host = make_host()
    with watching([host.machine.folder]) as watch:
        assert host.machine.apply(host.wanted).outcome is Outcome.SUCCEEDED
    assert host.is_new()
    return watch.calls


def test_killed_at_any_call(make_host: MakeHost) -> None:
    calls = calls_of(make_host)
    assert len(calls) > 60
    kept_new = []
    for call in calls:
        host = make_host()
        with pytest.raises(KilledError):
            host.apply(killed_at(call.number))
        host.start_again()
        host.assert_old_or_new(call)
        kept_new.append(host.is_new())
    # Proven and written down it stays; and never the other way round.
    assert kept_new == sorted(kept_new)
    assert any(kept_new)


def test_killed_at_any_call_of_the_way_back(make_host: MakeHost) -> None:
    """And of the way back from there, until one start comes through."""
    renamed = [call for call in calls_of(make_host) if call.name == "os.rename"]
    last_of_host = [call for call in renamed if call.path.endswith("master.cf")][-1]
    number = 0
    while True:
        number += 1
        host = make_host()
        with pytest.raises(KilledError):
            host.apply(killed_at(last_of_host.number + 1))
        try:
            host.start_again(killed_at(number))
        except KilledError:
            host.start_again()
        else:
            break
        host.assert_old_or_new(number)
        assert host.is_old()
    assert number > 20


def test_any_call_that_fails_once(make_host: MakeHost) -> None:
    for call in calls_of(make_host):
        host = make_host()
        report = host.apply(failing_once(call.number, errno.EIO))
        host.assert_told_truly(report, call)
        assert report.outcome is not Outcome.FAILED, call


def test_a_disk_that_is_full_from_any_call_on(make_host: MakeHost) -> None:
    """The way back takes no room: what will be replaced is kept under a second name."""
    for call in calls_of(make_host):
        host = make_host()
        report = host.apply(failing_from(call.number, errno.ENOSPC))
        host.assert_told_truly(report, call)
        assert report.outcome is not Outcome.FAILED, call
        host.start_again()
        host.assert_old_or_new(call)


def test_a_disk_that_is_read_only_from_any_call_on(make_host: MakeHost) -> None:
    """Nobody can put anything back then: it is said, and done as soon as it can be."""
    failed = 0
    for call in calls_of(make_host):
        host = make_host()
        report = host.apply(failing_from(call.number, errno.EROFS))
        if report.outcome is Outcome.FAILED:
            failed += 1
            assert host.machine.has_journal, call
            later = host.start_again()
            assert later is not None, call
            host.assert_told_truly(later, call)
        else:
            host.assert_told_truly(report, call)
        host.start_again()
        host.assert_old_or_new(call)
    assert failed


def test_without_hard_links_the_old_files_are_written_anew(make_host: MakeHost) -> None:
    def refuse_links(call: Call) -> None:
        if call.name == "os.link":
            raise PermissionError(errno.EPERM, "Operation not permitted")

    host = make_host()
    host.machine.faults.fail("postfix.reload")
    assert host.apply(refuse_links).outcome is Outcome.ROLLED_BACK
    assert host.is_old()
    assert host.apply(refuse_links).outcome is Outcome.SUCCEEDED
    assert host.is_new()


def test_a_report_that_was_kept_though_it_failed_is_not_believed(make_host: MakeHost) -> None:
    """Neither its folder could be synced nor the journal ended, so all is undone; and then the
    agent dies in the middle of that."""
    calls = calls_of(make_host)
    first = next(item for item in calls if item.path == "state/results" and "fsync" in item.name)
    last = first.number + 1
    while True:
        host = make_host()
        ends = 0

        def fail(call: Call, dies_at: int = last) -> None:
            nonlocal ends
            is_end = (call.name, call.path) == ("os.remove", "state/journal.json")
            ends += is_end
            if call.number == first.number or (is_end and ends == 1):
                raise OSError(errno.EIO, "Input/output error")
            killed_at(dies_at)(call)

        try:
            assert host.apply(fail).outcome is Outcome.ROLLED_BACK
        except KilledError:
            host.start_again()
            host.assert_old_or_new(last)
        else:
            break
        last += 1
    assert last > first.number + 10
