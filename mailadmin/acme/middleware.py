"""Answers an authority before anything else of the panel is asked."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from mailadmin.acme.views.answering import answer_challenge

PREFIX = "/.well-known/acme-challenge/"


class ChallengeMiddleware:
    """Takes the one address that is asked for under other host names than the panel's own.

    An authority asks for the name that is to be in the certificate, which need not be in
    ``ALLOWED_HOSTS``; and it follows no login, session or language.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer an authority; pass on all others."""
        if request.path_info.startswith(PREFIX):
            return answer_challenge(request, request.path_info.removeprefix(PREFIX))
        return self.get_response(request)
