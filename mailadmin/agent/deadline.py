"""A moment in time that neither a clock set by hand nor a reboot can move.

Within one boot only the time since that boot counts (``CLOCK_BOOTTIME``: it goes on while the
machine sleeps, and nobody can set it). After a reboot only the wall clock is left; set back
however far, it grants no more than what was granted to begin with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks of the host, in seconds, and which boot it is (empty: nobody knows)."""

    wall: Callable[[], float] = time.time
    since_boot: Callable[[], float] = _since_boot
    boot_id: Callable[[], str] = _boot_id


@dataclass(frozen=True, slots=True)
class Deadline:
    """A deadline by both clocks. ``most``: the seconds that it can be away, whatever is shown."""

    most: float
    boot_id: str
    since_boot: float
    wall: float

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> Self:
        """Return the deadline in so many seconds from now."""
        return cls(
            most=seconds,
            boot_id=clock.boot_id(),
            since_boot=clock.since_boot() + seconds,
            wall=clock.wall() + seconds,
        )

    def left(self, clock: Clock) -> float:
        """Return the seconds that are left; none or less: it has passed."""
        if self.boot_id and clock.boot_id() == self.boot_id:
            return self.since_boot - clock.since_boot()
        return min(self.wall - clock.wall(), self.most)

    def anchored(self, clock: Clock) -> Self:
        """Return the same deadline by the clocks of this boot."""
        if self.boot_id and clock.boot_id() == self.boot_id:
            return self
        return self.after(self.left(clock), clock)

    @property
    def shown(self) -> str:
        """Return it as people read it: an ISO date and time, in UTC."""
        return datetime.fromtimestamp(self.wall, UTC).isoformat()

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        return cls(
            most=float(value["most"]),
            boot_id=str(value["boot_id"]),
            since_boot=float(value["since_boot"]),
            wall=float(value["wall"]),
        )
