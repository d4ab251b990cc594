"""What daemons, and the instances of one, are called."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_DAEMONS: dict[str, Promise | str] = {
    "postfix": "Postfix",
    "dovecot": "Dovecot",
    # Where it is two: the one with passwords and mailboxes, and the one with the ports.
    "dovecot-core": _("Dovecot’s main instance"),
    "dovecot-front": _("Dovecot’s instance for the ports"),
}


def name_daemon(subject: str) -> str:
    """Return what people call the subject of a step or problem; the subject if it is none."""
    return str(_DAEMONS.get(subject, subject))
