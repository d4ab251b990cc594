"""What the frame of every page shows. Read only when a template asks for it."""

from __future__ import annotations

from functools import cached_property

from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone

from mailadmin.accounts.models import User
from mailadmin.accounts.roles import is_administrator, may_change, may_export_keys
from mailadmin.dashboard.health import Health, read_health
from mailadmin.deployments.models import Deployment
from mailadmin.deployments.selectors import awaiting_deployment
from mailadmin.listeners.selectors import pending_changes
from mailadmin.servers.models import MailServer
from mailadmin.servers.selectors import current_server


class Frame:
    """The mail server, what is pending or on trial, how it is; seven queries for all of it."""

    def __init__(self, *, is_known: bool) -> None:
        """``is_known``: somebody is logged in. Nobody else is told anything."""
        self.is_known = is_known

    @cached_property
    def server(self) -> MailServer | None:
        """Return the mail server the pages are about."""
        return current_server() if self.is_known else None

    @cached_property
    def pending_count(self) -> int:
        """Return how many changes are not applied yet."""
        return len(pending_changes(self.server)) if self.server else 0

    @cached_property
    def awaiting(self) -> Deployment | None:
        """Return the deployment that is taken back unless it is confirmed."""
        return awaiting_deployment(self.server) if self.server else None

    @cached_property
    def health(self) -> Health | None:
        """Return what the last look at the ports amounts to."""
        return read_health(self.server, timezone.now()) if self.server else None


def frame(request: HttpRequest) -> dict[str, object]:
    """Return the frame and what the person may do."""
    user = _user_of(request)
    return {
        "frame": Frame(is_known=user.is_authenticated),
        "may_change": may_change(user),
        "may_export_keys": may_export_keys(user),
        "is_administrator": is_administrator(user),
    }


def _user_of(request: HttpRequest) -> User | AnonymousUser:
    """Return who asks; nobody, where the page tells of trouble that came before that was known."""
    user: User | AnonymousUser = getattr(request, "user", AnonymousUser())
    try:
        # The first use reads the session and the account.
        return user if user.is_authenticated else AnonymousUser()
    except DatabaseError:
        return AnonymousUser()
