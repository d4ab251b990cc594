"""The last looks at the ports: which one to believe, how old it is, and what stands in its way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from mailadmin.deployments import selectors
from mailadmin.deployments.models import ProbeRun
from mailadmin.pki.problems import Problem
from mailadmin.servers.models import MailServer

_TAKEN_WITHIN = timedelta(seconds=10)
# A look lasts seconds; one that was asked for longer ago than this has been lost.
_LOST_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Looks:
    """The newest look that saw something, and the newest one that was asked for."""

    done: ProbeRun | None
    newest: ProbeRun | None
    now: datetime

    @property
    def is_under_way(self) -> bool:
        """Tell whether an answer may still come."""
        return self._is_unanswered and self._age_of_newest < _LOST_AFTER

    @property
    def is_not_taken(self) -> bool:
        """Tell whether nobody answers: the worker or the agent is away."""
        return self._is_unanswered and self._age_of_newest >= _TAKEN_WITHIN

    @property
    def waited_seconds(self) -> int:
        """Return how long ago the newest look was asked for."""
        return int(self._age_of_newest.total_seconds())

    @property
    def failure(self) -> Problem | None:
        """Return why the newest look saw nothing."""
        if self.newest is None or self.newest.status != ProbeRun.Status.FAILED:
            return None
        return Problem.from_dict(self.newest.error) if self.newest.error else None

    @property
    def is_stale(self) -> bool:
        """Tell whether what was seen is too old to speak of now."""
        if self.done is None or self.done.finished_at is None:
            return False
        return self.now - self.done.finished_at > timedelta(seconds=2 * settings.PROBE_INTERVAL)

    @property
    def is_in_doubt(self) -> bool:
        """Tell whether what was seen last may no longer be so, as nobody could look since."""
        return self.is_stale or self.is_not_taken or self.failure is not None

    @property
    def _is_unanswered(self) -> bool:
        waiting = {ProbeRun.Status.QUEUED, ProbeRun.Status.RUNNING}
        return self.newest is not None and self.newest.status in waiting

    @property
    def _age_of_newest(self) -> timedelta:
        return self.now - self.newest.requested_at if self.newest else timedelta(0)


def read_looks(server: MailServer, now: datetime) -> Looks:
    """Read which looks there are; two queries."""
    newest = server.probe_runs.order_by("-pk").first()
    return Looks(selectors.latest_done_probe(server), newest, now)
