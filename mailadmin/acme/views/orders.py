"""Looking before ordering, ordering, and following an order to its end."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mailadmin.accounts.mixins import change_required
from mailadmin.acme import progress, selectors
from mailadmin.acme.models import AcmeCertificate, AcmeOrder, AcmePreflight
from mailadmin.acme.sentences import say
from mailadmin.acme.services import orders
from mailadmin.audit.actors import Actor
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError


@change_required
@require_POST
def look(request: HttpRequest, pk: int) -> HttpResponse:
    """Have every name looked at."""
    wanted = get_object_or_404(AcmeCertificate, pk=pk)
    row = orders.request_preflight(actor=Actor.from_request(request), acme_certificate=wanted)
    return redirect("acme:preflight", row.pk)


@require_safe
def show_preflight(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what was seen, name by name; while it runs the page asks again."""
    row = get_object_or_404(
        AcmePreflight.objects.select_related("acme_certificate__account", "order"), pk=pk
    )
    is_partial = request.headers.get("HX-Request") == "true"
    if row.order is not None and not is_partial:
        return redirect(_follow(row.order))
    context = {"row": row, "look": progress.describe_preflight(row, timezone.now())}
    response = render(
        request, "acme/_preflight.html" if is_partial else "acme/preflight.html", context
    )
    if row.order is not None:
        response["HX-Redirect"] = _follow(row.order)
    return response


@change_required
@require_POST
def order(request: HttpRequest, pk: int) -> HttpResponse:
    """Order now: for all names, or for those that were chosen."""
    wanted = get_object_or_404(AcmeCertificate, pk=pk)
    has_one = wanted.orders.filter(issued_at__isnull=False, certificate__isnull=False).exists()
    return _request(
        request,
        wanted,
        trigger=AcmeOrder.Trigger.FORCED if has_one else AcmeOrder.Trigger.FIRST,
        names=request.POST.getlist("name"),
        is_rehearsed_first=request.POST.get("is_rehearsed_first") == "1",
    )


@change_required
@require_POST
def rehearse(request: HttpRequest, pk: int) -> HttpResponse:
    """Order at the staging directory, to see whether a renewal would work."""
    wanted = get_object_or_404(AcmeCertificate, pk=pk)
    return _request(request, wanted, trigger=AcmeOrder.Trigger.REHEARSAL)


@require_safe
def show_order(request: HttpRequest, pk: int) -> HttpResponse:
    """Show how far an order is; while it is under way the page asks again.

    Whoever watches a rehearsal is led on to the order for real.
    """
    row = get_object_or_404(selectors.list_orders(), pk=pk)
    following = selectors.following_order(row)
    if following is not None and "follow" in request.GET:
        return redirect(following)
    context = {
        "order": row,
        "progress": progress.describe_order(row, timezone.now()),
        "following": following,
    }
    if request.headers.get("HX-Request") == "true":
        response = render(request, "acme/_order.html", context)
        if following is not None:
            response["HX-Redirect"] = following.get_absolute_url()
        return response
    return render(request, "acme/order.html", context)


@change_required
@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Give an order up; whoever gives one up that is handed in has read first what that means."""
    row = get_object_or_404(selectors.list_orders(), pk=pk)
    is_confirmed = request.POST.get("is_confirmed") == "1"
    if request.method == "GET" or (row.is_handed_in and not is_confirmed):
        if not row.is_cancellable(timezone.now()):
            messages.error(request, say(Problem("acme.order_not_cancellable")))
            return redirect(row)
        return render(request, "acme/order_cancel.html", {"order": row})
    try:
        orders.cancel_order(actor=Actor.from_request(request), order=row)
    except ChangeRefusedError as refused:
        messages.error(request, say(refused.problems[0]))
    else:
        messages.success(request, _("Given up; what is served stays as it is."))
    return redirect(row)


@change_required
@require_POST
def go_on(request: HttpRequest, pk: int) -> HttpResponse:
    """Go on at once with an order that waits."""
    row = get_object_or_404(AcmeOrder, pk=pk)
    orders.continue_order(actor=Actor.from_request(request), order=row)
    return redirect(row)


def _request(
    request: HttpRequest,
    wanted: AcmeCertificate,
    *,
    trigger: str,
    names: list[str] | None = None,
    is_rehearsed_first: bool = False,
) -> HttpResponse:
    try:
        row = orders.request_order(
            actor=Actor.from_request(request),
            acme_certificate=wanted,
            trigger=trigger,
            names=names or (),
            is_rehearsed_first=is_rehearsed_first,
        )
    except ChangeRefusedError as refused:
        messages.error(request, say(refused.problems[0]))
        return redirect(wanted)
    return redirect(_follow(row))


def _follow(order: AcmeOrder) -> str:
    """Return the page of an order that was just asked for.

    A rehearsal may be over before its page is read; then the order for real is shown at once.
    """
    return f"{order.get_absolute_url()}?follow=1" if order.followed_by else order.get_absolute_url()
