"""Times in words: "in 23 days", "2 min ago"."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def exact_words(moment: datetime) -> str:
    """Return the time to the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def relative_words(moment: datetime, now: datetime) -> str:
    """Return the distance from now in its largest sensible unit.

    Days up to two years: a certificate's end is counted in days. Whole units, rounded down, as
    "in 0 days" would be wrong for something that is still valid for 23 hours.
    """
    seconds = (moment - now).total_seconds()
    if abs(seconds) < 45:
        return _("just now") if seconds <= 0 else _("in a moment")
    distance = distance_words(abs(seconds))
    words = _("%(distance)s ago") if seconds < 0 else _("in %(distance)s")
    return words % {"distance": distance}


def distance_words(seconds: float) -> str:
    """Return a length of time in its largest sensible unit, rounded down."""
    if seconds < 90 * _MINUTE:
        return _("%(n)d min") % {"n": max(1, round(seconds / _MINUTE))}
    if seconds < 2 * _DAY:
        return _("%(n)d h") % {"n": int(seconds // _HOUR)}
    days = int(seconds // _DAY)
    if days < 730:
        return ngettext("%(n)d day", "%(n)d days", days) % {"n": days}
    years = days // 365
    return ngettext("%(n)d year", "%(n)d years", years) % {"n": years}
