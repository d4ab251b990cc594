"""Who is told of what: what stands, destinations, and the log of what was sent."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mailadmin.accounts.mixins import change_required
from mailadmin.audit.actors import Actor
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.notifications import selectors, services
from mailadmin.notifications.composing import compose
from mailadmin.notifications.forms import FORMS
from mailadmin.notifications.models import Delivery, Destination
from mailadmin.notifications.sentences import say_problem
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.selectors import current_server

_PAGE_SIZE = 50
_MOST_QUIET = 20
# The field that a problem is about; the others are about the whole form.
_FIELDS = {
    "webhook.secret_missing": "secret",
    "webhook.secret_short": "secret",
    "destination.known": "address",
}


@require_safe
def show_list(request: HttpRequest) -> HttpResponse:
    """Show what stands now and who is told."""
    rows = selectors.list_destinations()
    quiet = selectors.open_notices(is_quiet=True)
    context = {
        "notices": list(selectors.open_notices()[:_PAGE_SIZE]),
        "quiet": list(quiet[:_MOST_QUIET]),
        "quiet_count": quiet.count(),
        "rows": rows,
        "weaknesses": selectors.find_weaknesses(
            [row.destination for row in rows], current_server()
        ),
        "has_past": selectors.closed_notices().exists(),
    }
    return render(request, "notifications/list.html", context)


@require_safe
def show_past(request: HttpRequest) -> HttpResponse:
    """Show what was told and is over."""
    page = _page(request, selectors.closed_notices())
    return render(request, "notifications/past.html", {"page": page})


@require_safe
def show_log(request: HttpRequest) -> HttpResponse:
    """Show what was sent, to whom, and how that went."""
    return render(request, "notifications/log.html", {"page": _page(request, _deliveries())})


@require_safe
def show_delivery(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one delivery; while it is under way the page asks again."""
    delivery = get_object_or_404(_deliveries(), pk=pk)
    context = {"delivery": delivery, "message": compose(delivery, timezone.now())}
    if request.headers.get("HX-Request") == "true":
        return render(request, "notifications/_delivery.html", context)
    return render(request, "notifications/delivery.html", context)


@change_required
@require_http_methods(["GET", "POST"])
def add(request: HttpRequest, kind: str) -> HttpResponse:
    """Add a mailbox or a webhook."""
    if kind not in FORMS:
        raise Http404(_("There is no such kind of destination."))
    form = FORMS[kind](request.POST or None)
    if form.is_valid():
        row = _store(
            form,
            lambda: services.add_destination(
                actor=Actor.from_request(request), kind=kind, **form.cleaned_data
            ),
        )
        if row:
            messages.success(request, _("Saved. Send a test, to see that it arrives."))
            return redirect("notifications:list")
    context = {"form": form, "kind": kind, "destination": None}
    return render(request, "notifications/edit.html", context)


@change_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a destination."""
    destination = get_object_or_404(Destination, pk=pk)
    form = FORMS[destination.kind](request.POST or None, destination)
    if form.is_valid():
        row = _store(
            form,
            lambda: services.change_destination(
                actor=Actor.from_request(request), destination=destination, **form.cleaned_data
            ),
        )
        if row:
            messages.success(request, _("Saved."))
            return redirect("notifications:list")
    context = {"form": form, "kind": destination.kind, "destination": destination}
    return render(request, "notifications/edit.html", context)


@change_required
@require_POST
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch a destination on or off."""
    services.set_enabled(
        actor=Actor.from_request(request),
        destination=get_object_or_404(Destination, pk=pk),
        is_enabled=request.POST.get("is_enabled") == "1",
    )
    return redirect("notifications:list")


@change_required
@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a test and show how it goes."""
    delivery = services.request_test(
        actor=Actor.from_request(request),
        destination=get_object_or_404(Destination, pk=pk),
        now=timezone.now(),
    )
    return redirect(delivery)


@change_required
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask first, then delete."""
    destination = get_object_or_404(Destination, pk=pk)
    if request.method == "POST":
        services.delete_destination(actor=Actor.from_request(request), destination=destination)
        said = _("%(title)s is told nothing more.") % {"title": destination.title}
        messages.success(request, said)
        return redirect("notifications:list")
    return render(request, "notifications/delete.html", {"destination": destination})


def _deliveries() -> QuerySet[Delivery]:
    return selectors.list_deliveries()


def _page(request: HttpRequest, rows: QuerySet[Any]) -> Any:
    return Paginator(rows, _PAGE_SIZE).get_page(request.GET.get("page"))


def _store(form: Form, save: Any) -> Destination | None:
    """Save, or say in the form why not."""
    try:
        row: Destination = save()
    except ChangeRefusedError as refused:
        problems = refused.problems
    except CustodyProblem as error:
        problems = (error.problem,)
    else:
        return row
    for problem in problems:
        form.add_error(_field_of(form, problem), say_problem(problem))
    return None


def _field_of(form: Form, problem: Problem) -> str | None:
    name = "address" if problem.code.startswith("webhook.") else None
    name = _FIELDS.get(problem.code, name)
    return name if name in form.fields else None
