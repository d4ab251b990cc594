"""The panel's own answer to an authority that asks it on port 80 (RFC 8555, section 8.3)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from mailadmin.acme.http01 import find_key_authorization


@require_safe
@never_cache
def answer_challenge(_request: HttpRequest, token: str) -> HttpResponse:
    """Say to anybody what belongs to a token that is presented; nothing of it is secret."""
    found = find_key_authorization(token)
    headers = {"X-Content-Type-Options": "nosniff"}
    return HttpResponse(
        found or "", content_type="text/plain", status=200 if found else 404, headers=headers
    )
