"""What stands in the way of finding out who would notice a change."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

FORESEEING: dict[str, Promise] = {
    "usage.log_unreadable": _(
        "The log %(subject)s could not be read to its end (%(detail)s). What is missing is not "
        "counted."
    ),
    "usage.no_log": _("No log lines of the last days were found in %(subject)s, nor in a journal."),
    "usage.incomplete": _(
        "Reading the logs took longer than a minute, so only the newest part is counted. What was "
        "read is remembered: look again, and the rest is added."
    ),
    "usage.log_empty": _(
        "In %(subject)s no line has a time that could be read, so nobody could be counted."
    ),
    "usage.log_short": _(
        "The logs reach back to %(day)s only. Who came before that is not counted."
    ),
    "usage.names_untold": _(
        "These logs do not tell which host name clients ask for, so who uses a name that goes "
        "cannot be counted. Dovecot logs it with %%{local_name} in login_log_format_elements."
    ),
    "usage.no_answer": _(
        "Who used the mail server could not be found out in time. Check that the Celery worker "
        "and the agent run. Nothing else waits for it."
    ),
    "usage.under_way": _("The agent reads the logs already. Ask again in a minute."),
    "usage.not_wanted": _("Reading the logs was given up, because nobody waited for it any more."),
    "usage.too_slow": _("The logs could not be read within %(seconds)s seconds."),
    "usage.broken_off": _("Reading the logs broke off. The log of the mail server may say why."),
}
