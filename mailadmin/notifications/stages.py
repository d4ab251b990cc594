"""When a certificate is worth telling of: pure, times are arguments.

A certificate is in one stage at a time and only ever moves on, so whoever looks late tells the
stage that counts now and not all that were missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

_SHORT_LIVED = timedelta(days=10)
_USUAL_SHARE, _SHORT_SHARE = 1 / 3, 1 / 2
_PATIENCE_SHARE = 1 / 10
_LEAST_PATIENCE, _MOST_PATIENCE = timedelta(days=1), timedelta(days=7)


class Stage(StrEnum):
    """How near the end is."""

    EARLY = "early"
    RENEWAL = "renewal"
    TEN_DAYS = "ten_days"
    THREE_DAYS = "three_days"
    EXPIRED = "expired"


_FIXED = ((Stage.THREE_DAYS, timedelta(days=3)), (Stage.TEN_DAYS, timedelta(days=10)))


@dataclass(frozen=True, slots=True)
class Lifetime:
    """From when until when a certificate is good."""

    not_before: datetime
    not_after: datetime

    @property
    def whole(self) -> timedelta:
        """Return how long it is good altogether."""
        return self.not_after - self.not_before

    @property
    def renewal_at(self) -> datetime:
        """Return when a newer one should be here: a third is left, or half of a short life."""
        share = _SHORT_SHARE if self.whole < _SHORT_LIVED else _USUAL_SHARE
        return self.not_after - self.whole * share

    @property
    def given_up_at(self) -> datetime:
        """Return when a renewal that has not happened will not happen by itself.

        A tenth of the lifetime later, at least a day and at most a week: whoever renews by a timer
        tries daily.
        """
        patience = min(max(self.whole * _PATIENCE_SHARE, _LEAST_PATIENCE), _MOST_PATIENCE)
        return min(self.renewal_at + patience, self.not_after)

    def stage(self, now: datetime) -> Stage:
        """Return the stage; 10 and 3 days count only where they come after the renewal."""
        if now >= self.not_after:
            return Stage.EXPIRED
        if now < self.renewal_at:
            return Stage.EARLY
        for stage, left in _FIXED:
            begin = self.not_after - left
            if self.renewal_at < begin <= now:
                return stage
        return Stage.RENEWAL
