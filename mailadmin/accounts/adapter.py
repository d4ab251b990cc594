"""What allauth asks us about logging in: nobody signs up, and every login leaves an event."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.db import transaction
from django.http import HttpRequest

from mailadmin.accounts.models import User
from mailadmin.accounts.recording import record_failed_login, record_person
from mailadmin.audit.actors import Actor


class ClosedSignupAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """People are created by an administrator, on the command line."""

    def is_open_for_signup(self, _request: HttpRequest) -> bool:
        """Nobody signs up by themselves."""
        return False

    @transaction.atomic
    def login(self, request: HttpRequest, user: User) -> None:
        """Log the person in, after the password and the code were right."""
        super().login(request, user)
        record_person(Actor.from_request(request), "user.logged_in", user)

    @transaction.atomic
    def logout(self, request: HttpRequest) -> None:
        """Log the person out."""
        user = request.user
        actor = Actor.from_request(request)
        super().logout(request)
        if isinstance(user, User):
            record_person(actor, "user.logged_out", user)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Record a wrong user name or password."""
        record_failed_login(request, str(credentials.get("username", "")))
