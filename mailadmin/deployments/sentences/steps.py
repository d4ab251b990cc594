"""The steps of an apply, in words."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailadmin.deployments.sentences.daemons import name_daemon

STEPS: dict[str, Promise] = {
    "waiting": _("Waiting: applies are kept 5 seconds apart"),
    "recovered": _("Ended an earlier apply that was cut short"),
    "planned": _("Planned"),
    "staged": _("Staged as generation %(subject)s"),
    "checked": _("Checked by %(daemon)s’s own parser"),
    "looked": _("Noted what every port shows for every name"),
    "swapped": _("Swapped the files"),
    "reread": _("%(daemon)s read its files again, no session touched"),
    "reloaded": _("Reloaded %(daemon)s"),
    "started": _("Started %(daemon)s"),
    "stopped": _("Stopped %(daemon)s"),
    "proved": _("Proved every port by handshake"),
    "watched": _("Watched for two seconds: still proven"),
    "set_aside": _("Kept a copy of %(subject)s, which was edited by hand meanwhile"),
    "restored": _("Put back every file, byte for byte"),
    "proved_as_before": _("Proved that every port shows what it showed before"),
}


def say_step(code: str, subject: str = "") -> str:
    """Return a step in words; the bare code if it is of a newer agent."""
    sentence = STEPS.get(code)
    if sentence is None:
        return f"{code} {subject}".strip()
    return str(sentence) % {"subject": subject, "daemon": name_daemon(subject)}
