"""The one word about the mail server that stands in the frame of every page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mailadmin.dashboard.looks import Looks, read_looks
from mailadmin.deployments.models import Observation
from mailadmin.servers.models import MailServer


@dataclass(frozen=True, slots=True)
class Health:
    """A state in the words of the status pills, a few words, and when it was seen."""

    state: str
    sentence: str
    checked_at: datetime | None


def read_health(server: MailServer, now: datetime) -> Health:
    """Judge the last look; three queries."""
    looks = read_looks(server, now)
    if looks.done is None:
        return Health("unknown", _("not looked at yet"), None)
    rows = looks.done.observations.only("run", "service", "problems")
    return judge_health(looks, list(rows))


def judge_health(looks: Looks, observations: list[Observation]) -> Health:
    """Return what the last look amounts to; a red port is told even when it was seen long ago."""
    checked_at = looks.done.finished_at if looks.done else None
    broken = {item.service for item in observations if item.problems}
    if broken:
        said = ngettext("%(n)d port is not right", "%(n)d ports are not right", len(broken))
        return Health("broken", said % {"n": len(broken)}, checked_at)
    if looks.is_in_doubt:
        return Health("attention", _("last seen proven"), checked_at)
    return Health("proven", _("all proven"), checked_at)
