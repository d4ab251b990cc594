"""The page of last resort: what it says when the panel's own parts fail."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import server_error

# Seconds.
_RETRY_AFTER = "10"


def answer_fault(request: HttpRequest) -> HttpResponse:
    """Answer a request that broke. That the database is busy or away is no mistake of the code.

    Nothing here asks the database, and Django keeps no session of a response like this.
    """
    error = sys.exception()
    if not isinstance(error, OperationalError | InterfaceError):
        return server_error(request)
    # SQLite's words: "database is locked", "database table is locked".
    context = {"is_locked": "is locked" in str(error)}
    response = HttpResponse(render_to_string("503.html", context), status=503)
    response.headers["Retry-After"] = _RETRY_AFTER
    return response
