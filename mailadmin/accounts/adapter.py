"""What allauth asks us: nobody signs up by themselves."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedSignupAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """People are created by an administrator, on the command line."""

    def is_open_for_signup(self, _request: HttpRequest) -> bool:
        """Nobody signs up by themselves."""
        return False
