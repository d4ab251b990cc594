"""What the frame of every page shows."""

from __future__ import annotations

from django.http import HttpRequest

from mailadmin.accounts.roles import is_administrator, may_change


def frame(request: HttpRequest) -> dict[str, object]:
    """Return the frame and what the person may do."""
    return {
        "frame": {"server": None, "pending_count": 0, "health": None},
        "may_change": may_change(request.user),
        "is_administrator": is_administrator(request.user),
    }
