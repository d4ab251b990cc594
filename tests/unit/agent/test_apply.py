"""The order of an apply, and what becomes of the host when any part of it fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import mailadmin.agent.host as host_module
from mailadmin.agent.planner import make_plan
from mailadmin.agent.protocol import AgentError, Outcome, StepStatus
from mailadmin.mailconf.postfix import PostfixFiles
from mailadmin.mailconf.proof import Seen
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem
from tests.states import make_material, with_default, with_listener, with_name, with_open
from tests.unit.agent.machine import ADDRESS, Machine


@pytest.fixture
def wanted(machine: Machine) -> DesiredState:
    """A new certificate for everybody, one for a host name, and 465 and 587 opened."""
    state = with_default(machine.state_now(), make_material("new").certificate)
    state = with_name(state, "imap.example.test", make_material("sni").certificate)
    return with_open(state, "submission", "submissions")


def applied(machine: Machine, state: DesiredState) -> DesiredState:
    """Apply and return the state, which must work."""
    assert machine.apply(state, "earlier").outcome is Outcome.SUCCEEDED
    return state


# The good way


def test_everything_asked_for_is_served_afterwards(machine: Machine, wanted: DesiredState) -> None:
    report = machine.apply(wanted)
    assert report.outcome is Outcome.SUCCEEDED
    assert set(machine.served) == {
        (ADDRESS, port) for port in (25, 143, 465, 587, 993, 110, 995, 4190)
    }
    assert set(machine.served.values()) == {wanted.default_certificate}
    assert not machine.has_journal
    assert report.generation == 1
    assert machine.host.store.read_result("one") == report


def test_the_steps_are_told_as_they_begin_and_as_they_end(
    machine: Machine, wanted: DesiredState
) -> None:
    report = machine.apply(wanted)
    assert [step.code for step in report.steps] == [
        "planned", "staged", "checked", "checked", "swapped", "reloaded", "reloaded", "proved",
        "watched",
    ]  # fmt: skip
    assert {step.status for step in report.steps} == {StepStatus.DONE}
    begun = [event for event in machine.told if event.status is StepStatus.RUNNING]
    ended = [event for event in machine.told if event.status is StepStatus.DONE]
    assert [event.position for event in begun] == list(range(9))
    assert tuple(ended) == report.steps


def test_dovecot_answers_again_before_postfix_is_told(
    machine: Machine, wanted: DesiredState
) -> None:
    machine.apply(wanted)
    deeds = machine.faults.calls
    journal, dovecot, answering, postfix = (
        deeds.index(deed)
        for deed in ("store.begun", "dovecot.reload", "dovecot.is_answering", "postfix.reload")
    )
    assert journal < deeds.index("store.switch_live") < deeds.index("host.put_files") < dovecot
    assert dovecot < answering < postfix


def test_a_certificate_alone_is_re_read_and_dovecot_is_not_reloaded(
    machine: Machine, wanted: DesiredState
) -> None:
    renewed = with_default(applied(machine, wanted), make_material("renewed").certificate)
    report = machine.apply(renewed)
    assert report.outcome is Outcome.SUCCEEDED
    assert "dovecot.reread" in machine.faults.calls
    assert "dovecot.reload" not in machine.faults.calls
    assert set(machine.served.values()) == {renewed.default_certificate}


def test_only_the_daemon_that_changes_is_told(machine: Machine, wanted: DesiredState) -> None:
    state = applied(machine, wanted)
    machine.apply(with_open(state, "pop3", is_open=False), "dovecot-only")
    assert "dovecot.reload" in machine.faults.calls
    assert "postfix.reload" not in machine.faults.calls
    state = with_open(state, "pop3", is_open=False)
    machine.apply(with_open(state, "submission", is_open=False), "postfix-only")
    assert "postfix.reload" in machine.faults.calls
    assert not {"dovecot.reload", "dovecot.reread"} & set(machine.faults.calls)


def test_applying_what_is_there_already_touches_no_daemon(
    machine: Machine, wanted: DesiredState
) -> None:
    state = applied(machine, wanted)
    before = machine.snapshot() | {"live": None}
    assert machine.apply(state, "again").outcome is Outcome.SUCCEEDED
    assert machine.snapshot() | {"live": None} == before
    deeds = set(machine.faults.calls)
    assert not deeds & {"dovecot.reload", "dovecot.reread", "postfix.reload"}


def test_a_key_that_is_only_on_the_host_is_found_and_kept(machine: Machine) -> None:
    state = machine.state_now()
    keyless = replace(state.certificates[0], key_pem="")
    state = with_open(replace(state, certificates=(keyless,)), "submissions")
    assert applied(machine, state)
    # Nothing names the snakeoil file any more, and the panel still does not have the key.
    machine.snakeoil.unlink()
    assert machine.apply(with_open(state, "submission")).outcome is Outcome.SUCCEEDED


def test_no_more_than_five_generations_of_keys_are_kept(
    machine: Machine, wanted: DesiredState
) -> None:
    for number in range(8):
        wanted = with_open(wanted, "pop3", is_open=bool(number % 2))
        assert machine.apply(wanted, f"number-{number}").outcome is Outcome.SUCCEEDED
    assert machine.generations == ["0004", "0005", "0006", "0007", "0008"]


# Refused: nothing has been touched


def refuse_busy_port(machine: Machine) -> None:
    machine.port_problem = Problem("port.taken", subject="submission", params={"pid": 7})


BEFORE_THE_JOURNAL = [
    "postfix.read_parameters",
    "store.write_generation",
    "postfix.compile_map",
    "dovecot.check",
    "postfix.check",
    "store.begin",
]


@pytest.mark.parametrize("deed", BEFORE_THE_JOURNAL)
def test_what_fails_before_the_journal_refuses_and_leaves_no_trace(
    machine: Machine, wanted: DesiredState, deed: str
) -> None:
    digest = make_plan(wanted, machine.host).digest
    before, served = machine.snapshot(), machine.served
    machine.faults.fail(deed)
    report = machine.apply(wanted, digest=digest)
    assert report.outcome is Outcome.REFUSED
    assert report.problem is not None
    assert report.problem.code == f"test.{deed}"
    assert machine.snapshot() == before
    assert machine.served == served
    assert machine.generations == []
    assert not machine.has_journal
    assert not [deed for deed in machine.faults.calls if "reload" in deed or "reread" in deed]


def test_files_that_stay_but_could_not_be_reloaded_refuse_a_certificate(
    machine: Machine, wanted: DesiredState
) -> None:
    """Broken by hand since the last reload: a rollback would not work either."""
    renewed = with_default(applied(machine, wanted), make_material("renewed").certificate)
    before = machine.snapshot()
    machine.faults.fail("postfix.check_parameters")
    report = machine.apply(renewed)
    assert report.outcome is Outcome.REFUSED
    assert machine.snapshot() == before
    assert "postfix.check" not in machine.faults.calls


def test_a_plan_that_is_not_the_reviewed_one_is_refused(
    machine: Machine, wanted: DesiredState
) -> None:
    digest = make_plan(wanted, machine.host).digest
    machine.main_cf.write_text(machine.main_cf.read_text() + "# edited meanwhile\n")
    before = machine.snapshot()
    report = machine.apply(wanted, digest=digest)
    assert report.outcome is Outcome.REFUSED
    assert report.problem is not None
    assert report.problem.code == "plan.stale"
    assert machine.snapshot() == before


def test_an_apply_in_between_makes_the_reviewed_plan_stale(
    machine: Machine, wanted: DesiredState
) -> None:
    digest = make_plan(wanted, machine.host).digest
    applied(machine, wanted)
    report = machine.apply(wanted, digest=digest)
    assert report.problem is not None
    assert report.problem.code == "plan.stale"


def test_an_edit_during_the_checks_is_refused_and_stands(
    machine: Machine, wanted: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest was right when it was compared; the parsers take a moment."""
    check = machine.host.check_postfix

    def check_while_somebody_edits(files: PostfixFiles, staging: Path) -> None:
        check(files, staging)
        machine.main_cf.write_text(f"{machine.main_cf.read_text()}# by hand\n")

    monkeypatch.setattr(machine.host, "check_postfix", check_while_somebody_edits)
    report = machine.apply(wanted)
    assert report.outcome is Outcome.REFUSED
    assert report.problem == Problem("plan.file_edited", subject=str(machine.main_cf))
    assert machine.main_cf.read_text().endswith("# by hand\n")
    assert machine.host.store.open_journal() is None


def test_a_port_that_somebody_else_holds_is_refused(machine: Machine, wanted: DesiredState) -> None:
    refuse_busy_port(machine)
    before = machine.snapshot()
    report = machine.apply(wanted)
    assert report.problem == machine.port_problem
    assert machine.snapshot() == before


@pytest.mark.parametrize("daemon", list(Daemon))
def test_a_daemon_that_is_down_before_is_refused(
    machine: Machine, wanted: DesiredState, daemon: Daemon
) -> None:
    machine.die(daemon)
    report = machine.apply(wanted)
    assert report.problem == Problem("daemon.down", subject=str(daemon))
    assert report.outcome is Outcome.REFUSED


def test_a_key_of_another_certificate_is_refused_before_anything_is_written(
    machine: Machine, wanted: DesiredState
) -> None:
    crossed = replace(make_material("crossed").certificate, key_pem=wanted.certificates[1].key_pem)
    before = machine.snapshot()
    report = machine.apply(with_default(wanted, crossed))
    assert report.problem is not None
    assert report.problem.code == "material.key_mismatch"
    assert machine.snapshot() == before
    assert machine.generations == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"key_pem": "no key"}, "material.key_mismatch"),
        ({"key_pem": ""}, "material.key_missing"),
        ({"leaf_pem": "no certificate"}, "material.leaf_unreadable"),
        ({"chain_pem": "no chain"}, "material.chain_unreadable"),
    ],
)
def test_material_that_cannot_be_served_is_refused(
    machine: Machine, wanted: DesiredState, changes: dict[str, str], code: str
) -> None:
    spoiled = replace(make_material("spoiled").certificate, **changes)
    report = machine.apply(with_default(wanted, spoiled))
    assert report.outcome is Outcome.REFUSED
    assert report.problem is not None
    assert report.problem.code == code


def test_a_leaf_other_than_the_one_named_is_refused(machine: Machine, wanted: DesiredState) -> None:
    other = make_material("other").certificate
    posing = replace(make_material("named").certificate, leaf_pem=other.leaf_pem)
    report = machine.apply(with_default(wanted, posing))
    assert report.problem is not None
    assert report.problem.code == "material.other_leaf"


# Taken back: the host is as it was, and that is proven


def break_one_port(machine: Machine, port: int) -> None:
    """Let a port show the new state, but with a handshake that fails."""
    old = set(machine.served.values())

    def disturb(seen: Seen) -> Seen:
        if seen.port == port and seen.fingerprint and seen.fingerprint not in old:
            return replace(seen, error="probe.tls_failed", error_text="reset", fingerprint="")
        return seen

    machine.disturb = disturb


AFTER_THE_JOURNAL = ["store.switch_live", "host.put_files", "dovecot.reload", "postfix.reload"]


@pytest.mark.parametrize("is_first", [True, False], ids=["first apply", "later apply"])
@pytest.mark.parametrize("deed", AFTER_THE_JOURNAL)
def test_what_fails_after_the_journal_is_taken_back(
    machine: Machine, wanted: DesiredState, deed: str, is_first: bool
) -> None:
    if not is_first:
        applied(machine, with_open(machine.state_now(), "pop3", is_open=False))
    digest = make_plan(wanted, machine.host).digest
    before, served, generations = machine.snapshot(), machine.served, machine.generations
    machine.faults.fail(deed)
    report = machine.apply(wanted, digest=digest)
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem is not None
    assert report.problem.code == f"test.{deed}"
    assert machine.snapshot() == before
    assert machine.served == served
    assert machine.generations == generations
    assert not machine.has_journal
    assert machine.host.store.read_result("one") == report
    assert report.steps[-1].code == "proved_as_before"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_file_that_cannot_be_put_in_place_is_taken_back(
    machine: Machine, wanted: DesiredState, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    put = host_module.replace_file
    count = 0

    def put_or_fail(*arguments: object) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise AgentError.because("file.unwritable", "/somewhere")
        put(*arguments)  # type: ignore[arg-type]

    digest = make_plan(wanted, machine.host).digest
    before, served = machine.snapshot(), machine.served
    monkeypatch.setattr(host_module, "replace_file", put_or_fail)
    report = machine.apply(wanted, digest=digest)
    assert count == number
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem is not None
    assert report.problem.code == "file.unwritable"
    assert machine.snapshot() == before
    assert machine.served == served


@pytest.mark.parametrize("port", [25, 465, 143])
def test_a_port_that_does_not_show_the_new_certificate_is_taken_back(
    machine: Machine, wanted: DesiredState, port: int
) -> None:
    before, served = machine.snapshot(), machine.served
    break_one_port(machine, port)
    report = machine.apply(wanted)
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem is not None
    assert (report.problem.code, report.problem.params["port"]) == ("probe.tls_failed", port)
    assert machine.snapshot() == before
    assert machine.served == served
    assert {seen.fingerprint for seen in report.evidence if seen.is_open} == set(served.values())


def test_a_difference_that_shows_up_late_is_taken_back(
    machine: Machine, wanted: DesiredState
) -> None:
    served = machine.served

    def worsen(seen: Seen) -> Seen:
        # For as long as new certificates are served: nothing is wrong with the old state.
        is_new = bool(seen.fingerprint) and seen.fingerprint not in served.values()
        is_late = machine.faults.calls.count("probe") > 4
        return replace(seen, fingerprint="", error="probe.timeout") if is_new and is_late else seen

    machine.disturb = worsen
    report = machine.apply(wanted)
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem is not None
    assert report.problem.code == "probe.timeout"
    codes = [step.code for step in report.steps]
    assert codes.index("proved") < codes.index("watched") < codes.index("restored")


def test_a_port_that_stays_open_names_who_answers(machine: Machine, wanted: DesiredState) -> None:
    state = with_open(wanted, "pop3", is_open=False)
    served = machine.served

    def keep_open(seen: Seen) -> Seen:
        return replace(seen, is_open=True) if seen.port == 110 else seen

    machine.disturb = keep_open
    report = machine.apply(state)
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem is not None
    assert report.problem.code == "probe.still_open"
    assert report.problem.params["holder"] == "squatter (pid 4711)"
    assert machine.served == served


def test_the_old_port_of_a_moved_listener_must_be_closed(
    machine: Machine, wanted: DesiredState
) -> None:
    state = with_listener(applied(machine, wanted), "imaps", port=9993)

    def keep_open(seen: Seen) -> Seen:
        return replace(seen, is_open=True) if seen.port == 993 else seen

    machine.disturb = keep_open
    report = machine.apply(state)
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem is not None
    assert (report.problem.code, report.problem.subject) == ("probe.still_open", "imaps")
    assert report.problem.params["port"] == 993


@pytest.mark.parametrize("daemon", list(Daemon))
def test_a_daemon_that_dies_of_the_change_is_started_again_at_once(
    machine: Machine, wanted: DesiredState, daemon: Daemon
) -> None:
    before, served = machine.snapshot(), machine.served
    reload = machine.host.postfix.reload

    def reload_and_die() -> None:
        reload()
        machine.host.postfix.reload = reload  # type: ignore[method-assign]
        machine.die(daemon)

    machine.host.postfix.reload = reload_and_die  # type: ignore[method-assign]
    report = machine.apply(wanted)
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem == Problem("daemon.died", subject=str(daemon))
    assert f"{daemon}.start" in machine.faults.calls
    assert machine.snapshot() == before
    assert machine.served == served
    # All mail stands still meanwhile: a dead master does not come back by waiting.
    assert machine.now < 1


def test_a_daemon_that_dies_though_it_was_not_touched_is_started_again(
    machine: Machine, wanted: DesiredState
) -> None:
    state = applied(machine, wanted)
    served = machine.served
    reload = machine.host.postfix.reload

    def reload_while_dovecot_dies() -> None:
        reload()
        machine.host.postfix.reload = reload  # type: ignore[method-assign]
        machine.die(Daemon.DOVECOT)

    machine.host.postfix.reload = reload_while_dovecot_dies  # type: ignore[method-assign]
    report = machine.apply(with_open(state, "submission", is_open=False))
    assert report.outcome is Outcome.ROLLED_BACK
    assert "dovecot.start" in machine.faults.calls
    assert machine.served == served


def test_dovecot_that_does_not_answer_after_its_reload_is_taken_back(
    machine: Machine, wanted: DesiredState
) -> None:
    before = machine.snapshot()
    machine.is_dovecot_answering = False
    reload = machine.host.dovecot.reload

    def heal_at_second_reload() -> None:
        machine.is_dovecot_answering = "dovecot.reload" in machine.faults.calls
        reload()

    machine.host.dovecot.reload = heal_at_second_reload  # type: ignore[method-assign]
    report = machine.apply(wanted)
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem is not None
    assert report.problem.code == "dovecot.not_answering"
    assert machine.snapshot() == before
    assert machine.faults.calls.count("postfix.reload") == 1  # only to take it back


def test_a_re_read_that_is_refused_is_taken_back(machine: Machine, wanted: DesiredState) -> None:
    state = applied(machine, wanted)
    served = machine.served
    refusal = AgentError.because("dovecot.reread_refused", words="line 3: unknown setting")
    machine.faults.calls.clear()
    machine.faults.fail("dovecot.reread", error=lambda: refusal)
    report = machine.apply(with_default(state, make_material("renewed").certificate))
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem == refusal.problem
    assert machine.served == served


def test_a_re_read_that_is_not_available_becomes_a_reload(
    machine: Machine, wanted: DesiredState
) -> None:
    renewed = with_default(applied(machine, wanted), make_material("renewed").certificate)
    digest = make_plan(renewed, machine.host).digest
    missing = AgentError.because("dovecot.reread_unavailable", detail="No such file")
    machine.faults.calls.clear()
    machine.faults.fail("dovecot.reread", error=lambda: missing)
    report = machine.apply(renewed, digest=digest)
    assert report.outcome is Outcome.SUCCEEDED
    assert "dovecot.reload" in machine.faults.calls
    statuses = {step.code: step.status for step in report.steps}
    assert statuses["reread"] is StepStatus.FAILED
    assert statuses["reloaded"] is StepStatus.DONE


def test_a_re_read_that_shows_nothing_new_becomes_a_reload(
    machine: Machine, wanted: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = with_default(applied(machine, wanted), make_material("renewed").certificate)
    monkeypatch.setattr(machine.host.dovecot, "reread", lambda: None)
    report = machine.apply(renewed)
    assert report.outcome is Outcome.SUCCEEDED
    assert machine.faults.calls.count("dovecot.reload") == 1
    assert ("reloaded", "dovecot") in [(step.code, step.subject) for step in report.steps]


def test_postfix_being_late_does_not_make_dovecot_reload(
    machine: Machine, wanted: DesiredState
) -> None:
    renewed = with_default(applied(machine, wanted), make_material("renewed").certificate)
    old = wanted.default_certificate

    def be_late(seen: Seen) -> Seen:
        return replace(seen, fingerprint=old) if seen.port == 25 and machine.now < 3 else seen

    machine.now = 0.0
    machine.disturb = be_late
    report = machine.apply(renewed)
    assert report.outcome is Outcome.SUCCEEDED
    assert machine.now > 3
    assert "dovecot.reload" not in machine.faults.calls


def stand_still(machine: Machine, step: str, *, showing: str) -> None:
    """Let the machine stand still for a minute in the first look of the step."""
    looks: list[int] = []

    def disturb(seen: Seen) -> Seen:
        if machine.told[-1].code != step:
            return seen
        look = machine.faults.calls.count("probe")
        if not looks:
            looks.append(look)
            machine.now += 60
        return replace(seen, fingerprint=showing) if seen.is_open and looks == [look] else seen

    machine.disturb = disturb


def test_a_look_in_which_the_machine_stood_still_is_not_the_last(
    machine: Machine, wanted: DesiredState
) -> None:
    """What it shows is what was there before, though it ends when all patience is over."""
    renewed = with_default(applied(machine, wanted), make_material("renewed").certificate)
    stand_still(machine, "proved", showing=wanted.default_certificate)
    report = machine.apply(renewed)
    assert report.outcome is Outcome.SUCCEEDED, report.problem

    machine.faults.fail("postfix.reload")
    stand_still(machine, "proved_as_before", showing=wanted.default_certificate)
    report = machine.apply(with_default(renewed, make_material("third").certificate))
    assert report.outcome is Outcome.ROLLED_BACK, report.problem


def test_the_watch_ends_with_a_look_that_was_begun_after_two_seconds(
    machine: Machine, wanted: DesiredState
) -> None:
    machine.now = 0.0
    looks: list[float] = []

    def note(seen: Seen) -> Seen:
        if machine.told and machine.told[-1].code == "watched":
            looks.append(machine.now)
            machine.now += 60
        return seen

    machine.disturb = note
    report = machine.apply(with_open(machine.state_now(), "pop3", is_open=False))
    assert report.outcome is Outcome.SUCCEEDED
    assert report.steps[-1].evidence["rounds"] == 2
    assert looks[0] < 2 < looks[-1]


def test_a_mistake_of_our_own_does_not_leave_the_host_half_changed(
    machine: Machine, wanted: DesiredState
) -> None:
    before, served = machine.snapshot(), machine.served
    machine.faults.fail("postfix.reload", error=lambda: RuntimeError("a bug"))
    report = machine.apply(wanted)
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem == Problem("agent.fault")
    assert machine.snapshot() == before
    assert machine.served == served


def test_a_mistake_of_our_own_before_the_journal_refuses(
    machine: Machine, wanted: DesiredState
) -> None:
    before = machine.snapshot()
    machine.faults.fail("postfix.check", error=lambda: OSError(28, "No space left on device"))
    report = machine.apply(wanted)
    assert report.outcome is Outcome.REFUSED
    assert report.problem == Problem("agent.fault")
    assert machine.snapshot() == before
    assert machine.generations == []


@pytest.mark.parametrize("deed", ["store.save_result", "store.end", "store.prune"])
def test_a_proven_state_that_cannot_be_noted_is_never_undone_later(
    machine: Machine, wanted: DesiredState, deed: str
) -> None:
    """The disk is full after the proof: what stands must be what the report says stands."""
    machine.faults.fail(deed)
    report = machine.apply(wanted)
    served = machine.served
    machine.restart_agent()
    machine.applier.recover(lambda _: None)
    assert machine.served == served
    expected = {wanted.default_certificate}
    assert (set(served.values()) == expected) == (report.outcome is Outcome.SUCCEEDED)


# A rollback that fails, too


IN_THE_ROLLBACK = ["store.undo_files", "dovecot.reload", "postfix.reload", "store.switch_live"]


@pytest.mark.parametrize("deed", IN_THE_ROLLBACK)
def test_a_rollback_that_fails_says_so_keeps_its_journal_and_is_ended_later(
    machine: Machine, wanted: DesiredState, deed: str
) -> None:
    before, served = machine.snapshot(), machine.served
    break_one_port(machine, 25)
    is_called_before = deed != "store.undo_files"
    machine.faults.fail(deed, at=2 if is_called_before else 1)
    digest = make_plan(wanted, machine.host).digest
    report = machine.apply(wanted, digest=digest)
    assert report.outcome is Outcome.FAILED
    assert report.problem is not None
    assert report.problem.code == "rollback.not_proven"
    assert report.problem.params == {
        "reason": "probe.tls_failed",
        "reason.subject": "smtp",
        "reason.address": ADDRESS,
        "reason.port": 25,
        "reason.detail": "reset",
        "problem": f"test.{deed}",
        "restored": deed.endswith(".reload"),
    }
    assert machine.has_journal

    machine.restart_agent()
    machine.disturb = lambda seen: seen
    recovered = machine.applier.recover(lambda _: None)
    assert recovered is not None
    assert recovered.outcome is Outcome.ROLLED_BACK
    assert machine.snapshot() == before
    assert machine.served == served
    assert not machine.has_journal
    assert machine.host.store.read_result("one") == recovered


def test_a_daemon_that_cannot_be_started_again_is_said(
    machine: Machine, wanted: DesiredState
) -> None:
    reload = machine.host.postfix.reload

    def reload_and_die() -> None:
        reload()
        machine.die(Daemon.POSTFIX)

    machine.host.postfix.reload = reload_and_die  # type: ignore[method-assign]
    machine.faults.fail_always("postfix.start")
    report = machine.apply(wanted)
    assert report.outcome is Outcome.FAILED
    assert report.problem is not None
    assert report.problem.params == {
        "reason": "daemon.died",
        "reason.subject": "postfix",
        "problem": "test.postfix.start",
        "restored": True,
    }
    assert machine.has_journal


def test_an_old_state_that_does_not_come_back_is_a_failure(
    machine: Machine, wanted: DesiredState
) -> None:
    old = set(machine.served.values())
    machine.disturb = lambda seen: (
        replace(seen, fingerprint="", error="probe.tls_failed")
        if "postfix.reload" in machine.faults.calls and seen.is_open
        else seen
    )
    report = machine.apply(wanted)
    assert report.outcome is Outcome.FAILED
    assert report.problem is not None
    assert report.problem.params["problem"] == "probe.not_as_before"
    assert set(machine.served.values()) == old  # the files are back all the same


NAME = "imap.example.test"


def test_every_host_name_of_both_states_is_looked_at_before_and_after_a_rollback(
    machine: Machine, wanted: DesiredState
) -> None:
    applied(machine, wanted)
    state = with_name(
        replace(wanted, sni_bindings=()), "new.example.test", make_material("other").certificate
    )
    break_one_port(machine, 25)
    report = machine.apply(state)
    assert report.outcome is Outcome.ROLLED_BACK
    asked: dict[str, set[int]] = {}
    for seen in report.evidence:
        asked.setdefault(seen.sni_name, set()).add(seen.port)
    assert asked.keys() == {"", NAME, "new.example.test"}
    assert len(set(map(frozenset, asked.values()))) == 1
    own = next(item for item in wanted.sni_bindings).certificate
    shown = {seen.fingerprint for seen in report.evidence if seen.sni_name == NAME}
    assert own in shown


def test_a_host_name_that_does_not_get_its_certificate_back_is_a_failure(
    machine: Machine, wanted: DesiredState
) -> None:
    applied(machine, wanted)
    break_one_port(machine, 25)
    spoil = machine.disturb
    machine.disturb = lambda seen: (
        replace(spoil(seen), fingerprint=wanted.default_certificate)
        if "store.undo_files" in machine.faults.calls and seen.sni_name == NAME
        else spoil(seen)
    )
    report = machine.apply(with_default(wanted, make_material("newer").certificate))
    assert report.outcome is Outcome.FAILED
    assert report.problem is not None
    assert report.problem.params["problem"] == "probe.not_as_before"


@pytest.mark.parametrize("is_another", [True, False])
def test_a_port_that_somebody_takes_meanwhile_is_not_ours_to_close(
    machine: Machine, wanted: DesiredState, is_another: bool
) -> None:
    break_one_port(machine, 25)
    spoil = machine.disturb
    machine.disturb = lambda seen: (
        replace(seen, is_open=True, error="probe.timeout", fingerprint="")
        if seen.port == 465 and "host.put_files" in machine.faults.calls
        else spoil(seen)
    )
    if is_another:
        machine.held_by_another.add(465)
    report = machine.apply(wanted)
    assert report.outcome is (Outcome.ROLLED_BACK if is_another else Outcome.FAILED)


def test_a_pending_rollback_refuses_a_new_apply_until_it_is_proven(
    machine: Machine, wanted: DesiredState
) -> None:
    before, served = machine.snapshot(), machine.served
    break_one_port(machine, 25)
    machine.faults.fail_always("store.undo_files")
    assert machine.apply(wanted).outcome is Outcome.FAILED

    second = machine.apply(wanted, "two")
    assert second.outcome is Outcome.REFUSED
    assert second.problem is not None
    assert second.problem.code == "agent.recovery_pending"
    assert second.problem.params["problem"] == "test.store.undo_files"
    assert machine.has_journal

    machine.faults.heal()
    machine.disturb = lambda seen: seen
    third = machine.apply(wanted, "three")
    # The plan was made over the half-changed host; what matters is that this one is undone.
    assert third.problem is not None
    assert third.problem.code == "plan.stale"
    assert machine.snapshot() == before
    assert machine.served == served
    assert machine.apply(wanted, "four").outcome is Outcome.SUCCEEDED


def test_the_steps_of_a_late_rollback_do_not_hide_each_other(
    machine: Machine, wanted: DesiredState
) -> None:
    break_one_port(machine, 25)
    machine.faults.fail_always("store.undo_files")
    machine.apply(wanted)
    machine.faults.heal()
    machine.disturb = lambda seen: seen
    report = machine.apply(wanted, "two")
    assert [step.code for step in report.steps] == [
        "recovered", "restored", "reloaded", "reloaded", "proved_as_before", "planned",
    ]  # fmt: skip
    latest = {event.position: event for event in machine.told}
    assert tuple(latest[position] for position in sorted(latest)) == report.steps


# No secret in what is told


def test_no_key_is_in_a_plan_a_report_or_an_event(machine: Machine, wanted: DesiredState) -> None:
    plan = make_plan(wanted, machine.host).report()
    break_one_port(machine, 25)
    report = machine.apply(wanted)
    told = json.dumps(
        [plan.as_dict(), report.as_dict(), [event.as_dict() for event in machine.told]]
    )
    assert "PRIVATE KEY" not in told
    for certificate in wanted.certificates:
        for line in certificate.key_pem.splitlines()[1:-1]:
            assert line not in told
    assert "PRIVATE KEY" not in repr(wanted)
