"""A deployment on trial: what stands when it is confirmed, declined, forgotten, or killed."""

from __future__ import annotations

from typing import Any

import pytest

from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome
from mailadmin.agent.trials import DECLINED, NOT_CONFIRMED
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState
from tests.file_calls import KilledError
from tests.states import make_material, with_default, with_open
from tests.unit.agent.machine import Machine

Picture = tuple[Any, ...]


@pytest.fixture
def wanted(machine: Machine) -> DesiredState:
    state = with_default(machine.state_now(), make_material("new").certificate)
    return with_open(state, "submissions")


def picture(machine: Machine) -> Picture:
    return machine.snapshot(), machine.served


def begin(machine: Machine, wanted: DesiredState) -> tuple[Picture, ApplyReport]:
    """Put the state on trial for five minutes; returns how all was before."""
    before = picture(machine)
    report = machine.apply(wanted, confirm_within=300)
    assert report.outcome is Outcome.SUCCEEDED, report.problem
    assert machine.has_trial
    assert not machine.has_journal
    return before, report


def start_again(machine: Machine) -> ApplyReport | None:
    """Do what an agent does at its start; returns how a trial that was over ended."""
    machine.restart_agent()
    applier = machine.applier
    applier.recover(lambda _: None)
    machine.host.store.drop_unused()
    trial = applier.trials.take_up()
    if trial is None or applier.trials.left(trial):
        return None
    return applier.trials.take_back(trial, NOT_CONFIRMED, lambda _: None)


def refused(machine: Machine, deed: str, *arguments: Any) -> str:
    with pytest.raises(AgentError) as raised:
        getattr(machine.applier.trials, deed)(*arguments)
    return raised.value.problem.code


def test_it_says_until_when_and_is_in_effect_meanwhile(
    machine: Machine, wanted: DesiredState
) -> None:
    before, report = begin(machine, wanted)
    assert report.confirm_by == "2027-01-15T08:05:00+00:00"
    assert picture(machine) != before
    assert set(machine.served.values()) == {wanted.default_certificate}
    machine.clocks.pass_by(100)
    standing = machine.applier.trials.standing("one")
    assert (standing.seconds_left, standing.report) == (200, report)


def test_confirmed_it_stays_and_saying_so_again_is_no_mistake(
    machine: Machine, wanted: DesiredState
) -> None:
    begin(machine, wanted)
    after = picture(machine)
    machine.clocks.pass_by(299)
    for _ in range(2):
        machine.applier.trials.confirm("one")
        assert not machine.has_trial
    machine.clocks.pass_by(1000)
    assert start_again(machine) is None
    assert picture(machine) == after
    standing = machine.applier.trials.standing("one")
    assert standing.seconds_left is None
    assert standing.report is not None
    assert standing.report.outcome is Outcome.SUCCEEDED
    assert machine.apply(with_open(wanted, "pop3", is_open=False), "two").problem is None


def test_not_confirmed_everything_is_what_it_was(machine: Machine, wanted: DesiredState) -> None:
    before, applied = begin(machine, wanted)
    machine.clocks.pass_by(300)
    assert refused(machine, "confirm", "one") == "confirm.too_late"
    assert machine.applier.trials.standing("one").as_dict() == {
        "seconds_left": None, "report": None, "retry_in": None,
    }  # fmt: skip
    report = start_again(machine)
    assert report is not None
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem == NOT_CONFIRMED
    assert picture(machine) == before
    assert not machine.has_trial
    assert report.steps[: len(applied.steps)] == applied.steps
    assert [step.position for step in report.steps] == list(range(len(report.steps)))
    assert report.steps[-1].code == "proved_as_before"
    assert machine.applier.trials.standing("one").report == report
    assert refused(machine, "confirm", "one") == "confirm.too_late"
    assert machine.generations == []


def test_what_runs_out_while_the_machine_is_off_is_taken_back_at_its_start(
    machine: Machine, wanted: DesiredState
) -> None:
    before, _ = begin(machine, wanted)
    machine.running.clear()
    machine.clocks.reboot(wall=machine.clocks.wall + 301)
    report = start_again(machine)
    assert report is not None
    assert report.outcome is Outcome.ROLLED_BACK
    assert picture(machine) == before
    assert machine.running == {Daemon.POSTFIX, Daemon.DOVECOT}


def test_after_a_restart_it_waits_on(machine: Machine, wanted: DesiredState) -> None:
    begin(machine, wanted)
    after = picture(machine)
    machine.clocks.pass_by(100)
    assert start_again(machine) is None
    machine.clocks.reboot(wall=machine.clocks.wall + 50)
    assert start_again(machine) is None
    machine.clocks.wall = 0.0
    assert machine.applier.trials.standing("one").seconds_left == 150
    assert picture(machine) == after


def test_while_it_waits_nothing_else_is_applied(machine: Machine, wanted: DesiredState) -> None:
    begin(machine, wanted)
    after = picture(machine)
    machine.clocks.pass_by(20)
    report = machine.apply(with_open(wanted, "pop3", is_open=False), "two")
    assert report.outcome is Outcome.REFUSED
    assert report.problem is not None
    assert (report.problem.code, report.problem.params) == ("confirm.awaiting", {"seconds": 280})
    assert picture(machine) == after
    assert refused(machine, "confirm", "two") == "confirm.another"
    machine.applier.trials.confirm("one")
    assert refused(machine, "confirm", "three") == "confirm.unknown"


def test_what_was_edited_by_hand_meanwhile_is_kept_aside(
    machine: Machine, wanted: DesiredState
) -> None:
    before, _ = begin(machine, wanted)
    edited = machine.main_cf.read_bytes() + b"# by hand\n"
    machine.main_cf.write_bytes(edited)
    machine.clocks.pass_by(300)
    report = start_again(machine)
    assert report is not None
    assert picture(machine) == before
    (step,) = [step for step in report.steps if step.code == "set_aside"]
    copy = machine.config.state_dir / "set-aside" / "one" / "main.cf"
    assert (step.subject, step.evidence["copy"]) == (str(machine.main_cf), str(copy))
    assert copy.read_bytes() == edited
    assert copy.stat().st_mode & 0o777 == 0o600


# Killed, and out of order

BEFORE_THE_REPORT = ["trial.keep", "trial.kept", "store.save_result"]


@pytest.mark.parametrize("deed", BEFORE_THE_REPORT)
def test_killed_before_success_is_told_the_old_state_comes_back(
    machine: Machine, wanted: DesiredState, deed: str
) -> None:
    before = picture(machine)
    machine.faults.fail(deed, error=KilledError)
    with pytest.raises(KilledError):
        machine.apply(wanted, confirm_within=300)
    assert start_again(machine) is None
    assert picture(machine) == before
    assert not machine.has_trial
    assert not machine.has_journal
    known = machine.host.store.read_result("one")
    assert known is not None
    assert known.outcome is Outcome.ROLLED_BACK


@pytest.mark.parametrize("deed", BEFORE_THE_REPORT)
def test_what_cannot_be_written_down_is_not_applied(
    machine: Machine, wanted: DesiredState, deed: str
) -> None:
    before = picture(machine)
    machine.faults.fail(deed)
    report = machine.apply(wanted, confirm_within=300)
    assert report.outcome is Outcome.ROLLED_BACK
    assert picture(machine) == before
    assert not machine.has_trial


@pytest.mark.parametrize("deed", ["store.end", "store.prune"])
def test_killed_after_the_report_it_waits_on(
    machine: Machine, wanted: DesiredState, deed: str
) -> None:
    before = picture(machine)
    machine.faults.fail(deed, error=KilledError)
    with pytest.raises(KilledError):
        machine.apply(wanted, confirm_within=300)
    assert start_again(machine) is None
    assert set(machine.served.values()) == {wanted.default_certificate}
    assert machine.applier.trials.standing("one").seconds_left == 300
    machine.clocks.pass_by(300)
    assert start_again(machine) is not None
    assert picture(machine) == before


ON_THE_WAY_BACK = [
    "trial.keep", "trial.kept", "store.undo_files", "dovecot.reload", "postfix.reload",
    "store.save_result", "trial.drop", "trial.dropped", "store.end",
]  # fmt: skip


@pytest.mark.parametrize("deed", ON_THE_WAY_BACK)
@pytest.mark.parametrize("is_due", [True, False], ids=["expired", "declined"])
def test_killed_on_the_way_back_the_next_start_goes_on(
    machine: Machine, wanted: DesiredState, deed: str, is_due: bool
) -> None:
    before, _ = begin(machine, wanted)
    if is_due:
        machine.clocks.pass_by(300)
    machine.faults.fail(deed, error=KilledError)
    trials = machine.applier.trials
    trial = trials.find()
    assert trial is not None
    reason = NOT_CONFIRMED if is_due else DECLINED
    with pytest.raises(KilledError):
        trials.take_back(trial, reason, lambda _: None)
    start_again(machine)
    if deed == "trial.keep" and not is_due:
        # Nobody has written down that it ends, and nothing was touched.
        assert machine.applier.trials.standing("one").seconds_left == 300
        assert set(machine.served.values()) == {wanted.default_certificate}
        return
    assert picture(machine) == before
    assert not machine.has_trial
    report = machine.applier.trials.standing("one").report
    assert report is not None
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem == reason


def test_killed_while_it_is_confirmed_it_waits_or_stays(
    machine: Machine, wanted: DesiredState
) -> None:
    begin(machine, wanted)
    for deed, left in (("trial.drop", 300), ("trial.dropped", None)):
        machine.faults.fail(deed, error=KilledError)
        with pytest.raises(KilledError):
            machine.applier.trials.confirm("one")
        assert start_again(machine) is None
        assert machine.applier.trials.standing("one").seconds_left == left
        assert set(machine.served.values()) == {wanted.default_certificate}


def test_a_way_back_without_proof_is_gone_again_before_the_next_apply(
    machine: Machine, wanted: DesiredState
) -> None:
    before, _ = begin(machine, wanted)
    machine.clocks.pass_by(300)
    machine.faults.fail_always("postfix.reload")
    trials = machine.applier.trials
    trial = trials.find()
    assert trial is not None
    report = trials.take_back(trial, NOT_CONFIRMED, lambda _: None)
    assert report.outcome is Outcome.FAILED
    assert machine.has_trial
    assert machine.applier.trials.standing("one").report == report

    refusal = machine.apply(wanted, "two")
    assert refusal.problem is not None
    assert refusal.problem.code == "agent.recovery_pending"
    machine.faults.heal()
    assert machine.apply(wanted, "three").outcome is Outcome.SUCCEEDED
    assert picture(machine) != before
    known = machine.host.store.read_result("one")
    assert known is not None
    assert known.problem == NOT_CONFIRMED


def test_a_full_disk_does_not_keep_what_ran_out(machine: Machine, wanted: DesiredState) -> None:
    before, _ = begin(machine, wanted)
    trials = machine.applier.trials
    trial = trials.find()
    assert trial is not None
    machine.faults.fail("trial.keep")
    with pytest.raises(AgentError):
        trials.take_back(trial, DECLINED, lambda _: None)
    machine.clocks.pass_by(300)
    machine.faults.fail("trial.keep")
    assert trials.take_back(trial, NOT_CONFIRMED, lambda _: None).outcome is Outcome.ROLLED_BACK
    assert picture(machine) == before


def test_a_record_that_cannot_be_read_is_not_guessed_at(
    machine: Machine, wanted: DesiredState
) -> None:
    begin(machine, wanted)
    record = machine.config.state_dir / "trial.json"
    for spoil in (lambda: record.write_text("{}"), record.unlink, record.mkdir):
        spoil()
        if record.exists():
            assert refused(machine, "find") in {"agent.journal_unreadable", "file.unreadable"}
    assert refused(machine, "confirm", "one") == "file.unreadable"


def test_a_lost_report_does_not_let_it_stay(machine: Machine, wanted: DesiredState) -> None:
    before, _ = begin(machine, wanted)
    (machine.config.state_dir / "results" / "one.json").unlink()
    machine.clocks.pass_by(300)
    report = start_again(machine)
    assert report is not None
    assert report.outcome is Outcome.ROLLED_BACK
    assert picture(machine) == before
    assert refused(machine, "standing", "never") == "confirm.unknown"
