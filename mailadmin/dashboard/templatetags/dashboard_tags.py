"""What the overview shows of a listener, in words."""

from __future__ import annotations

from django import template
from django.utils.translation import gettext as _

from mailadmin.dashboard import sentences
from mailadmin.dashboard.matrix import Matrix, Row
from mailadmin.listeners.sentences import address_words, tls_mode_words

register = template.Library()

_PLAYERS = {"client": "C", "server": "S", "tls": "*"}


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
def player(who: str) -> str:
    """Return the letter for who spoke: client, server, or the TLS layer."""
    return _PLAYERS.get(who, "?")
