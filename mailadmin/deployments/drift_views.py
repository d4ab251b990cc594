"""The page about what was changed outside the panel, and the three choices."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mailadmin.accounts.mixins import change_required
from mailadmin.audit.actors import Actor
from mailadmin.deployments import selectors
from mailadmin.deployments.drift import open_drift, open_upgrade
from mailadmin.deployments.drift_choices import describe_offer, leave_drift, take_over_drift
from mailadmin.deployments.forms import DriftForm
from mailadmin.deployments.sentences import say_problem
from mailadmin.deployments.services import request_plan
from mailadmin.listeners.selectors import pending_changes
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.selectors import current_server
from mailadmin.servers.views import server_or_404


@require_safe
def drift(request: HttpRequest) -> HttpResponse:
    """Show what is not as it was applied, with what each choice would do."""
    server = current_server()
    if server is None:
        return render(request, "deployments/no_server.html")
    return render(request, "deployments/drift.html", _context(server))


@change_required
@require_POST
def take_over(request: HttpRequest) -> HttpResponse:
    """Want what was found."""
    server, form = server_or_404(), DriftForm(request.POST)
    try:
        take_over_drift(actor=Actor.from_request(request), server=server, **_chosen(form))
    except ChangeRefusedError as refused:
        return _refuse(request, refused)
    messages.success(request, _("What was found is wanted now. Nothing is applied yet: review it."))
    return redirect("deployments:review")


@change_required
@require_POST
def restore(request: HttpRequest) -> HttpResponse:
    """Ask for a fresh plan, which shows what putting back overwrites."""
    server = server_or_404()
    if selectors.unfinished_deployment(server) is None:
        request_plan(actor=Actor.from_request(request), server=server)
    return redirect("deployments:review")


@change_required
@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Let it be, quietly, until it changes again."""
    server, form = server_or_404(), DriftForm(request.POST)
    try:
        leave_drift(actor=Actor.from_request(request), server=server, **_chosen(form))
    except ChangeRefusedError as refused:
        return _refuse(request, refused)
    messages.success(request, _("It stays as it is, and nobody is told again until it changes."))
    return redirect("deployments:drift")


def _chosen(form: DriftForm) -> dict[str, Any]:
    """Return what was decided on; a page that names no drift names none that stands."""
    if not form.is_valid():
        return {"drift_id": 0}
    return {"drift_id": form.cleaned_data["drift"], "reason": form.cleaned_data["reason"]}


def _refuse(request: HttpRequest, refused: ChangeRefusedError) -> HttpResponse:
    for problem in refused.problems:
        messages.error(request, say_problem(problem))
    return redirect("deployments:drift")


def _context(server: MailServer) -> dict[str, Any]:
    found = open_drift(server)
    return {
        "server": server,
        "drift": found,
        "upgrade": open_upgrade(server),
        "offer": describe_offer(server, found) if found else (),
        "pending_now": len(pending_changes(server)),
        "is_comparable": bool(server.rendered_versions),
    }
