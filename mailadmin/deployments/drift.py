"""What rows say of hand edits and of upgrades; nobody is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from mailadmin.deployments.models import Drift, Plan
from mailadmin.mailconf.services import Daemon
from mailadmin.servers.models import MailServer

OVERWRITTEN = "drift.overwritten"


def open_drift(server: MailServer) -> Drift | None:
    """Return what on the host is not as it was applied, left or not."""
    return server.drifts.filter(closed_at=None).first()


def overwritten_pieces(plan: Plan) -> list[str]:
    """Return which pieces changed outside the panel the plan would change again."""
    return [str(item["subject"]) for item in plan.problems if item["code"] == OVERWRITTEN]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A daemon of another version than the files were rendered for.

    ``files`` must be rewritten for it; ``problem`` is why nobody could find that out.
    """

    before: Mapping[str, str]
    now: Mapping[str, str]
    files: tuple[str, ...] = ()
    problem: Mapping[str, Any] | None = None

    @property
    def daemons(self) -> list[Daemon]:
        """Return the daemons whose version changed."""
        return [daemon for daemon in Daemon if self.before.get(daemon) != self.now.get(daemon)]

    @property
    def is_worth_telling(self) -> bool:
        """Tell whether anything must be done about it."""
        return bool(self.files or self.problem)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "before": dict(self.before),
            "now": dict(self.now),
            "files": list(self.files),
            "problem": dict(self.problem) if self.problem else None,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back."""
        return cls(**{**value, "files": tuple(value["files"])})


def open_upgrade(server: MailServer) -> Upgrade | None:
    """Return the upgrade that asks for something, if there is one."""
    upgrade = Upgrade.from_dict(server.upgrade) if server.upgrade else None
    return upgrade if upgrade and upgrade.is_worth_telling else None
