"""Steps are numbered, timed, and told twice: when they begin and when they are over."""

from __future__ import annotations

from datetime import datetime

import pytest

from mailadmin.agent.protocol import AgentError, StepEvent, StepStatus
from mailadmin.agent.steps import Steps


def test_a_step_is_told_when_it_begins_and_when_it_is_over() -> None:
    told: list[StepEvent] = []
    steps = Steps(told.append)
    with steps.run("staged", "4") as evidence:
        assert [event.status for event in told] == [StepStatus.RUNNING]
        evidence["generation"] = 4
    begun, ended = told
    assert (begun.position, begun.code, begun.subject, begun.duration_ms) == (
        0,
        "staged",
        "4",
        None,
    )
    assert (ended.position, ended.status) == (0, StepStatus.DONE)
    assert ended.evidence == {"generation": 4}
    assert ended.duration_ms is not None
    assert begun.at == ended.at
    assert datetime.fromisoformat(begun.at).tzinfo is not None
    assert steps.events == [ended]


def test_a_failed_step_carries_its_problem_and_goes_on_to_the_caller() -> None:
    steps = Steps(lambda _: None)
    with pytest.raises(AgentError), steps.run("checked", "postfix"):
        raise AgentError.because("postfix.check_failed", words="bad field count")
    (event,) = steps.events
    assert event.status is StepStatus.FAILED
    assert event.evidence["problem"]["params"] == {"words": "bad field count"}


def test_a_fault_fails_the_step_without_its_text() -> None:
    steps = Steps(lambda _: None)
    with pytest.raises(ValueError, match="secret"), steps.run("checked"):
        raise ValueError("secret")
    assert steps.events[0].status is StepStatus.FAILED
    assert "secret" not in str(steps.events)


def test_a_step_inside_another_keeps_its_own_number() -> None:
    told: list[StepEvent] = []
    steps = Steps(told.append)
    with steps.run("proved"), steps.run("reloaded", "dovecot"):
        pass
    assert [event.position for event in told] == [0, 1, 1, 0]
    assert [event.code for event in steps.events] == ["proved", "reloaded"]


def test_numbers_go_on_where_others_stopped() -> None:
    steps = Steps(lambda _: None, first=3)
    with steps.run("restored"):
        pass
    steps.note("proved", evidence={"listeners": []})
    assert [event.position for event in steps.events] == [3, 4]
    assert steps.events[1].evidence == {"listeners": []}


def test_how_far_a_step_is_is_told_and_not_kept() -> None:
    told: list[StepEvent] = []
    steps = Steps(told.append)
    with steps.run("proved") as evidence:
        steps.progress(names=213, of=500)
        evidence["proof_ms"] = 9
    assert (told[1].position, told[1].status) == (0, StepStatus.RUNNING)
    assert told[1].evidence == {"names": 213, "of": 500}
    assert [event.evidence for event in steps.events] == [{"proof_ms": 9}]
