"""The steps of an apply that are under way, still to come, or failed: what they set out to do."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailadmin.deployments.sentences.daemons import name_daemon

COMING: dict[str, Promise] = {
    "waiting": _("Wait: applies are kept 5 seconds apart"),
    "recovered": _("End an earlier apply that was cut short"),
    "planned": _("Plan again and compare with what was reviewed"),
    "staged": _("Stage the files"),
    "checked": _("Let %(daemon)s’s own parser read them"),
    "looked": _("Note what every port shows for every name"),
    "swapped": _("Swap the files"),
    "reread": _("Let %(daemon)s read its files again"),
    "reloaded": _("Reload %(daemon)s"),
    "started": _("Start %(daemon)s"),
    "stopped": _("Stop %(daemon)s"),
    "proved": _("Prove every port by handshake"),
    "watched": _("Watch for two seconds"),
    "set_aside": _("Keep a copy of %(subject)s, which was edited by hand meanwhile"),
    "restored": _("Put back every file, byte for byte"),
    "proved_as_before": _("Prove that every port shows what it showed before"),
}
# Before the agent has planned, nobody knows which daemons are touched.
_ANY_DAEMON: dict[str, Promise] = {
    "checked": _("Let the daemons’ own parsers read them"),
    "reloaded": _("Reload what changed"),
}


def say_coming(code: str, subject: str = "") -> str:
    """Return what a step is about to do; the bare code if it is of a newer agent."""
    if not subject and code in _ANY_DAEMON:
        return str(_ANY_DAEMON[code])
    sentence = COMING.get(code)
    if sentence is None:
        return f"{code} {subject}".strip()
    return str(sentence) % {"daemon": name_daemon(subject), "subject": subject}
