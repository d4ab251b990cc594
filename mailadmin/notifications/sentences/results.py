"""How deliveries end, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailadmin.notifications.models import Delivery

Status = Delivery.Status

RESULTS: dict[str, Promise] = {
    "mail.accepted": _("Taken by the mail server %(server)s%(named)s.%(answered)s"),
    "mail.refused": _(
        "The mail server %(server)s refused it: %(reply)s Check the address, and whether that "
        "server takes mail from the panel (MAILADMIN_SMTP_HOST, MAILADMIN_MAIL_FROM)."
    ),
    "mail.login_refused": _(
        "The mail server %(server)s refused the login: %(reply)s Check MAILADMIN_SMTP_USER and "
        "MAILADMIN_SMTP_PASSWORD."
    ),
    "mail.tls_failed": _(
        "No encrypted connection to the mail server %(server)s: %(detail)s. Check its certificate, "
        "and that MAILADMIN_SMTP_TLS fits its port."
    ),
    "mail.unreachable": _(
        "The mail server %(server)s could not be reached: %(detail)s. Check MAILADMIN_SMTP_HOST "
        "and MAILADMIN_SMTP_PORT."
    ),
    "webhook.accepted": _("Answered with HTTP %(status)s after %(ms)s ms.%(said)s"),
    "webhook.refused": _("Refused with HTTP %(status)s after %(ms)s ms.%(said)s"),
    "webhook.redirected": _(
        "Answered with HTTP %(status)s: it points to another address%(toward)s. Redirects are not "
        "followed; enter the final address."
    ),
    "webhook.too_slow": _("No answer within %(seconds)s seconds."),
    "webhook.name_unknown": _("There is no host called %(host)s. Check the address."),
    "webhook.unreachable": _("It could not be reached: %(detail)s."),
    "webhook.untrusted": _(
        "Its certificate is not trusted: %(detail)s. If it comes from an authority of your own, "
        "add that as a trusted authority."
    ),
    "webhook.tls_failed": _("No encrypted connection: %(detail)s."),
    "webhook.not_http": _("What answers there does not speak HTTP: %(detail)s."),
    "webhook.address_refused": _(
        "The name leads to %(address)s, in a private network. Allow private networks for this "
        "destination if that is meant."
    ),
    "secret.not_opened": _(
        "Its secret cannot be opened: the master key is another one now. Enter the secret again."
    ),
    "secret.no_master_key": _(
        "Its secret cannot be opened, as the master key cannot be read (%(reason)s)."
    ),
    "delivery.fault": _("The panel made a mistake; its log says which. It will try again."),
    "cancelled.over": _("Not sent: it was over before it could be."),
    "cancelled.switched_off": _("Not sent: the destination was switched off."),
    "cancelled.removed": _("Not sent: the destination was deleted."),
}
STATUS_WORDS: dict[str, Promise] = {
    Status.QUEUED: _("waiting"),
    Status.SENDING: _("being sent"),
    Status.SENT: _("sent"),
    Status.FAILED: _("given up"),
    Status.CANCELLED: _("not sent"),
}
STATUS_STATES: dict[str, str] = {
    Status.QUEUED: "pending",
    Status.SENDING: "pending",
    Status.SENT: "proven",
    Status.FAILED: "broken",
    Status.CANCELLED: "off",
}
_SAID = _(" It said: %(reply)s")
_ANSWERED = _(" It answered: %(reply)s")
_NAMED = _(" (%(name)s)")
_TOWARD = _(" (%(location)s)")


def say_result(result: Mapping[str, Any] | None) -> str:
    """Return how the last attempt ended; empty before the first."""
    if not result:
        return ""
    sentence = RESULTS.get(result["code"])
    if sentence is None:
        return str(result["code"])
    params: dict[str, Any] = dict(result.get("params", {}))
    params["said"] = str(_SAID) % params if params.get("reply") else ""
    params["answered"] = str(_ANSWERED) % params if params.get("reply") else ""
    params["named"] = str(_NAMED) % params if params.get("name") else ""
    params["toward"] = str(_TOWARD) % params if params.get("location") else ""
    return (str(sentence) % params).strip()


def status_words(status: str) -> str:
    """Return where a delivery stands."""
    return str(STATUS_WORDS.get(status, status))


def status_state(delivery: Delivery) -> str:
    """Return its colour; one that has failed before and waits for another attempt needs a look."""
    if delivery.status == Status.QUEUED and delivery.attempts:
        return "attention"
    return STATUS_STATES.get(delivery.status, "unknown")
