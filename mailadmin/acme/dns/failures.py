"""How this package says that something could not be done."""

from __future__ import annotations

from mailadmin.pki.problems import Param, Problem


class DnsFailure(Exception):  # noqa: N818 - what failed is the DNS, not the program
    """DNS gave no usable answer, or did not take a record. ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def dns_failure(code: str, subject: str = "", **params: Param) -> DnsFailure:
    """Return the exception with the problem of this code."""
    return DnsFailure(Problem(code, subject=subject, params=params))
