"""The theme switch. Login, password and two-factor pages are allauth's, with our templates."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from mailadmin.accounts.theme import COOKIE, THEMES

_ONE_YEAR = 365 * 86400


@login_not_required
@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Remember the theme in a cookie and go back to the page."""
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(
        back, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        back = "/"
    response = HttpResponseRedirect(back)
    theme = request.POST.get("theme", "")
    if theme in THEMES:
        # Not HttpOnly: the script switches at once and writes the same cookie. It holds no secret.
        response.set_cookie(
            COOKIE, theme, max_age=_ONE_YEAR, samesite="Lax", secure=settings.IS_BEHIND_TLS
        )
    return response
