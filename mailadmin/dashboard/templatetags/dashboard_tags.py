"""What the overview shows of a listener, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mailadmin.accounts.relative_time import exact_words
from mailadmin.dashboard import sentences
from mailadmin.dashboard.matrix import Matrix, Row
from mailadmin.listeners.sentences import address_words, login_words, tls_mode_words

register = template.Library()

_TWO_YEARS = 730


@register.filter
def headline(matrix: Matrix) -> str:
    """Return whether mail is well right now."""
    return sentences.say_headline(matrix)


@register.filter
def broken_sentence(matrix: Matrix) -> str:
    """Return how many ports need somebody."""
    return sentences.say_broken(matrix)


@register.filter
def what_now(row: Row) -> list[str]:
    """Return what to do about the row."""
    return sentences.say_what_now(row)


@register.filter
def wanted_words(row: Row) -> str:
    """Return what was applied for the listener."""
    if not row.listener.is_enabled:
        return _("closed")
    return tls_mode_words(row.listener.tls_mode, row.listener.service)


@register.filter
def row_place(row: Row) -> str:
    """Return address and port of the listener."""
    return address_words(row.listener.address, row.listener.port)


@register.filter
def login_in_words(row: Row) -> str:
    """Return whether people log in on the port."""
    return login_words(row.listener.service, is_required=row.listener.is_login_required)


@register.filter
def verdicts_in_words(row: Row) -> str:
    """Return how the last looks went, for those who cannot see the strip."""
    bad = sum(not is_good for _run, is_good in row.verdicts)
    count = len(row.verdicts)
    if not bad:
        return ngettext("good", "all %(n)d good", count) % {"n": count}
    return _("%(bad)d of %(n)d not right") % {"bad": bad, "n": count}


@register.simple_tag
def days_left(moment: datetime) -> SafeString:
    """Draw how many whole days are left, with the exact time on hover."""
    left = moment - timezone.now()
    words = _left_words(left)
    exact = exact_words(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time><span class="visually-hidden"> ({})</span>',
        moment.astimezone(UTC).isoformat(timespec="seconds"),
        exact,
        words,
        exact,
    )


def _left_words(left: timedelta) -> str:
    if left.days >= _TWO_YEARS:
        return _("%(n)d y") % {"n": left.days // 365}
    if left.days:
        return _("%(n)d d") % {"n": left.days}
    return _("%(n)d h") % {"n": left.seconds // 3600}
