"""Gives every request an id, and puts it into every log line and response."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from mailadmin.audit.request_id import accept_request_id, current_request_id, request_id_set

HEADER = "X-Request-ID"


class RequestContextMiddleware:
    """Accepts a sane ``X-Request-ID`` from a proxy or draws one, and answers with it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Serve the request with its id set."""
        with request_id_set(accept_request_id(request.headers.get(HEADER, ""))) as request_id:
            response = self.get_response(request)
            response.headers[HEADER] = request_id
            return response


class RequestIdFilter(logging.Filter):
    """Adds ``request_id`` to each log record, ``-`` outside of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        record.request_id = current_request_id() or "-"
        return True
