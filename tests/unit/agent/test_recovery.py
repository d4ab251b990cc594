"""An agent that is killed at any point: the next finds a proven state, or brings the old back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import mailadmin.agent.host as host_module
from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState
from tests.file_calls import KilledError
from tests.states import make_material, with_default, with_open
from tests.unit.agent.machine import Machine


@pytest.fixture
def wanted(machine: Machine) -> DesiredState:
    state = with_default(machine.state_now(), make_material("new").certificate)
    return with_open(state, "submissions")


def recover(machine: Machine) -> ApplyReport | None:
    """Start another agent over the same folder."""
    machine.restart_agent()
    return machine.applier.recover(lambda _: None)


def apply_until_killed(machine: Machine, state: DesiredState) -> None:
    with pytest.raises(KilledError):
        machine.apply(state)


@pytest.mark.parametrize("deed", ["store.write_generation", "postfix.check", "store.begin"])
def test_killed_before_the_journal_nothing_has_happened(
    machine: Machine, wanted: DesiredState, deed: str
) -> None:
    before, served = machine.snapshot(), machine.served
    machine.faults.fail(deed, error=KilledError)
    apply_until_killed(machine, wanted)
    assert recover(machine) is None
    assert machine.snapshot() == before
    assert machine.served == served
    assert machine.apply(wanted).outcome is Outcome.SUCCEEDED


AFTER_THE_JOURNAL = [
    "store.begun",
    "store.switch_live",
    "host.put_files",
    "dovecot.reload",
    "postfix.reload",
    "store.save_result",
]


@pytest.mark.parametrize("is_first", [True, False], ids=["first apply", "later apply"])
@pytest.mark.parametrize("deed", AFTER_THE_JOURNAL)
def test_killed_after_the_journal_everything_is_put_back(
    machine: Machine, wanted: DesiredState, deed: str, is_first: bool
) -> None:
    if not is_first:
        machine.apply(with_open(machine.state_now(), "pop3", is_open=False), "earlier")
    before, served, generations = machine.snapshot(), machine.served, machine.generations
    machine.faults.fail(deed, error=KilledError)
    apply_until_killed(machine, wanted)
    assert machine.has_journal

    report = recover(machine)
    assert report is not None
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem is not None
    assert report.problem.code == "agent.interrupted"
    assert machine.snapshot() == before
    assert machine.served == served
    assert machine.generations == generations
    assert not machine.has_journal
    assert machine.host.store.read_result("one") == report
    assert machine.apply(wanted, "two").outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("number", [1, 2, 3])
def test_killed_after_each_file_everything_is_put_back(
    machine: Machine, wanted: DesiredState, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before, served = machine.snapshot(), machine.served
    put = host_module.replace_file
    count = 0

    def put_and_die(*arguments: object) -> None:
        nonlocal count
        put(*arguments)  # type: ignore[arg-type]
        count += 1
        if count == number:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(host_module, "replace_file", put_and_die)
        apply_until_killed(machine, wanted)
    assert machine.snapshot() != before

    report = recover(machine)
    assert report is not None
    assert report.outcome is Outcome.ROLLED_BACK
    assert machine.snapshot() == before
    assert machine.served == served


@pytest.mark.parametrize("look", range(2, 7))
def test_killed_while_it_looks_everything_is_put_back(
    machine: Machine, wanted: DesiredState, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    before, served = machine.snapshot(), machine.served
    probe = machine.probe

    def probe_or_die(*arguments: object) -> object:
        if machine.faults.calls.count("probe") == look - 1:
            raise KilledError
        return probe(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(machine, "probe", probe_or_die)
        apply_until_killed(machine, wanted)

    assert recover(machine) is not None
    assert machine.snapshot() == before
    assert machine.served == served


@pytest.mark.parametrize("deed", ["store.end", "store.prune"])
def test_killed_after_the_result_is_kept_the_proven_state_stands(
    machine: Machine, wanted: DesiredState, deed: str
) -> None:
    machine.faults.fail(deed, error=KilledError)
    apply_until_killed(machine, wanted)
    after, served = machine.snapshot(), machine.served

    report = recover(machine)
    if deed == "store.end":
        assert report is not None
        assert report.outcome is Outcome.SUCCEEDED
    assert machine.snapshot() == after
    assert machine.served == served
    assert set(served.values()) == {wanted.default_certificate}
    assert not machine.has_journal


@pytest.mark.parametrize(
    "deed",
    ["store.undo_files", "dovecot.reload", "postfix.reload", "store.save_result", "store.end"],
)
def test_killed_while_it_puts_back_the_next_agent_goes_on(
    machine: Machine, wanted: DesiredState, deed: str
) -> None:
    before, served = machine.snapshot(), machine.served
    machine.faults.fail("postfix.reload")
    # The rollback tells both daemons again: their second call is the one in it.
    second = {"dovecot.reload": 2, "postfix.reload": 2}
    machine.faults.fail(deed, at=second.get(deed, 1), error=KilledError)
    apply_until_killed(machine, wanted)
    assert machine.has_journal

    report = recover(machine)
    assert report is not None
    assert report.outcome is Outcome.ROLLED_BACK
    assert machine.snapshot() == before
    assert machine.served == served


def test_a_daemon_that_is_gone_with_the_agent_is_started_again(
    machine: Machine, wanted: DesiredState
) -> None:
    served = machine.served
    machine.faults.fail("postfix.reload", error=KilledError)
    apply_until_killed(machine, wanted)
    machine.die(Daemon.POSTFIX)
    machine.die(Daemon.DOVECOT)
    report = recover(machine)
    assert report is not None
    assert report.outcome is Outcome.ROLLED_BACK
    assert machine.served == served


def test_nothing_to_recover_is_nothing_done(machine: Machine) -> None:
    assert recover(machine) is None
    assert machine.faults.calls == []


def test_recovering_twice_is_recovering_once(machine: Machine, wanted: DesiredState) -> None:
    machine.faults.fail("postfix.reload", error=KilledError)
    apply_until_killed(machine, wanted)
    assert recover(machine) is not None
    assert recover(machine) is None


def lose_backup(folder: Path) -> None:
    (folder / "backup" / "3").unlink()


def cut_journal(folder: Path) -> None:
    journal = folder / "journal.json"
    journal.write_bytes(journal.read_bytes()[:100])


def spoil_journal(content: object) -> Callable[[Path], None]:
    return lambda folder: (folder / "journal.json").write_text(json.dumps(content)) and None


def drop_field(name: str) -> Callable[[Path], None]:
    def drop(folder: Path) -> None:
        journal = folder / "journal.json"
        value = json.loads(journal.read_text())
        del value[name]
        journal.write_text(json.dumps(value))

    return drop


@pytest.mark.parametrize(
    "spoil",
    [
        lose_backup,
        cut_journal,
        spoil_journal([]),
        spoil_journal(None),
        spoil_journal("text"),
        spoil_journal({"files": [1, 2]}),
        drop_field("files"),
        drop_field("daemons"),
        drop_field("seen_before"),
    ],
)
def test_an_unreadable_journal_is_never_guessed_at(
    machine: Machine, wanted: DesiredState, spoil: Callable[[Path], None]
) -> None:
    machine.faults.fail("dovecot.reload", error=KilledError)
    apply_until_killed(machine, wanted)
    spoil(machine.config.state_dir)
    before = machine.snapshot()
    with pytest.raises(AgentError) as raised:
        recover(machine)
    assert raised.value.problem.code == "agent.journal_unreadable"
    assert raised.value.problem.subject == str(machine.config.state_dir / "journal.json")

    refused = machine.apply(wanted, "two")
    assert refused.outcome is Outcome.REFUSED
    assert refused.problem is not None
    assert refused.problem.code == "agent.journal_unreadable"
    assert machine.snapshot() == before
    assert machine.has_journal
