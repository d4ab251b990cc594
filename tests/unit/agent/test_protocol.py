"""What crosses the socket comes back as it was, and what is not ours is refused with a code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailadmin.agent import protocol
from mailadmin.agent.protocol import (
    MAX_MESSAGE,
    AgentError,
    ApplyReport,
    Outcome,
    PlanReport,
    StepEvent,
    StepStatus,
    Verb,
)
from mailadmin.pki.problems import Problem, Severity
from tests.unit.agent.test_store import REPORT

STEP = StepEvent(2, "swapped", "", StepStatus.RUNNING, "2026-01-01T00:00:00+00:00")


def over_the_wire(value: dict[str, Any]) -> dict[str, Any]:
    return protocol.decode(protocol.encode(value))


def test_a_report_comes_back_as_it_was() -> None:
    assert ApplyReport.from_dict(over_the_wire(REPORT.as_dict())) == REPORT
    plain = ApplyReport(Outcome.SUCCEEDED, ())
    assert ApplyReport.from_dict(over_the_wire(plain.as_dict())) == plain


def test_a_step_comes_back_as_it_was() -> None:
    assert StepEvent.from_dict(over_the_wire(STEP.as_dict())) == STEP


def test_a_plan_comes_back_as_it_was() -> None:
    plan = PlanReport(
        "d" * 64,
        ({"name": "main.cf", "lines": ["-a", "+b"]},),
        (Problem("smtp.closed", Severity.WARNING, "smtp", {"port": 25}),),
        {"postfix": "3.7.11"},
    )
    assert PlanReport.from_dict(over_the_wire(plan.as_dict())) == plan


def test_one_message_is_one_line() -> None:
    line = protocol.encode({"text": "first\nsecond\u2028third"})
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


def test_a_message_at_the_limit_passes_and_one_above_does_not() -> None:
    frame = len(protocol.encode({"a": ""}))
    protocol.decode(protocol.encode({"a": "x" * (MAX_MESSAGE - frame)}))
    with pytest.raises(AgentError) as raised:
        protocol.encode({"a": "x" * (MAX_MESSAGE - frame + 1)})
    assert raised.value.problem.code == "agent.message_too_large"
    with pytest.raises(AgentError) as raised:
        protocol.decode(b"x" * (MAX_MESSAGE + 1))
    assert raised.value.problem.params == {"limit": MAX_MESSAGE}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"GET / HTTP/1.1\r\n",
        b"\xff\xfe\x00",
        b'{"verb": "observe"',
        b"[]",
        b'"observe"',
        b"null",
        b"17",
        b"9" * 10_000,
        b"[" * 1_000_000,
        b'{"a":' * 500_000,
        b'{"verb": "observe", "params": []}',
        b'{"verb": "observe", "params": null}',
        b'{"verb": "observe", "request_id": 5}',
        b'{"verb": "observe", "request_id": null}',
    ],
    ids=lambda line: repr(line[:40]),
)
def test_what_is_not_a_request_is_refused(line: bytes) -> None:
    with pytest.raises(AgentError) as raised:
        protocol.read_request(line)
    assert raised.value.problem.code == "agent.message_unreadable"


@pytest.mark.parametrize("verb", ["", "OBSERVE", "run", "rollback", None, 5, ["observe"], {}])
def test_an_unknown_verb_is_refused(verb: object) -> None:
    with pytest.raises(AgentError) as raised:
        protocol.read_request(json.dumps({"verb": verb}).encode())
    assert raised.value.problem.code == "agent.verb_unknown"


@pytest.mark.parametrize("verb", list(Verb))
def test_each_verb_is_read(verb: Verb) -> None:
    request = protocol.read_request(json.dumps({"verb": verb, "request_id": "r" * 100}).encode())
    assert request.verb is verb
    assert request.params == {}
    assert request.request_id == "r" * 64


def test_a_request_does_not_print_what_it_carries() -> None:
    line = json.dumps({"verb": "plan", "params": {"key_pem": "very secret"}}).encode()
    assert "very secret" not in repr(protocol.read_request(line))


def test_an_error_prints_its_code_alone() -> None:
    error = AgentError.because("postfix.check_failed", "main.cf", words="very secret")
    assert str(error) == "postfix.check_failed"
    assert "very secret" not in repr(error)


def test_what_no_database_can_store_is_replaced_wherever_it_stands() -> None:
    said = {"dialogue": [["server", "220 \0 \udcff ok"]], "a\0b": 1, "pair": "\N{OPEN LOCK}"}
    assert over_the_wire(said) == {
        "dialogue": [["server", "220 \ufffd \ufffd ok"]],
        "a\ufffdb": 1,
        "pair": "\N{OPEN LOCK}",
    }


def test_words_about_such_characters_stay_as_they_are() -> None:
    assert over_the_wire({"words": r"a \u0000 and a \ud800"}) == {"words": r"a \u0000 and a \ud800"}
