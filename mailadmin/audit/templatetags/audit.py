"""Events in words, for the templates."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from mailadmin.audit.models import AuditEvent, Outcome
from mailadmin.audit.object_pages import object_address
from mailadmin.audit.sentences import object_words, reason_words, verb_words

register = template.Library()

# "ada logged in", not "ada logged in ada".
_WITHOUT_OBJECT = {"user.logged_in", "user.logged_out"}
_STATES = {Outcome.OK: "proven", Outcome.FAILED: "broken", Outcome.REFUSED: "attention"}


@register.filter
def in_words(event: AuditEvent) -> str:
    """Return the verb in words."""
    return verb_words(event.verb)


@register.filter
def object_name(event: AuditEvent) -> str:
    """Return what the event is about: its label, else its kind and number."""
    if event.object_type == "user" and event.object_label == event.actor_name:
        return "" if event.verb in _WITHOUT_OBJECT else _("their own account")
    if event.object_label:
        return event.object_label
    if event.object_type == "user":
        return _("somebody unknown")
    return f"{object_words(event.object_type)} {event.object_id}" if event.object_id else ""


@register.simple_tag
def object_link(event: AuditEvent) -> SafeString:
    """Draw the object as a link to its page, or as plain text without one."""
    name = object_name(event)
    address = object_address(event)
    if address and name:
        return format_html('<a href="{}">{}</a>', address, name)
    return format_html("{}", name)


@register.filter
def reason_sentence(event: AuditEvent) -> str:
    """Return the reason as a sentence."""
    return reason_words(event.reason)


@register.filter
def object_kind(event: AuditEvent) -> str:
    """Return the kind of object in words."""
    return object_words(event.object_type)


@register.filter
def outcome_state(event: AuditEvent) -> str:
    """Return the state word that colours the outcome."""
    return _STATES[Outcome(event.outcome)]
