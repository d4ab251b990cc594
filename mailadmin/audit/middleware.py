"""Gives every request an id, and puts it into every log line and response."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from mailadmin.audit.request_id import accept_request_id, current_request_id, request_id_set

HEADER = "X-Request-ID"
META_KEY = "mailadmin.request_id"


class RequestContextMiddleware:
    """Accepts a sane ``X-Request-ID`` from a proxy or draws one, and answers with it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Serve the request with its id set."""
        with request_id_set(accept_request_id(request.headers.get(HEADER, ""))) as request_id:
            # Django logs "Not Found" after the middleware; the request still tells the id then.
            request.META[META_KEY] = request_id
            response = self.get_response(request)
            response.headers[HEADER] = request_id
            return response


class RequestIdFilter(logging.Filter):
    """Adds ``request_id`` to each log record, ``-`` outside of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        meta = getattr(getattr(record, "request", None), "META", {})
        record.request_id = current_request_id() or meta.get(META_KEY) or "-"
        return True
