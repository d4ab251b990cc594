"""A way back without proof is tried again by the agent itself, and never over somebody's hands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mailadmin.agent import proving, recovering
from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState
from tests.states import with_open
from tests.unit.agent.machine import Machine
from tests.unit.agent.test_confirming import Serve, put_on_trial
from tests.unit.agent.test_confirming import serve as serve  # noqa: PLC0414 - a fixture
from tests.unit.agent.test_confirming import wanted as wanted  # noqa: PLC0414
from tests.unit.agent.test_server import Served, wait_for


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovering, "_PAUSES", (0.01,))
    monkeypatch.setattr(proving, "_PATIENCE", 0.1)


def halt(machine: Machine, daemon: Daemon) -> Callable[[], None]:
    """Let the daemon be halted as soon as it is told of a change; returns what ends that."""
    host = getattr(machine.host, str(daemon))
    reload = host.reload

    def halt_and_reload() -> None:
        machine.halted.add(daemon)
        reload()

    host.reload = halt_and_reload

    def go_on() -> None:
        host.reload = reload
        machine.halted.clear()

    return go_on


def apply(served: Served, state: DesiredState) -> ApplyReport:
    return served.apply(state, "one")


def ending(served: Served) -> ApplyReport:
    """Return how the deployment ended, as the agent tells it once it is not just trying."""
    found: list[ApplyReport] = []

    def is_told() -> bool:
        report = served.client.standing("one").report
        found.extend([report] if report else [])
        return bool(found)

    wait_for(is_told)
    return found[0]


@pytest.mark.parametrize("daemon", list(Daemon))
def test_it_is_tried_again_until_it_is_proven(
    serve: Serve, machine: Machine, wanted: DesiredState, daemon: Daemon
) -> None:
    served, before = serve(), (machine.snapshot(), machine.served)
    wanted = with_open(wanted, "pop3", is_open=False)
    go_on = halt(machine, daemon)
    report = apply(served, wanted)
    assert report.outcome is Outcome.FAILED
    assert report.problem is not None
    assert (report.problem.code, report.problem.subject) == ("rollback.not_proven", daemon)
    assert report.problem.params["problem"] == "daemon.halted"
    assert report.problem.params["problem.pid"] == 4711
    assert machine.snapshot() == before[0]
    assert served.client.standing("one").retry_in == 0
    refusal = served.apply(machine.state_now(), "two")
    assert refusal.problem is not None
    assert refusal.problem.code == "agent.recovery_pending"
    assert refusal.problem.params["problem"] == "daemon.halted"
    go_on()
    wait_for(lambda: not machine.has_journal)
    assert ending(served).outcome is Outcome.ROLLED_BACK
    assert (machine.snapshot(), machine.served) == before
    told = [step.code for step in ending(served).steps]
    assert told[: len(report.steps)] == [step.code for step in report.steps]
    assert told[len(report.steps) :] == ["restored", "reloaded", "reloaded", "proved_as_before"]
    assert [step.position for step in ending(served).steps] == list(range(len(told)))
    wait_for(lambda: served.client.standing("one").retry_in is None)
    # Whoever asks for it again is told the same.
    assert apply(served, wanted) == ending(served)


def test_one_halted_before_is_told_and_nothing_touched(
    serve: Serve, machine: Machine, wanted: DesiredState
) -> None:
    served, before = serve(), machine.snapshot()
    machine.halted.add(Daemon.POSTFIX)
    report = apply(served, wanted)
    assert report.outcome is Outcome.REFUSED
    assert report.problem is not None
    assert (report.problem.code, report.problem.subject) == ("daemon.halted", "postfix")
    assert machine.snapshot() == before
    assert not machine.has_journal


def test_the_other_daemon_serves_the_old_state_meanwhile(
    serve: Serve, machine: Machine, wanted: DesiredState
) -> None:
    served, before = serve(), machine.served
    halt(machine, Daemon.DOVECOT)
    assert apply(served, with_open(wanted, "pop3", is_open=False)).outcome is Outcome.FAILED
    postfix = {place: machine.served[place] for place in before if place[1] == 25}
    assert postfix == {place: before[place] for place in postfix}
    assert postfix


def test_each_pause_is_longer_and_a_new_failure_begins_anew(
    serve: Serve, machine: Machine, wanted: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovering, "_PAUSES", (0.01, 0.02, 500.0))
    served = serve()
    go_on = halt(machine, Daemon.POSTFIX)
    apply(served, wanted)
    wait_for(lambda: (served.client.standing("one").retry_in or 0) > 400)
    assert len(ending(served).steps) < 20
    # An apply does not wait for that, and what another one did not prove is tried soon.
    go_on()
    served.apply(wanted, "two")
    assert ending(served).outcome is Outcome.ROLLED_BACK
    monkeypatch.setattr(recovering, "_PAUSES", (50.0, 500.0))
    halt(machine, Daemon.POSTFIX)
    assert served.apply(wanted, "three").outcome is Outcome.FAILED
    assert served.client.standing("one").retry_in is None
    assert (served.client.standing("three").retry_in or 0) in range(45, 51)


def test_an_edit_by_hand_is_left_alone_and_said(
    serve: Serve, machine: Machine, wanted: DesiredState
) -> None:
    served, before = serve(), machine.main_cf.read_bytes()
    go_on = halt(machine, Daemon.POSTFIX)
    apply(served, wanted)
    by_hand = before + b"# trying to help\n"
    machine.main_cf.write_bytes(by_hand)
    go_on()

    def what_keeps_it() -> object:
        problem = ending(served).problem
        return problem and problem.params["problem"]

    wait_for(lambda: what_keeps_it() == "rollback.edited")
    problem = ending(served).problem
    assert problem is not None
    assert problem.subject == str(machine.main_cf)
    assert problem.params["reason"] == "daemon.halted"
    assert "problem.pid" not in problem.params
    assert machine.main_cf.read_bytes() == by_hand
    assert machine.has_journal
    machine.main_cf.write_bytes(before)
    wait_for(lambda: not machine.has_journal)
    assert ending(served).outcome is Outcome.ROLLED_BACK


def test_an_edit_is_left_alone_also_where_the_files_came_back_later_than_at_first(
    serve: Serve, machine: Machine, wanted: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovering, "_PAUSES", (0.01, 500.0))
    served, before = serve(), machine.main_cf.read_bytes()
    halt(machine, Daemon.POSTFIX)
    machine.faults.fail("store.undo_files")
    report = apply(served, wanted)
    assert report.problem is not None
    assert report.problem.params["restored"] is False

    def are_back() -> bool:
        problem = ending(served).problem
        return problem is not None and problem.params["restored"] is True

    wait_for(are_back)
    by_hand = before + b"# trying to help\n"
    machine.main_cf.write_bytes(by_hand)
    tries = machine.faults.counts["store.undo_files"]
    monkeypatch.setattr(recovering, "_PAUSES", (0.01,))
    served.agent.recovering.keep_trying("one")
    wait_for(lambda: (ending(served).problem or report.problem).subject == str(machine.main_cf))
    assert machine.faults.counts["store.undo_files"] == tries
    assert machine.main_cf.read_bytes() == by_hand


@pytest.mark.parametrize("seconds", [None, 60], ids=["applied", "on trial"])
def test_daemons_that_took_their_old_files_are_not_reloaded_for_every_try(
    serve: Serve, machine: Machine, wanted: DesiredState, seconds: int | None
) -> None:
    served, before = serve(), machine.snapshot()
    if seconds:
        put_on_trial(served, wanted, seconds)
    machine.disturb = lambda seen: (
        replace(seen, error="probe.tls_failed", fingerprint="") if seen.port == 25 else seen
    )
    if seconds:
        machine.clocks.pass_by(seconds)
        wait_for(lambda: ending(served).outcome is Outcome.FAILED)
    else:
        machine.disturb, spoil = lambda seen: seen, machine.disturb
        reload = machine.host.postfix.reload

        def reload_and_spoil() -> None:
            reload()
            machine.disturb = spoil

        machine.host.postfix.reload = reload_and_spoil  # type: ignore[method-assign]
        assert apply(served, wanted).outcome is Outcome.FAILED
    reloads, tries = machine.faults.counts["postfix.reload"], machine.faults.counts
    undone = tries["store.undo_files"]
    wait_for(lambda: tries["store.undo_files"] > undone + 2)
    assert tries["postfix.reload"] == reloads
    # But one that died is started.
    machine.die(Daemon.POSTFIX)
    wait_for(lambda: tries["postfix.start"] == 1)
    machine.disturb = lambda seen: seen
    wait_for(lambda: not machine.has_journal and not machine.has_trial)
    assert machine.snapshot() == before
    assert tries["postfix.reload"] == reloads


def test_the_next_agent_goes_on_with_it(
    serve: Serve, machine: Machine, wanted: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = machine.snapshot()
    monkeypatch.setattr(recovering, "_PAUSES", (500.0,))
    halt(machine, Daemon.POSTFIX)
    apply(serve(), wanted)
    monkeypatch.setattr(recovering, "_PAUSES", (0.01,))
    served = serve()
    assert machine.has_journal
    assert ending(served).outcome is Outcome.FAILED
    machine.halted.clear()
    wait_for(lambda: not machine.has_journal)
    assert machine.snapshot() == before
    wait_for(lambda: ending(served).outcome is Outcome.ROLLED_BACK)


def test_a_disk_that_cannot_be_read_for_a_while_does_not_end_it(
    serve: Serve, machine: Machine, wanted: DesiredState
) -> None:
    served = serve()
    go_on = halt(machine, Daemon.POSTFIX)
    apply(served, wanted)
    store, reads = machine.host.store, machine.host.store.open_journal
    failed: list[int] = []

    def fail_twice() -> object:
        if len(failed) < 2:
            failed.append(1)
            raise AgentError.because("file.unreadable", "journal.json")
        return reads()

    store.open_journal = fail_twice  # type: ignore[method-assign, assignment]
    go_on()
    wait_for(lambda: not machine.has_journal)
    assert len(failed) == 2


def test_one_on_trial_that_could_not_be_taken_back_is_tried_again_too(
    serve: Serve, machine: Machine, wanted: DesiredState
) -> None:
    served, before = serve(), (machine.snapshot(), machine.served)
    put_on_trial(served, wanted, 60)
    go_on = halt(machine, Daemon.POSTFIX)
    machine.clocks.pass_by(61)
    wait_for(lambda: ending(served).outcome is Outcome.FAILED)
    failed = ending(served)
    assert machine.has_trial
    wait_for(lambda: served.client.standing("one").retry_in is not None)
    go_on()
    wait_for(lambda: not machine.has_trial)
    assert (machine.snapshot(), machine.served) == before
    wait_for(lambda: ending(served).outcome is Outcome.ROLLED_BACK)
    assert len(ending(served).steps) > len(failed.steps)


def test_what_an_apply_has_ended_meanwhile_is_not_tried_again(
    serve: Serve, machine: Machine, wanted: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovering, "_PAUSES", (1.0,))
    served = serve()
    go_on = halt(machine, Daemon.POSTFIX)
    apply(served, wanted)
    go_on()
    served.apply(wanted, "two")
    reloads = machine.faults.counts["postfix.reload"]
    wait_for(lambda: served.client.standing("one").retry_in is None)
    assert machine.faults.counts["postfix.reload"] == reloads
    assert ending(served).outcome is Outcome.ROLLED_BACK
