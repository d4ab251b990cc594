"""When to renew, and when to try again after a failure. Jitter is drawn by the caller: 0 <= j < 1.

Renewal where the authority offers no renewal information: when a third of the lifetime is left, or
half of one under ten days (the guides of Let's Encrypt and Google); never after a fixed number of
days, for lifetimes shrink (CA/Browser Forum Baseline Requirements, 6.3.2). Retries: after 1, 10 and
100 minutes, then daily, as Let's Encrypt's integration guide asks for.
"""

from __future__ import annotations

from datetime import datetime, timedelta

SHORT_LIFETIME = timedelta(days=10)
_RETRIES = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=100))
_DAILY = timedelta(days=1)
# A renewal is drawn from this part of the lifetime before it is due, so that certificates that were
# issued together are not renewed together for ever.
_RENEWAL_SPREAD = 0.02
_RETRY_SPREAD = 0.1
# Near the end: often, yet less often than the five failures an hour that Let's Encrypt allows.
_LAST_RETRIES = timedelta(minutes=15)


def renew_at(not_before: datetime, not_after: datetime, *, jitter: float) -> datetime:
    """Return when to renew a certificate with this validity; always inside it.

    Raises ``ValueError`` if it ends before it begins, or if the jitter is none.
    """
    lifetime = not_after - not_before
    if lifetime <= timedelta(0):
        raise ValueError("the validity is empty")
    left = lifetime / 2 if lifetime < SHORT_LIFETIME else lifetime / 3
    return not_after - left - lifetime * _RENEWAL_SPREAD * _checked(jitter)


def retry_at(
    failures: int, now: datetime, *, jitter: float, not_after: datetime | None = None
) -> datetime:
    """Return when to try again after so many failures in a row; always after ``now``.

    ``not_after``: when the certificate that is to be renewed ends. If that would be before the
    next attempt, there is one in the middle of what is left, though not within 15 minutes.
    Raises ``ValueError`` if the jitter is none.
    """
    step = _RETRIES[max(failures, 1) - 1] if failures <= len(_RETRIES) else _DAILY
    moment = now + step * (1 + _RETRY_SPREAD * _checked(jitter))
    if not_after is None or not now < not_after <= moment:
        return moment
    return min(moment, now + max((not_after - now) / 2, _LAST_RETRIES))


def should_fall_back(failures: int) -> bool:
    """Tell whether the next attempt goes to the other authority, if one is configured.

    It does after three failures, which is after 11 minutes; the attempt is then made 100 minutes
    later. From then on both take turns, since nobody knows whose trouble ends first.
    """
    return failures >= len(_RETRIES) and (failures - len(_RETRIES)) % 2 == 0


def _checked(jitter: float) -> float:
    if not 0 <= jitter < 1:
        raise ValueError("jitter is drawn from 0 <= j < 1")
    return jitter
