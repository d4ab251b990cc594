"""How long a child may still work on its answers."""

from __future__ import annotations

from time import monotonic

import psutil

from mailadmin.certificates.bounded.limits import Limits


class Allowance:
    """What is left for one child, all of its answers together; it runs while a question waits."""

    def __init__(self, limits: Limits) -> None:
        self._work = limits.seconds
        self._patience = limits.patience_seconds
        self._child: psutil.Process | None = None
        self._worked_before = 0.0
        self._asked_at = 0.0

    def begin(self, pid: int) -> None:
        """Count from now on what the child does."""
        self._child = psutil.Process(pid)
        self._worked_before = _worked(self._child)
        self._asked_at = monotonic()

    def end(self) -> None:
        """Count no longer: there is an answer."""
        self._work, self._patience = self._rest()
        self._child = None

    def left(self) -> float:
        """Return for how many seconds at least the answer may be waited for; 0 when it is over."""
        return max(0.0, min(self._rest()))

    def _rest(self) -> tuple[float, float]:
        if self._child is None:
            return self._work, self._patience
        worked = _worked(self._child) - self._worked_before
        return self._work - worked, self._patience - (monotonic() - self._asked_at)


def _worked(child: psutil.Process) -> float:
    """Return the seconds of a processor that it has used; it has not been waited for yet."""
    used = child.cpu_times()
    return float(used.user + used.system)
