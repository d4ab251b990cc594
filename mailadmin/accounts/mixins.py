"""Keeps viewers from changing things, with a page that says so in plain words."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _

from mailadmin.accounts.roles import may_change, may_export_keys

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def change_required(view: View[P]) -> View[P]:
    """Answer 403 unless the person may change things (operator or administrator)."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        require_change(request)
        return view(request, *args, **kwargs)

    return guarded


class ChangeRequiredMixin:
    """For class-based views: answers 403 unless the person may change things.

    Put it first among the bases.
    """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Look at the role before anything else."""
        require_change(request)
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]  # a mixin for View
        return response


class KeyExportRequiredMixin:
    """For class-based views: answers 403 unless the person may take private keys out.

    Put it first among the bases.
    """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Look at the role before anything else."""
        if not may_export_keys(request.user):
            raise PermissionDenied(
                _("Only an administrator may take a private key out of the panel.")
            )
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]  # a mixin for View
        return response


def require_change(request: HttpRequest) -> None:
    """Raise ``PermissionDenied`` with a sentence unless the person may change things."""
    if not may_change(request.user):
        raise PermissionDenied(
            _("Your role is viewer: you can read everything here, but not change it.")
        )
