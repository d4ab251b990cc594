"""A notice as people and programs are told it: the same words for the page, mail and webhook."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from mailadmin.accounts.relative_time import exact_words
from mailadmin.notifications.models import Delivery, Notice
from mailadmin.notifications.sentences import say_advice, say_over, say_title, say_what

_MOST_NAMES = 100


@dataclass(frozen=True, slots=True)
class Message:
    """What is told: one line, the whole in plain text, and where to look."""

    title: str
    text: str
    address: str


def compose(delivery: Delivery, now: datetime) -> Message:
    """Return what a delivery tells, as of now."""
    if delivery.notice is None:
        return _compose_test(delivery)
    return compose_notice(delivery.notice, now)


def compose_notice(notice: Notice, now: datetime) -> Message:
    """Return a notice in words. Lines are not wrapped: mail programs do that to their width."""
    address = panel_address(notice_path(notice))
    parts = [say_what(notice, now), say_over(notice), say_advice(notice), *_facts(notice)]
    if address:
        parts.append(_("In the panel: %(address)s") % {"address": address})
    parts.append(_foot())
    text = "\n\n".join(part for part in parts if part)
    return Message(_one_line(say_title(notice, now)), text, address)


def notice_path(notice: Notice) -> str:
    """Return the page where something can be done about it."""
    if notice.code == "acme.renewal_failing":
        return reverse("acme:detail", args=[notice.params["renewal_id"]])
    if notice.certificate_id:
        return reverse("certificates:detail", args=[notice.certificate_id])
    if notice.deployment is not None:
        return notice.deployment.get_absolute_url()
    return reverse("dashboard:overview")


def panel_address(path: str) -> str:
    """Return the whole address of a page, or nothing where the panel does not know its own."""
    return f"{settings.PANEL_URL}{path}" if settings.PANEL_URL else ""


def as_payload(delivery: Delivery, now: datetime) -> dict[str, Any]:
    """Return what a webhook is sent. Documented in ``docs/webhooks.md``; only ever add to it.

    ``text`` is what Slack, Mattermost and Rocket.Chat show.
    """
    message, notice = compose(delivery, now), delivery.notice
    payload: dict[str, Any] = {
        "id": str(delivery.uuid),
        "kind": "test" if notice is None else "notice",
        "sent_at": _iso(now),
        "title": message.title,
        "message": message.text,
        "text": " ".join(part for part in (message.title, message.address) if part),
        "url": message.address,
    }
    return payload | (_notice_payload(notice) if notice else {})


def _notice_payload(notice: Notice) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "code": notice.code,
        "severity": notice.severity,
        "opened_at": _iso(notice.opened_at),
        "closed_at": _iso(notice.closed_at) if notice.closed_at else None,
        "mail_server": notice.params.get("host_name", ""),
    }
    certificate = notice.certificate
    if certificate is not None:
        payload["certificate"] = {
            "label": certificate.label,
            "names": certificate.names[:_MOST_NAMES],
            "issuer": certificate.issuer_name,
            "not_after": _iso(certificate.not_after),
            "fingerprint": certificate.fingerprint,
            "used_on": notice.params.get("places", ""),
        }
    if notice.deployment_id:
        payload["deployment"] = notice.params.get("number")
    if "service" in notice.params:
        payload["listener"] = {
            "service": notice.params["service"],
            "port": notice.params.get("port"),
            "problem": notice.params.get("problem"),
        }
    return payload


def _compose_test(delivery: Delivery) -> Message:
    address = panel_address(reverse("notifications:list"))
    said = _(
        "This is a test, asked for by %(who)s. Nothing is wrong. Notices about certificates, ports "
        "and deployments come the same way."
    )
    parts = [said % {"who": delivery.requested_by or _("the command line")}]
    if address:
        parts.append(_("In the panel: %(address)s") % {"address": address})
    return Message(_("Test from mailadmin"), "\n\n".join(parts), address)


def _facts(notice: Notice) -> list[str]:
    certificate = notice.certificate
    if certificate is None:
        return []
    lines = [
        _("Names: %(names)s") % {"names": _name_words(certificate.names)},
        _("Issued by: %(issuer)s") % {"issuer": certificate.issuer_name or certificate.label},
        _("Valid until: %(moment)s") % {"moment": exact_words(certificate.not_after)},
        _("SHA-256: %(fingerprint)s") % {"fingerprint": certificate.fingerprint},
    ]
    return ["\n".join(_one_line(line) for line in lines)]


def _name_words(names: list[str]) -> str:
    more = _(" and %(n)d more") % {"n": len(names) - 10} if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def _foot() -> str:
    where = panel_address(reverse("notifications:list"))
    said = _("You are told this once. Who is told what: %(where)s")
    return said % {"where": where or _("the page Notifications of the panel.")}


def _one_line(text: str) -> str:
    """Return the text on one line: a name in a certificate may hold anything."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
