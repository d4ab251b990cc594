"""Prove a state by handshakes, and keep looking until old processes can no longer answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailadmin.agent.host import Host
from mailadmin.agent.host.store import Journal
from mailadmin.agent.protocol import AgentError
from mailadmin.agent.steps import Steps
from mailadmin.mailconf import proof
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.pki.problems import Problem

# A connection taken by an old smtpd just after a reload shows the old certificate and lasts about
# one second (measured, worst 1.14 s): no verdict before twice that.
_WATCH = 2.0
# How long the new state may take to show; Postfix throttles a service that died for a while.
_PATIENCE = 8.0
# When Dovecot should have shown a re-read; login processes that serve several clients never do.
_REREAD_PATIENCE = 1.0
_PAUSE = 0.05
_WATCH_PAUSE = 0.4


@dataclass(slots=True)
class Prover:
    """Looks at ports until they show what they should, or for long enough to say they do not."""

    host: Host
    probe: Callable[[Sequence[Expectation], bool], list[Seen]]
    sleep: Callable[[float], None]
    clock: Callable[[], float]

    def prove(
        self,
        expected: Sequence[Expectation],
        steps: Steps,
        started: float,
        fall_back: Callable[[], None] | None,
    ) -> tuple[list[Seen], int]:
        """Return what every port showed, and the milliseconds from ``started`` to the first proof.

        ``fall_back`` is called once if the first second shows nothing new. Raises
        :class:`AgentError` with the first difference when it stays.
        """
        begun = self.clock()
        with steps.run("proved") as evidence:
            seen = self._look_until_proven(expected, begun, fall_back)
            proof_ms = round((self.clock() - started) * 1000)
            evidence["proof_ms"] = proof_ms
            evidence["listeners"] = [item.as_dict() for item in seen]
        with steps.run("watched") as evidence:
            evidence["rounds"] = self._watch(expected, begun)
        return seen, proof_ms

    def prove_as_before(self, journal: Journal, steps: Steps) -> list[Seen]:
        """Return what the ports show after a rollback.

        Raises :class:`AgentError` when it is not what they showed before.
        """
        expected = journal.expected_before
        with steps.run("proved_as_before") as evidence:
            seen = self._look_until_same(expected, journal.seen_before)
            evidence["listeners"] = [item.as_dict() for item in seen]
        return seen

    def _look_until_same(
        self, expected: Sequence[Expectation], before: Sequence[Seen]
    ) -> list[Seen]:
        begun = self.clock()
        while True:
            seen = self.probe(expected, False)
            problems = (proof.compare(was, now) for was, now in zip(before, seen, strict=True))
            problem = next((item for item in problems if item), None) or self._dead_daemon()
            if problem is None:
                return seen
            if self.clock() - begun > _PATIENCE:
                raise AgentError(problem)
            self.sleep(_PAUSE)

    def _look_until_proven(
        self,
        expected: Sequence[Expectation],
        begun: float,
        fall_back: Callable[[], None] | None,
    ) -> list[Seen]:
        while True:
            problem = self._difference(expected, self.probe(expected, False))
            if problem is None:
                # A second round of fresh connections, this time the whole conversation.
                seen = self.probe(expected, True)
                problem = self._difference(expected, seen)
                if problem is None:
                    return seen
            spent = self.clock() - begun
            if fall_back is not None and spent > _REREAD_PATIENCE:
                fall_back()
                fall_back = None
            if spent > _PATIENCE:
                raise AgentError(self._explain(problem, expected))
            self.sleep(_PAUSE)

    def _watch(self, expected: Sequence[Expectation], begun: float) -> int:
        """Look again until two seconds have passed since the reload; returns how often."""
        rounds = 0
        last_good = self.clock()
        while self.clock() - begun < _WATCH or last_good < begun + _WATCH:
            self.sleep(_WATCH_PAUSE)
            problem = self._difference(expected, self.probe(expected, False))
            rounds += 1
            if problem is None:
                last_good = self.clock()
            elif self.clock() - begun > _PATIENCE:
                raise AgentError(self._explain(problem, expected))
        return rounds

    def _difference(self, expected: Sequence[Expectation], seen: Sequence[Seen]) -> Problem | None:
        problem = self._dead_daemon()
        for wanted, shown in zip(expected, seen, strict=True):
            problem = problem or next(iter(proof.judge(wanted, shown)), None)
        return problem

    def _dead_daemon(self) -> Problem | None:
        for daemon, is_running in self.host.running_daemons().items():
            if not is_running:
                return Problem("daemon.died", subject=str(daemon))
        return None

    def _explain(self, problem: Problem, expected: Sequence[Expectation]) -> Problem:
        """Add who answers where nobody should."""
        if problem.code != "probe.still_open":
            return problem
        for item in expected:
            if item.service == problem.subject:
                params = dict(problem.params) | {"holder": self.host.port_holder(item)}
                return Problem(problem.code, problem.severity, problem.subject, params)
        return problem
