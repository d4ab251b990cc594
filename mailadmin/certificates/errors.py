"""How a service of this app says no: with problems, not with HTTP."""

from __future__ import annotations

from mailadmin.pki.problems import Problem


class CertificateRefusedError(Exception):
    """What was asked cannot be done, and nothing was stored. ``problems`` say why."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(", ".join(problem.code for problem in problems))
        self.problems = problems
