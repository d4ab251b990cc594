"""Prove a state by handshakes, and keep looking until old processes can no longer answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from mailadmin.agent.batches import are_many, count_names, look, look_again, split
from mailadmin.agent.host import Host
from mailadmin.agent.host.store import Journal
from mailadmin.agent.protocol import AgentError
from mailadmin.agent.steps import Steps
from mailadmin.mailconf import proof
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import SERVICES, Daemon
from mailadmin.pki.problems import Problem

# A connection taken by an old smtpd just after a reload shows the old certificate and lasts about
# one second (measured, worst 1.14 s): no verdict before twice that.
_WATCH = 2.0
# How long the new state may take to show; Postfix throttles a service that died for a while.
_PATIENCE = 8.0
# When Dovecot should have shown a re-read; login processes that serve several clients never do.
_REREAD_PATIENCE = 1.0
_PAUSE = 0.05
# Postfix counts connections by the minute (anvil_rate_time_unit), and each that it turns away too.
_LIMIT_PATIENCE = 75.0
_LIMIT_PAUSE = 5.0
_BRIEFLY_BUSY = 2.0
_WATCH_PAUSE = 0.4
_DIED = "daemon.died"
_TOO_MANY = "probe.too_many"


@dataclass(slots=True)
class Prover:
    """Looks at ports until they show what they should, or for long enough to say they do not."""

    host: Host
    probe: Callable[[Sequence[Expectation], bool], list[Seen]]
    sleep: Callable[[float], None]
    clock: Callable[[], float]
    # Called once if the first second shows that Dovecot serves nothing new.
    fall_back: Callable[[], None] | None = None

    def prove(
        self, expected: Sequence[Expectation], steps: Steps, started: float
    ) -> tuple[list[Seen], int]:
        """Return what every port showed, and the milliseconds from ``started`` to the first proof.

        Raises :class:`AgentError` with the first difference when it stays.
        """
        begun = self.clock()
        with steps.run("proved") as evidence:
            if are_many(expected):
                seen = self._prove_many(expected, begun, steps)
            else:
                seen = self._look_until_proven(expected, begun)
            proof_ms = round((self.clock() - started) * 1000)
            evidence["proof_ms"] = proof_ms
            evidence["listeners"] = [item.as_dict() for item in seen]
        with steps.run("watched") as evidence:
            # The last of many names was shown when nothing old could answer any more.
            watched = plain_ports(expected) if are_many(expected) else expected
            evidence["rounds"] = self._watch(watched, begun)
        return seen, proof_ms

    def look_before(self, expected: Sequence[Expectation], steps: Steps) -> list[Seen]:
        """Return what the ports show now, whatever that is.

        Raises :class:`AgentError` if the mail server turns us away for coming too often: then the
        way back could not be proven either.
        """
        if are_many(expected):
            with steps.run("looked"):
                seen = look(self.probe, expected, lambda n, of: steps.progress(names=n, of=of))
        else:
            seen = look(self.probe, expected, lambda _, __: None)
        for shown in seen:
            if shown.error == _TOO_MANY:
                raise AgentError(proof.turned_away(shown))
        return seen

    def prove_as_before(self, journal: Journal, steps: Steps) -> list[Seen]:
        """Return what the ports show after a rollback.

        Raises :class:`AgentError` when it is not what they showed before.
        """
        expected = journal.expected_before
        with steps.run("proved_as_before") as evidence:
            seen = self._look_until_same(expected, journal.seen_before, steps)
            evidence["listeners"] = [item.as_dict() for item in seen]
        return seen

    def _look_until_same(
        self, expected: Sequence[Expectation], before: Sequence[Seen], steps: Steps
    ) -> list[Seen]:
        def compare(place: int, now: Seen) -> list[Problem]:
            was = before[place]
            if self._is_taken_meanwhile(expected[place], was, now):
                return []
            problem = proof.compare(was, now)
            return [problem] if problem else []

        return self._look_until(expected, compare, steps)

    def _prove_many(
        self, expected: Sequence[Expectation], begun: float, steps: Steps
    ) -> list[Seen]:
        """Prove the ports by whole conversations, then every name on each of them by handshake.

        What a port says besides its certificate does not depend on the name it is asked for.
        """
        ports = iter(self._look_until_proven(plain_ports(expected), begun))
        names = [item for item in expected if item.sni_name]
        named = iter(
            self._look_until(names, lambda place, shown: proof.judge(names[place], shown), steps)
        )
        return [_in_short(next(named)) if item.sni_name else next(ports) for item in expected]

    def _look_until(
        self,
        expected: Sequence[Expectation],
        differences: Callable[[int, Seen], list[Problem]],
        steps: Steps,
    ) -> list[Seen]:
        """Return what was seen once nothing differs. Each batch gets the whole patience.

        Raises :class:`AgentError` with the first difference when it stays.
        """
        seen: dict[int, Seen] = {}
        for batch in split(expected):
            begun = looked_at = self.clock()
            shown = self.probe([expected[place] for place in batch], False)
            seen.update(zip(batch, shown, strict=True))
            for attempt in itertools.count():
                found = {place: differences(place, seen[place]) for place in batch}
                wrong = [place for place in batch if found[place]]
                problems = [*self._daemon_problems(), *(p for place in wrong for p in found[place])]
                if not problems:
                    break
                self._wait_or_give_up(problems, expected, looked_at - begun)
                looked_at = self.clock()
                seen.update(self._look_again(expected, wrong, attempt))
            if are_many(expected):
                done, of = count_names(expected, seen)
                steps.progress(names=done, of=of)
        return [seen[place] for place in range(len(expected))]

    def _look_again(
        self, expected: Sequence[Expectation], wrong: Sequence[int], attempt: int
    ) -> Iterator[tuple[int, Seen]]:
        """Yield what shows now; no one look takes longer than all patience."""
        begun = self.clock()
        for answer in look_again(self.probe, expected, wrong, attempt):
            yield answer
            if self.clock() - begun > _PATIENCE:
                return

    def _is_taken_meanwhile(self, wanted: Expectation, was: Seen, now: Seen) -> bool:
        """Tell whether another program has taken a port that was closed: not ours to undo."""
        return now.is_open and not was.is_open and self.host.is_held_by_another(wanted)

    def _look_until_proven(self, expected: Sequence[Expectation], begun: float) -> list[Seen]:
        while True:
            looked_at = self.clock()
            problems = self._differences(expected, self.probe(expected, False))
            if not problems:
                # A second round of fresh connections, this time the whole conversation.
                seen = self.probe(expected, True)
                problems = self._differences(expected, seen)
                if not problems:
                    return seen
            self._wait_or_give_up(problems, expected, looked_at - begun)

    def _watch(self, expected: Sequence[Expectation], begun: float) -> int:
        """Look until one look, begun two seconds after the reload, is good; returns how often.

        One begun before says nothing of later, however long it took.
        """
        rounds, last_good = 0, begun
        while last_good < begun + _WATCH:
            self.sleep(min(_WATCH_PAUSE, max(begun + _WATCH - self.clock(), 0)))
            looked_at = self.clock()
            problems = self._differences(expected, self.probe(expected, False))
            rounds += 1
            if problems:
                self._wait_or_give_up(problems, expected, looked_at - begun)
            else:
                last_good = looked_at
        return rounds

    def _wait_or_give_up(
        self, problems: Sequence[Problem], expected: Sequence[Expectation], spent: float
    ) -> None:
        """Let a moment pass before the next look. Raises :class:`AgentError` if none can help.

        ``spent``: the seconds after which the look that found the problems was begun. A machine
        that stood still in the middle of it has shown nothing of what came after.
        """
        # A dead master does not come back by waiting, and all mail stands still meanwhile.
        is_hopeless = any(item.code == _DIED for item in problems)
        is_limited = not is_hopeless and all(item.code == _TOO_MANY for item in problems)
        if is_hopeless or spent > (_LIMIT_PATIENCE if is_limited else _PATIENCE):
            raise AgentError(self._explain(problems[0], expected))
        if self.fall_back and spent > _REREAD_PATIENCE and any(map(_is_about_dovecot, problems)):
            fall_back, self.fall_back = self.fall_back, None
            fall_back()
        self.sleep(_LIMIT_PAUSE if is_limited and spent > _BRIEFLY_BUSY else _PAUSE)

    def _differences(self, expected: Sequence[Expectation], seen: Sequence[Seen]) -> list[Problem]:
        pairs = zip(expected, seen, strict=True)
        judged = (item for wanted, shown in pairs for item in proof.judge(wanted, shown))
        return [*self._daemon_problems(), *judged]

    def _daemon_problems(self) -> list[Problem]:
        dead = [
            Problem(_DIED, subject=str(daemon))
            for daemon, is_running in self.host.running_daemons().items()
            if not is_running
        ]
        return [*dead, *find_halted(self.host)]

    def _explain(self, problem: Problem, expected: Sequence[Expectation]) -> Problem:
        """Add who answers where nobody should."""
        if problem.code != "probe.still_open":
            return problem
        for item in expected:
            if item.service == problem.subject:
                params = dict(problem.params) | {"holder": self.host.port_holder(item)}
                return Problem(problem.code, problem.severity, problem.subject, params)
        return problem


def find_halted(host: Host) -> list[Problem]:
    """Return which masters are halted: what their processes still answer proves nothing."""
    return [
        Problem("daemon.halted", subject=str(daemon), params={"pid": pid})
        for daemon, pid in host.halted_daemons().items()
    ]


def plain_ports(expected: Sequence[Expectation]) -> list[Expectation]:
    """Return what is asked for without a host name."""
    return [item for item in expected if not item.sni_name]


def _in_short(seen: Seen) -> Seen:
    """Leave out what is the same for every name: a report of thousands must stay readable."""
    return replace(seen, chain=(), dialogue=())


def _is_about_dovecot(problem: Problem) -> bool:
    service = SERVICES.get(problem.subject)
    return service is not None and service.daemon is Daemon.DOVECOT
