"""How a service says no: with problems, not with HTTP."""

from __future__ import annotations

from mailadmin.pki.problems import Problem


class ChangeRefusedError(Exception):
    """The change makes no sense or cannot be made; nothing was stored. ``problems`` say why."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(", ".join(problem.code for problem in problems))
        self.problems = problems
