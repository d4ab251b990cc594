"""Review what would change, apply it, watch it being proven, and go back. Speaks to rows only."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mailadmin.accounts.mixins import change_required
from mailadmin.audit.actors import Actor
from mailadmin.deployments import selectors, services
from mailadmin.deployments.foresight import request_foresight
from mailadmin.deployments.forms import ApplyForm
from mailadmin.deployments.models import Deployment, Plan
from mailadmin.deployments.progress import read_progress
from mailadmin.deployments.reviewing import Review, read_review
from mailadmin.deployments.sentences import say_problem
from mailadmin.deployments.sentences.outcomes import awaiting_stage, retry_stamp
from mailadmin.listeners.selectors import applied_state, desired_state, pending_changes
from mailadmin.mailconf.plan import describe_changes
from mailadmin.mailconf.state import DesiredState
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.selectors import current_server
from mailadmin.servers.views import server_or_404

_PAGE_SIZE = 25


# Review


@require_safe
def review(request: HttpRequest) -> HttpResponse:
    """Show what would change and what could break. Asks for a plan when there is no fresh one."""
    server = current_server()
    if server is None:
        return render(request, "deployments/no_server.html")
    shown = read_review(server, timezone.now())
    actor = Actor.from_request(request)
    if shown.needs_plan:
        services.request_plan(actor=actor, server=server)
    if shown.needs_foresight:
        request_foresight(actor=actor, server=server)
    if shown.needs_plan or shown.needs_foresight:
        shown = read_review(server, timezone.now())
    return render(request, "deployments/review.html", _review_context(shown))


@require_safe
def plan_status(request: HttpRequest) -> HttpResponse:
    """Answer the page that waits for its plan: how long already, or the whole review."""
    shown = read_review(server_or_404(), timezone.now())
    if shown.needs_plan:
        # Something else is wanted since the page was opened, or the deployment it waited for ended.
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    if shown.is_waiting:
        return render(request, "deployments/_waiting.html", {"review": shown})
    response = render(request, "deployments/_review.html", _review_context(shown))
    response["HX-Retarget"], response["HX-Reswap"] = "#review", "outerHTML"
    return response


@require_safe
def foresight_status(request: HttpRequest) -> HttpResponse:
    """Answer the page that waits to hear who would notice: how far it is, or who."""
    shown = read_review(server_or_404(), timezone.now())
    if shown.needs_foresight:
        # Something else is wanted since the page was opened.
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "deployments/_foresight.html", {"review": shown})


@change_required
@require_POST
def plan_anew(request: HttpRequest) -> HttpResponse:
    """Ask the agent again, for example after a file was edited by hand."""
    server = server_or_404()
    # A plan made while files are being swapped would be good for nothing.
    if selectors.unfinished_deployment(server) is None:
        actor = Actor.from_request(request)
        services.request_plan(actor=actor, server=server)
        request_foresight(actor=actor, server=server)
    return redirect("deployments:review")


@change_required
@require_POST
def apply(request: HttpRequest) -> HttpResponse:
    """Queue the plan that was read, if it is still what is wanted."""
    server = server_or_404()
    form = ApplyForm(request.POST)
    plan = _reviewed_plan(server, form)
    if plan is None:
        messages.error(request, say_problem({"code": "plan.outdated", "severity": "error"}))
        return redirect("deployments:review")
    already = plan.deployments.order_by("number").first()
    if already:
        # The button was pressed twice, or the page was sent again.
        return redirect(already)
    try:
        deployment = services.request_deployment(
            actor=Actor.from_request(request),
            server=server,
            plan=plan,
            reason=form.cleaned_data["reason"],
            confirm_minutes=form.cleaned_data["confirm_within"],
            may_overwrite=form.cleaned_data["overwrite"],
        )
    except ChangeRefusedError as refused:
        return _refuse_apply(request, plan, refused)
    return redirect(deployment)


def _reviewed_plan(server: MailServer, form: ApplyForm) -> Plan | None:
    """Return the plan with the digest that was on the page."""
    if not form.is_valid():
        return None
    values = form.cleaned_data
    return server.plans.filter(pk=values["plan"], digest=values["digest"]).first()


def _refuse_apply(request: HttpRequest, plan: Plan, refused: ChangeRefusedError) -> HttpResponse:
    deployment = plan.deployments.order_by("number").first()
    if deployment:
        return redirect(deployment)
    _say_refused(request, refused)
    return redirect("deployments:review")


def _say_refused(request: HttpRequest, refused: ChangeRefusedError) -> None:
    for problem in refused.problems:
        messages.error(request, say_problem(problem))


def _review_context(shown: Review) -> dict[str, Any]:
    plan = shown.plan if shown.is_ready else None
    form = ApplyForm(initial={"plan": plan.pk, "digest": plan.digest}) if plan else None
    return {"review": shown, "overview": shown, "form": form}


@change_required
@require_http_methods(["GET", "POST"])
def discard(request: HttpRequest) -> HttpResponse:
    """Ask first, naming what would be lost; then want again what is applied."""
    server = server_or_404()
    changes, digest = pending_changes(server), desired_state(server).digest
    if not changes:
        messages.info(request, _("Nothing is pending, so there is nothing to discard."))
        return redirect("deployments:review")
    # What somebody else saved in the meantime was not on the page, so it is not discarded.
    if request.POST.get("digest") != digest:
        context = {
            "changes": changes,
            "digest": digest,
            "is_changed": bool(request.POST.get("digest")),
            "is_anything_applied": applied_state(server) is not None,
        }
        return render(request, "deployments/discard.html", context)
    try:
        services.discard_changes(actor=Actor.from_request(request), server=server)
    except ChangeRefusedError as refused:
        _say_refused(request, refused)
        return redirect("deployments:review")
    said = ngettext(
        "Discarded %(n)d change. What is wanted is what is applied.",
        "Discarded %(n)d changes. What is wanted is what is applied.",
        len(changes),
    )
    messages.success(request, said % {"n": len(changes)})
    return redirect("deployments:review")


# Deployments


@require_safe
def list_deployments(request: HttpRequest) -> HttpResponse:
    """Show the history, newest first."""
    server = current_server()
    if server is None:
        return render(request, "deployments/no_server.html")
    pages = Paginator(selectors.list_deployments(server), _PAGE_SIZE)
    applied = applied_state(server)
    context = {
        "page": pages.get_page(request.GET.get("page")),
        "applied_digest": applied.digest if applied else "",
    }
    return render(request, "deployments/list.html", context)


@require_safe
def detail(request: HttpRequest, number: int) -> HttpResponse:
    """Show one deployment: its steps while they happen, how it ended, what it changed."""
    deployment = _deployment_or_404(number)
    return render(request, "deployments/detail.html", _detail_context(deployment))


@require_safe
def steps(request: HttpRequest, number: int) -> HttpResponse:
    """Answer the page that follows a deployment, until it has ended."""
    deployment = _deployment_or_404(number)
    if deployment.is_awaiting and request.GET.get("seen") == "awaiting":
        return HttpResponse(status=204)
    if deployment.is_left_unproven and request.GET.get("seen") == retry_stamp(deployment):
        return HttpResponse(status=204)
    context = _detail_context(deployment)
    if deployment.is_finished:
        response = render(request, "deployments/_ended.html", context)
        response["HX-Retarget"], response["HX-Reswap"] = "#deployment", "outerHTML"
        return response
    if request.GET.get("seen") == context["progress"].signature:
        return HttpResponse(status=204)
    return render(request, "deployments/_progress.html", context)


@require_safe
def awaiting(request: HttpRequest, number: int) -> HttpResponse:
    """Answer every page that counts down: how long still, or how it ended."""
    deployment = _deployment_or_404(number)
    if deployment.is_awaiting and request.GET.get("seen") == awaiting_stage(deployment):
        # The script counts; swapping the buttons would take the focus from under a finger.
        return HttpResponse(status=204)
    response = render(request, "deployments/_awaiting.html", {"settled": deployment})
    if not deployment.is_awaiting:
        # Its own page tells the same at more length.
        response["HX-Trigger"] = "settled"
    return response


@change_required
@require_POST
def confirm(request: HttpRequest, number: int) -> HttpResponse:
    """Have a deployment kept that is taken back otherwise."""
    return _decide(request, number, Deployment.Decision.KEEP)


@change_required
@require_POST
def take_back(request: HttpRequest, number: int) -> HttpResponse:
    """Have a deployment taken back at once that waits to be confirmed."""
    return _decide(request, number, Deployment.Decision.TAKE_BACK)


def _decide(request: HttpRequest, number: int, decision: Deployment.Decision) -> HttpResponse:
    deployment = _deployment_or_404(number)
    try:
        services.decide_deployment(
            actor=Actor.from_request(request), deployment=deployment, decision=decision
        )
    except ChangeRefusedError as refused:
        _say_refused(request, refused)
    return redirect(deployment)


@change_required
@require_http_methods(["GET", "POST"])
def restore(request: HttpRequest, number: int) -> HttpResponse:
    """Say what going back would change, then want it; it still has to be reviewed and applied."""
    deployment = _deployment_or_404(number)
    if request.method == "POST":
        return _go_back(request, deployment)
    if deployment.status != Deployment.Status.SUCCEEDED:
        problem = {"code": "deployment.never_proven", "severity": "error"}
        messages.error(request, say_problem(problem | {"params": {"number": number}}))
        return redirect(deployment)
    now = desired_state(deployment.server)
    context = {
        "deployment": deployment,
        "changes": describe_changes(now, DesiredState.from_dict(deployment.state)),
        "pending_now": len(pending_changes(deployment.server)),
    }
    return render(request, "deployments/restore.html", context)


def _go_back(request: HttpRequest, deployment: Deployment) -> HttpResponse:
    try:
        is_changed = services.restore_deployment(
            actor=Actor.from_request(request),
            deployment=deployment,
            reason=request.POST.get("reason", "")[:300],
        )
    except ChangeRefusedError as refused:
        _say_refused(request, refused)
        return redirect(deployment)
    number = {"number": deployment.number}
    if is_changed:
        said = _("The state of #%(number)d is wanted again. Nothing is applied yet: review it.")
    else:
        said = _("The state of #%(number)d is what is wanted already.")
    messages.success(request, said % number)
    return redirect("deployments:review")


def _detail_context(deployment: Deployment) -> dict[str, Any]:
    applied = applied_state(deployment.server)
    is_current = applied is not None and applied.digest == deployment.state_digest
    is_proven = deployment.status == Deployment.Status.SUCCEEDED
    return {
        "deployment": deployment,
        "progress": read_progress(deployment, timezone.now()),
        "may_be_restored": is_proven and not is_current,
        "is_current": is_proven and is_current,
    }


def _deployment_or_404(number: int) -> Deployment:
    deployment = selectors.find_deployment(server_or_404(), number)
    if deployment is None:
        raise Http404(_("There is no deployment of that number."))
    return deployment
