"""The shape of a problem: frozen, and the same after a trip through JSON."""

from __future__ import annotations

import json

import pytest

from mailadmin.pki.problems import Problem, Severity, has_errors


def test_a_problem_survives_json() -> None:
    problem = Problem("chain.stranger", Severity.WARNING, "ab12", {"name": "X", "count": 2})
    assert Problem.from_dict(json.loads(json.dumps(problem.as_dict()))) == problem


def test_a_parameter_of_another_type_becomes_text() -> None:
    problem = Problem.from_dict({"code": "a.b", "severity": "info", "params": {"value": 1.5}})
    assert problem.params == {"value": "1.5"}
    assert problem.subject == ""


def test_parameters_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(TypeError, match="mapping"):
        Problem.from_dict({"code": "a.b", "severity": "info", "params": ["x"]})


def test_parameters_cannot_be_changed_afterwards() -> None:
    params: dict[str, str | int | bool] = {"name": "before"}
    problem = Problem("a.b", params=params)
    params["name"] = "after"
    assert problem.params["name"] == "before"
    with pytest.raises(TypeError):
        problem.params["name"] = "after"  # type: ignore[index]  # that is the point


def test_only_errors_refuse() -> None:
    assert has_errors([Problem("a.b", Severity.INFO), Problem("c.d")])
    assert not has_errors([Problem("a.b", Severity.INFO), Problem("c.d", Severity.WARNING)])
