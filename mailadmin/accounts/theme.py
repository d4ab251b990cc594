"""Light, dark, or as the system prefers: one cookie, read by the server."""

from __future__ import annotations

from django.http import HttpRequest

COOKIE = "theme"
THEMES = ("auto", "light", "dark")


def chosen_theme(request: HttpRequest | None) -> str:
    """Return the theme of the cookie, or ``auto`` without a known one."""
    wanted = request.COOKIES.get(COOKIE, "") if request else ""
    return wanted if wanted in THEMES else "auto"


def next_theme(theme: str) -> str:
    """Return the theme after this one on the switch."""
    return THEMES[(THEMES.index(theme) + 1) % len(THEMES)]
