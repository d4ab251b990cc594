"""What is said of hand edits and of upgrades."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mailadmin.deployments.drift import Upgrade
from mailadmin.deployments.models import Drift
from mailadmin.deployments.sentences.daemons import name_daemon
from mailadmin.deployments.sentences.problems import say_problem

_MOST_NAMES = 5


def say_drift(drift: Drift) -> str:
    """Return what drifted, in one sentence."""
    names = drift.names
    said = ngettext(
        "%(names)s on the mail server is not as it was applied: somebody changed it.",
        "%(names)s on the mail server are not as they were applied: somebody changed them.",
        len(names),
    )
    return said % {"names": _listed(names)}


def say_upgrade(upgrade: Upgrade) -> str:
    """Return which daemon has which version now, and what that asks for."""
    said = [
        _("%(daemon)s was upgraded from %(before)s to %(now)s")
        % {
            "daemon": name_daemon(daemon),
            "before": upgrade.before.get(daemon, "?"),
            "now": upgrade.now.get(daemon, "?"),
        }
        for daemon in upgrade.daemons
    ]
    if upgrade.problem:
        asked = _("what must be rewritten cannot be found out. %(problem)s")
        return f"{'; '.join(said)}: " + asked % {"problem": say_problem(upgrade.problem)}
    asked = _("these files must be rewritten: %(files)s.")
    return f"{'; '.join(said)}: " + asked % {"files": _listed(upgrade.files)}


def _listed(names: Sequence[str]) -> str:
    more = ["…"] if len(names) > _MOST_NAMES else []
    return ", ".join([*names[:_MOST_NAMES], *more])
