"""The agent keeps the time itself: over its socket, and with nobody asking at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from mailadmin.agent import confirming, proving, server
from mailadmin.agent.apply import Applier
from mailadmin.agent.host.trial import Trial
from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome, StepEvent
from mailadmin.agent.trials import Trials
from mailadmin.mailconf.state import DesiredState
from tests.states import make_material, with_default, with_open
from tests.unit.agent.machine import FakeHost, FaultyTrialFile, Machine
from tests.unit.agent.test_server import Served, wait_for

Serve = Callable[..., Served]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> Iterator[Serve]:
    """Start agents over the machine, by the machine's own clocks; each ends the one before."""
    started: list[Served] = []
    monkeypatch.setattr(proving, "_WATCH", 0.0)
    monkeypatch.setattr(confirming, "_LOOK_AGAIN", 0.01)
    monkeypatch.setattr(
        server.Agent,
        "_applier",
        lambda agent: Applier(agent.host, server._probe, deadline_clock=machine.clocks.clock),
    )
    monkeypatch.setattr(
        server, "probe_all", lambda expected, *, is_thorough=True: machine.probe(expected, True)
    )
    monkeypatch.setattr(server, "Host", lambda _: machine.host)

    def start(**config: Any) -> Served:
        if started:
            started.pop().stop()
            machine.host = FakeHost(machine)
        machine.config = replace(machine.config, **config)
        started.append(Served(machine))
        return started[0]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def wanted(machine: Machine) -> DesiredState:
    return with_default(machine.state_now(), make_material("new").certificate)


def put_on_trial(
    served: Served, wanted: DesiredState, seconds: int = 300, deployment_id: str = "one"
) -> ApplyReport:
    digest = served.client.plan(wanted).digest
    return served.client.apply(
        wanted,
        digest=digest,
        deployment_id=deployment_id,
        on_step=lambda _: None,
        confirm_within=seconds,
    )


def code_of(raised: pytest.ExceptionInfo[AgentError]) -> str:
    return raised.value.problem.code


def test_at_the_deadline_the_agent_takes_it_back_by_itself(
    serve: Serve, machine: Machine, wanted: DesiredState
) -> None:
    served, before = serve(), (machine.snapshot(), machine.served)
    report = put_on_trial(served, wanted)
    assert report.outcome is Outcome.SUCCEEDED
    assert served.client.standing("one").seconds_left == 300
    machine.clocks.pass_by(299)
    assert served.client.standing("one").seconds_left == 1
    machine.clocks.pass_by(1)
    wait_for(lambda: not machine.has_trial)
    assert (machine.snapshot(), machine.served) == before
    standing = served.client.standing("one")
    assert standing.report is not None
    assert standing.report.outcome is Outcome.ROLLED_BACK
    assert standing.report.problem is not None
    assert standing.report.problem.params == {"minutes": 5}
    # Whoever asks for the deployment again is told the same.
    assert put_on_trial(served, wanted) == standing.report


def test_confirmed_it_stays_and_the_next_is_watched_again(
    serve: Serve, machine: Machine, wanted: DesiredState
) -> None:
    served = serve()
    put_on_trial(served, wanted)
    served.client.confirm("one")
    served.client.confirm("one")
    machine.clocks.pass_by(1000)
    assert set(machine.served.values()) == {wanted.default_certificate}
    with pytest.raises(AgentError) as raised:
        served.client.take_back("one", lambda _: None)
    assert code_of(raised) == "confirm.kept"

    confirmed, second = machine.snapshot(), with_open(wanted, "pop3", is_open=False)
    digest = served.client.plan(second).digest
    served.client.apply(
        second, digest=digest, deployment_id="two", on_step=lambda _: None, confirm_within=60
    )
    machine.clocks.pass_by(60)
    wait_for(lambda: not machine.has_trial)
    assert machine.snapshot() == confirmed


def test_it_is_taken_back_at_once_on_request(
    serve: Serve, machine: Machine, wanted: DesiredState
) -> None:
    served, before = serve(), (machine.snapshot(), machine.served)
    applied = put_on_trial(served, wanted)
    with pytest.raises(AgentError) as raised:
        served.client.take_back("another", lambda _: None)
    assert code_of(raised) == "confirm.another"
    told: list[StepEvent] = []
    report = served.client.take_back("one", told.append)
    assert report.problem is not None
    assert report.problem.code == "confirm.declined"
    assert (machine.snapshot(), machine.served) == before
    assert told[-1] == report.steps[-1]
    assert told[0].position == len(applied.steps)
    assert served.client.take_back("one", told.append) == report
    with pytest.raises(AgentError) as raised:
        served.client.confirm("one")
    assert code_of(raised) == "confirm.too_late"


def test_the_next_one_keeps_its_own_time_after_one_taken_back(
    serve: Serve, machine: Machine, wanted: DesiredState
) -> None:
    served, before = serve(), machine.snapshot()
    put_on_trial(served, wanted, 3600)
    wait_for(lambda: served.agent.confirming._changed._waiters)  # type: ignore[attr-defined]
    served.client.take_back("one", lambda _: None)
    put_on_trial(served, wanted, 60, "two")
    machine.clocks.pass_by(60)
    wait_for(lambda: not machine.has_trial)
    assert machine.snapshot() == before


def test_a_machine_that_sleeps_just_after_the_look_loses_no_time(
    serve: Serve, machine: Machine, wanted: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, before = serve(), machine.snapshot()
    look, naps = Trials.left, [300.0]

    def look_and_sleep(trials: Trials, trial: Trial) -> float:
        left = look(trials, trial)
        if naps:
            machine.clocks.pass_by(naps.pop())
        return left

    monkeypatch.setattr(Trials, "left", look_and_sleep)
    put_on_trial(served, wanted)
    wait_for(lambda: not machine.has_trial)
    assert machine.snapshot() == before


def test_whoever_asks_while_it_is_forgotten_is_not_told_that_it_stands(
    serve: Serve, machine: Machine, wanted: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    put_on_trial(served, wanted)
    told: list[ApplyReport] = []
    drop = FaultyTrialFile.drop

    def drop_and_ask(file: FaultyTrialFile) -> None:
        drop(file)
        told.append(put_on_trial(served, wanted))

    monkeypatch.setattr(FaultyTrialFile, "drop", drop_and_ask)
    report = served.client.take_back("one", lambda _: None)
    assert report.outcome is Outcome.ROLLED_BACK
    assert told == [report]


def test_another_agent_takes_up_the_time(
    serve: Serve, machine: Machine, wanted: DesiredState
) -> None:
    served, before = serve(), (machine.snapshot(), machine.served)
    put_on_trial(served, wanted)
    served = serve()
    assert served.client.standing("one").seconds_left == 300
    machine.clocks.pass_by(300)
    wait_for(lambda: not machine.has_trial)
    assert (machine.snapshot(), machine.served) == before


def test_what_ran_out_while_no_agent_was_there_is_gone_before_it_answers(
    serve: Serve, machine: Machine, wanted: DesiredState
) -> None:
    served, before = serve(), (machine.snapshot(), machine.served)
    put_on_trial(served, wanted)
    served.stop()
    machine.clocks.pass_by(300)
    machine.host = FakeHost(machine)
    agent = server.Agent(machine.config)
    agent.prepare()
    try:
        assert (machine.snapshot(), machine.served) == before
    finally:
        agent.release()
        served.stop = lambda: None  # type: ignore[method-assign]


def test_a_disk_that_cannot_be_read_for_a_while_does_not_end_the_watch(
    serve: Serve, machine: Machine, wanted: DesiredState, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(confirming, "_AFTER_A_FAULT", 1.0)
    served, before = serve(), machine.snapshot()
    put_on_trial(served, wanted)
    record = machine.config.state_dir / "trial.json"
    away, circle = record.with_name("away"), record.with_name("circle")
    away.hardlink_to(record)
    circle.symlink_to(record)
    # In one step: nobody may look while there is none.
    circle.replace(record)
    machine.clocks.pass_by(300)
    wait_for(lambda: "the deployment that waits to be confirmed" in caplog.text)
    away.replace(record)
    machine.clocks.pass_by(2)
    wait_for(lambda: not machine.has_trial)
    assert machine.snapshot() == before


@pytest.mark.parametrize("seconds", [0, 59, 3601, True, "300", 90.5])
def test_only_one_to_sixty_minutes_are_taken(
    serve: Serve, machine: Machine, wanted: DesiredState, seconds: Any
) -> None:
    served, before = serve(), machine.snapshot()
    with pytest.raises(AgentError) as raised:
        put_on_trial(served, wanted, seconds)
    assert code_of(raised) == "agent.message_unreadable"
    assert machine.snapshot() == before
    assert put_on_trial(served, wanted, 60).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("verb", ["confirm", "take_back", "standing"])
def test_a_deployment_must_be_named(serve: Serve, verb: str) -> None:
    served = serve()
    for name in ("../../etc/passwd", "", "x" * 65):
        with pytest.raises(AgentError) as raised:
            served.client._ask(server.Verb(verb), {"deployment_id": name})
        assert code_of(raised) == "agent.message_unreadable"
    with pytest.raises(AgentError) as raised:
        served.client._ask(server.Verb(verb), {"deployment_id": "nobody"})
    assert code_of(raised) == "confirm.unknown"
