"""What the Review page shows: what is pending, what speaks against it, what the host would get."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mailadmin.deployments import selectors
from mailadmin.deployments.drift import Upgrade, open_upgrade, overwritten_pieces
from mailadmin.deployments.foresight import is_worth_asking
from mailadmin.deployments.joining import find_joinable
from mailadmin.deployments.models import Deployment, Foresight, Plan
from mailadmin.listeners.selectors import applied_state, changes_between, desired_state
from mailadmin.mailconf.maillog.foresight import is_anything_taken
from mailadmin.mailconf.maillog.outlook import Outlook
from mailadmin.mailconf.plan import Change, Effect
from mailadmin.mailconf.rules import check_state
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer

# A worker takes a message within milliseconds: after this long, nobody is there to take it.
_TAKEN_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Changes that do the same to the people who use the server."""

    effect: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Review:
    """Everything a reviewer needs to decide."""

    server: MailServer
    desired: DesiredState
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    plan: Plan | None
    under_way: Deployment | None
    # One that has not begun: what is applied now becomes part of it.
    joined: Deployment | None
    # What is on the host, and is taken back unless it is confirmed.
    awaiting: Deployment | None
    is_anything_applied: bool
    # Whether the panel has ever written the host's files; before, they are as the admin left them.
    is_taken_over: bool
    now: datetime
    # A daemon of another version than the files were rendered for.
    upgrade: Upgrade | None = None
    # Who would notice; and whether anybody could.
    foresight: Foresight | None = None
    is_foresight_wanted: bool = False
    is_anything_taken: bool = False

    @property
    def needs_foresight(self) -> bool:
        """Tell whether the agent should be asked who would notice."""
        is_asked = self.foresight is not None or self.under_way is not None
        return self.is_foresight_wanted and not is_asked

    @property
    def is_foreseeing(self) -> bool:
        """Tell whether the logs are being read."""
        return self.foresight is not None and self.foresight.is_waiting

    @property
    def outlook(self) -> Outlook | None:
        """Return who would notice, once that is known."""
        found = self.foresight.outlook if self.foresight else None
        return Outlook.from_dict(found) if found else None

    @property
    def foreseeing_seconds(self) -> int:
        """Return for how long the logs have been read."""
        begun = self.foresight.created_at if self.foresight else self.now
        return max(0, int((self.now - begun).total_seconds()))

    @property
    def overwritten(self) -> list[str]:
        """Return what was changed outside the panel and would be overwritten."""
        return overwritten_pieces(self.plan) if self.plan and self.is_ready else []

    @property
    def groups(self) -> list[ChangeGroup]:
        """Return the changes by their effect, in the order of what matters most."""
        return [
            ChangeGroup(effect, tuple(item for item in self.changes if item.effect == effect))
            for effect in Effect
            if any(item.effect == effect for item in self.changes)
        ]

    @property
    def errors(self) -> list[Problem]:
        """Return what forbids applying."""
        return [item for item in self.problems if item.severity is Severity.ERROR]

    @property
    def needs_plan(self) -> bool:
        """Tell whether the agent should be asked; not while a deployment changes the files."""
        return self.plan is None and self.under_way is None

    @property
    def is_waiting(self) -> bool:
        """Tell whether the agent's answer is still to come."""
        return self.plan is None or self.plan.status in {Plan.Status.QUEUED, Plan.Status.RUNNING}

    @property
    def is_ready(self) -> bool:
        """Tell whether the agent has answered."""
        return self.plan is not None and self.plan.status == Plan.Status.READY

    @property
    def is_queued(self) -> bool:
        """Tell whether no worker has taken the question yet."""
        return self.plan is None or self.plan.status == Plan.Status.QUEUED

    @property
    def failure(self) -> dict[str, Any] | None:
        """Return why there is no plan."""
        return self.plan.error if self.plan and self.plan.status == Plan.Status.FAILED else None

    @property
    def files(self) -> list[dict[str, Any]]:
        """Return the diffs, keys redacted."""
        return self.plan.files if self.plan and self.is_ready else []

    @property
    def waited_seconds(self) -> int:
        """Return for how long the agent's answer has been awaited."""
        return int((self.now - self.plan.created_at).total_seconds()) if self.plan else 0

    @property
    def is_waiting_long(self) -> bool:
        """Tell whether the wait needs an explanation."""
        return self.is_waiting and self.waited_seconds >= _TAKEN_WITHIN

    @property
    def is_nothing_to_do(self) -> bool:
        """Tell whether the host is what is wanted, to the last line."""
        return self.is_ready and not self.changes and not self.files

    @property
    def is_foreign(self) -> bool:
        """Tell whether the files differ although nothing was changed in the panel."""
        return self.is_ready and not self.changes and bool(self.files)

    @property
    def may_be_applied(self) -> bool:
        """Tell whether Apply makes sense and nothing forbids it."""
        is_worth_it = bool(self.changes or self.files)
        is_free = self.under_way is None and self.awaiting is None
        return self.is_ready and is_worth_it and not self.errors and is_free


def read_review(server: MailServer, now: datetime) -> Review:
    """Read and judge everything; costs the same however many changes there are."""
    desired, applied = desired_state(server), applied_state(server)
    plan = selectors.latest_plan(server, desired.digest)
    joined = find_joinable(server, desired.digest)
    planned = plan.problems if plan and plan.status == Plan.Status.READY else []
    found = (*check_state(desired, now), *map(Problem.from_dict, planned))
    return Review(
        server=server,
        desired=desired,
        changes=changes_between(applied, desired),
        problems=_worst_first(found),
        plan=plan,
        under_way=None if joined else selectors.unfinished_deployment(server),
        joined=joined,
        awaiting=selectors.awaiting_deployment(server),
        is_anything_applied=applied is not None,
        is_taken_over=selectors.has_ever_written(server),
        now=now,
        upgrade=open_upgrade(server),
        foresight=selectors.latest_foresight(server, desired.digest),
        is_foresight_wanted=is_worth_asking(applied, desired),
        is_anything_taken=applied is not None and is_anything_taken(applied, desired),
    )


def _worst_first(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The agent judges by the same rules as we do, so most of what it says is known already."""
    once = {(item.code, item.subject, str(sorted(item.params.items()))): item for item in problems}
    return tuple(sorted(once.values(), key=lambda item: list(Severity).index(item.severity)))
