"""What stands in the way of finding out who would notice a change."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

FORESEEING: dict[str, Promise] = {
    # what stands before the ports
    "firewall.closed": _(
        "The packet filter of the mail server refuses connections to port %(port)s (%(families)s): "
        "opened, it could not be reached. Let it through there first; the panel never changes a "
        "firewall."
    ),
    "firewall.some": _(
        "The packet filter of the mail server lets only some clients through to port %(port)s "
        "(%(families)s), chosen by address, interface or another sign that the panel does not "
        "look at. Check that these are the ones you mean."
    ),
    "firewall.open": _(
        "The packet filter of the mail server lets clients through to %(ports)s. A firewall in "
        "front of the server is not seen from there."
    ),
    "firewall.not_asked": _(
        "Port %(ports)s opens for this machine alone, where no packet filter and no jail of "
        "fail2ban matters."
    ),
    "firewall.no_tool": _(
        "Whether a packet filter lets clients through could not be found out: neither nft nor "
        "iptables-save is installed on the mail server."
    ),
    "firewall.unreadable": _(
        "Whether the packet filter lets clients through could not be found out: %(detail)s"
    ),
    "fail2ban.uncovered": _(
        "fail2ban does not ban on port %(ports)s: whoever guesses passwords there is not shut "
        "out. Add the port to its jails for mail (%(jails)s)."
    ),
    "fail2ban.covers": _("fail2ban bans on port %(ports)s too (%(jails)s)."),
    "fail2ban.off": _("fail2ban is installed and does not run, so it bans nobody."),
    "fail2ban.missing": _(
        "fail2ban is not installed on the mail server, so no jail needs a change."
    ),
    "fail2ban.unreadable": _(
        "Whether fail2ban looks after the new ports could not be found out: %(detail)s"
    ),
    # who used what
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
