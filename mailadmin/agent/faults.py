"""Faults of the agent's own: what crosses to the panel, and what must not stop the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mailadmin.agent.protocol import AgentError
from mailadmin.pki.problems import Problem

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
