"""Sentences that stay sentences when a daemon has a lot to say; its own words go beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mailadmin.deployments.sentences.problems import say_problem
from mailadmin.pki.problems import Problem

_LONG = 160  # characters of a daemon's words that can stand inside a sentence


def say_briefly(problem: Problem | Mapping[str, Any]) -> str:
    """Return a problem as a sentence; of a daemon's long words only the first line."""
    told = _as_problem(problem)
    words = daemon_words(told)
    if words:
        first = words.strip().splitlines()[0][:_LONG]
        params = dict(told.params) | {"words": f"{first}…"}
        told = Problem(told.code, told.severity, told.subject, params)
    return say_problem(told)


def daemon_words(problem: Problem | Mapping[str, Any]) -> str:
    """Return what the daemon itself said where that is too long for a sentence."""
    words = str(_as_problem(problem).params.get("words", ""))
    return words if "\n" in words.strip() or len(words) > _LONG else ""


def _as_problem(problem: Problem | Mapping[str, Any]) -> Problem:
    return problem if isinstance(problem, Problem) else Problem.from_dict(problem)
