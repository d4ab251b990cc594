"""What pages show of notices and deliveries, in words."""

from __future__ import annotations

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from mailadmin.accounts.templatetags.ui import status
from mailadmin.notifications import sentences
from mailadmin.notifications.composing import notice_path as path_of
from mailadmin.notifications.models import Delivery, Notice
from mailadmin.pki.problems import Problem

register = template.Library()

_STATES = {"error": "broken", "warning": "attention", "info": "unknown"}


@register.filter
def notice_title(notice: Notice) -> str:
    """Return the notice in one line."""
    return sentences.say_title(notice, timezone.now())


@register.filter
def notice_what(notice: Notice) -> str:
    """Return what stands."""
    return sentences.say_what(notice, timezone.now())


@register.filter
def notice_advice(notice: Notice) -> str:
    """Return what to do about it."""
    return sentences.say_advice(notice)


@register.filter
def notice_path(notice: Notice) -> str:
    """Return the page where something can be done about it."""
    return path_of(notice)


@register.filter
def notice_state(notice: Notice) -> str:
    """Return the colour of a notice; what is over has none."""
    return _STATES[notice.severity] if notice.is_open else "off"


@register.simple_tag
def notice_severity(notice: Notice) -> SafeString:
    """Draw how much it matters."""
    words = {"error": _("breaks mail"), "warning": _("needs you soon"), "info": _("for your plan")}
    return status(_STATES[notice.severity], words[notice.severity])


@register.simple_tag
def delivery_status(delivery: Delivery) -> SafeString:
    """Draw where a delivery stands."""
    return status(sentences.status_state(delivery), sentences.status_words(delivery.status))


@register.filter
def delivery_title(delivery: Delivery) -> str:
    """Return what is told, in one line."""
    return _("Test") if delivery.notice is None else notice_title(delivery.notice)


@register.filter
def result_words(delivery: Delivery) -> str:
    """Return how the last attempt ended."""
    return sentences.say_result(delivery.result)


@register.filter
def weakness_words(problem: Problem) -> str:
    """Return why nobody may hear of a problem."""
    return sentences.say_problem(problem)
