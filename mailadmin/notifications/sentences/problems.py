"""What cannot be saved, and what is weak about who is told, in words."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailadmin.certificates.sentences import say
from mailadmin.pki.problems import Problem

PROBLEMS: dict[str, Promise] = {
    "webhook.url_invalid": _(
        "This is not an address that can be called. It looks like "
        "https://chat.example.org/hooks/abc, in plain letters without spaces."
    ),
    "webhook.url_scheme": _("Only http:// and https:// addresses can be called."),
    "webhook.url_password": _(
        "Leave user name and password out of the address: they would be kept in clear. The message "
        "is signed with the secret instead."
    ),
    "webhook.url_fragment": _("Leave out what follows the “#”: it is never sent."),
    "webhook.address_never": _(
        "%(address)s is an address to which nothing is ever sent (link-local, multicast or none)."
    ),
    "webhook.address_private": _(
        "%(address)s is in a private network. Tick “in my own network” if that is meant."
    ),
    "webhook.secret_missing": _("Enter a secret: the receiver knows by it that the panel wrote."),
    "webhook.secret_short": _("The secret needs at least %(minimum)s characters."),
    "destination.known": _("This destination is on the list already."),
    "destination.too_many": _("More than %(limit)s destinations are not supported."),
    "destinations.none": _(
        "Nobody is told: add a mailbox or a webhook, and you hear of an expiring certificate "
        "before your users do."
    ),
    "destinations.only_own_server": _(
        "Every destination depends on %(host_name)s itself: when that server is broken, nobody is "
        "told. Add a mailbox elsewhere through another SMTP server, or a webhook."
    ),
    "panel.no_address": _(
        "Messages hold no links, as the panel does not know its own address. Set MAILADMIN_URL, "
        "for example to https://panel.example.org."
    ),
}


def say_problem(problem: Problem) -> str:
    """Return a problem as a sentence; those of the master key are the certificates' app's."""
    sentence = PROBLEMS.get(problem.code)
    if sentence is None:
        return say(problem)
    return str(sentence) % {"subject": problem.subject, **problem.params}
