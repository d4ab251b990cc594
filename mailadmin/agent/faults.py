"""Faults of the agent's own: what crosses to the panel, and what must not stop the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mailadmin.agent.protocol import AgentError, ApplyReport
from mailadmin.pki.problems import Param, Problem, Severity

logger = logging.getLogger(__name__)


def attempt(deed: Callable[[], object]) -> Problem | None:
    """Do what must not keep the rest from being done; returns what went wrong."""
    try:
        deed()
    except Exception as error:
        problem = as_problem(error)
        logger.warning("the agent's own folder: %s %s", problem.code, problem.subject)
        return problem
    return None


def as_problem(error: Exception) -> Problem:
    """Return what crosses to the panel; the details of a mistake of our own stay in the log."""
    if isinstance(error, AgentError):
        return error.problem
    logger.error("a fault of the agent's own", exc_info=error)
    return Problem("agent.fault")


def reason_of(unproven: Problem | None) -> Problem:
    """Return why a way back was taken that could not be proven."""
    if unproven is None or unproven.code != "rollback.not_proven":
        return Problem("agent.interrupted")
    told, prefix = unproven.params, "reason."
    about = {
        name.removeprefix(prefix): value for name, value in told.items() if name.startswith(prefix)
    }
    return Problem(str(told["reason"]), subject=str(about.pop("subject", "")), params=about)


def recovery_pending(report: ApplyReport) -> Problem:
    """Return that nothing is applied before an earlier way back is proven, and what keeps it."""
    told = dict(report.problem.params) if report.problem else {}
    return Problem("agent.recovery_pending", params=told)


def not_proven(reason: Problem, problem: Problem, *, is_restored: bool) -> Problem:
    """Return that a way back could not be proven: why it was taken, and what is wrong with it.

    ``is_restored``: whether at least every file was put back.

    Each keeps what its sentence is made of, under its own name.
    """
    about: dict[str, Param] = {
        "reason": reason.code,
        "problem": problem.code,
        "restored": is_restored,
    }
    for name, told in (("reason", reason), ("problem", problem)):
        about |= {f"{name}.{key}": value for key, value in told.params.items()}
        if told.subject:
            about[f"{name}.subject"] = told.subject
    return Problem("rollback.not_proven", Severity.ERROR, problem.subject, about)
