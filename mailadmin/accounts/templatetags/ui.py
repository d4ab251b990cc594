"""The small parts every page is made of: icons, states in words, times, the frame's links."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import template
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from mailadmin.accounts.icons import NAMES
from mailadmin.accounts.relative_time import exact_words, relative_words
from mailadmin.accounts.theme import chosen_theme, next_theme
from mailadmin.audit.request_id import current_request_id

register = template.Library()

# One icon per state, so that no state is told by its colour alone.
STATE_ICONS = {
    "proven": "circle-check",
    "attention": "alert-triangle",
    "broken": "circle-x",
    "off": "circle-minus",
    "pending": "progress",
    "unknown": "circle-dashed",
}


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Draw an icon of the sprite: ``{% icon "certificate" %}``.

    Without a label it is decoration and hidden from screen readers.
    """
    if name not in NAMES:
        raise ValueError(f"no such icon: {name} (see mailadmin/accounts/icons.py)")
    address = f"{static('vendor/icons/icons.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}"></use></svg>',
            label,
            address,
        )
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}"></use></svg>',
        address,
    )


@register.simple_tag
def status(state: str, word: object) -> SafeString:
    """Draw a state as icon + word + colour: ``{% status "proven" "TLS 1.3" %}``.

    States: proven, attention, broken, off, pending, unknown.
    """
    return format_html(
        '<span class="pill pill-{}">{}<span>{}</span></span>', state, icon(STATE_ICONS[state]), word
    )


@register.simple_tag
def when(moment: datetime | None, empty: str = "") -> SafeString:
    """Draw a time as "in 23 days", with the exact UTC time on hover and for screen readers."""
    if moment is None:
        return format_html('<span class="text-secondary">{}</span>', empty or _("never"))
    utc = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>'
        '<span class="visually-hidden"> ({})</span>',
        utc.isoformat(timespec="seconds"),
        exact_words(utc),
        relative_words(utc, timezone.now()),
        exact_words(utc),
    )


@register.filter
def as_moment(text: str) -> datetime | None:
    """Return the time that the agent wrote in ISO 8601, for ``when``; None if it named none."""
    return datetime.fromisoformat(text) if text else None


@register.filter
def exact_time(moment: datetime | None) -> str:
    """Return the exact time, as in ``2026-11-24 03:40:00 UTC``."""
    return exact_words(moment.astimezone(UTC)) if moment else ""


@register.simple_tag
def copy(text: object, label: str = "") -> SafeString:
    """Draw a button that copies the text; hidden where there is no JavaScript."""
    words = label or _("Copy")
    return format_html(
        '<button type="button" class="btn-copy" data-copy="{}" aria-label="{}" title="{}" hidden>'
        "{}</button>",
        text,
        words,
        words,
        icon("copy"),
    )


@register.simple_tag
def exact(text: object, label: str = "") -> SafeString:
    """Draw an exact value in monospace with its copy button."""
    return format_html(
        '<span class="exact-copy"><span class="exact">{}</span>{}</span>', text, copy(text, label)
    )


@register.simple_tag(takes_context=True)
def theme(context: dict[str, Any]) -> str:
    """Return the theme of the page: ``light``, ``dark`` or ``auto``."""
    return chosen_theme(context.get("request"))


@register.inclusion_tag("_theme_switch.html", takes_context=True)
def theme_switch(context: dict[str, Any]) -> dict[str, Any]:
    """Draw the button that goes from theme to theme."""
    request = context.get("request")
    now = chosen_theme(request)
    return {"request": request, "now": now, "then": next_theme(now)}


@register.simple_tag(takes_context=True)
def nav_link(context: dict[str, Any], url_name: str, words: str, key: str = "") -> SafeString:
    """Draw a link of the main navigation, marked when we are in its part of the panel.

    ``key`` is its letter in ``g`` + letter. Draws nothing while there is no such page.
    """
    try:
        address = reverse(url_name)
    except NoReverseMatch:
        return mark_safe("")
    request: HttpRequest | None = context.get("request")
    match = request.resolver_match if request else None
    is_here = match is not None and match.app_name == url_name.partition(":")[0]
    return format_html(
        '<li><a href="{}"{}{}>{}</a></li>',
        address,
        mark_safe(' aria-current="page"') if is_here else "",
        format_html(' data-go="{}"', key) if key else "",
        words,
    )


@register.simple_tag
def request_id() -> str:
    """Return the id of this request, as it stands in the log."""
    return current_request_id()
