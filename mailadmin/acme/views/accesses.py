"""DNS accesses: how records are written into somebody's zones."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import require_safe

from mailadmin.accounts.mixins import ChangeRequiredMixin
from mailadmin.acme.dns.failures import DnsFailure
from mailadmin.acme.forms.accesses import AccessForm, installed_providers, open_form
from mailadmin.acme.models import DnsAccess
from mailadmin.acme.sentences import say
from mailadmin.acme.services import accesses
from mailadmin.audit.actors import Actor
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.servers.errors import ChangeRefusedError


@require_safe
def show_accesses(request: HttpRequest) -> HttpResponse:
    """Show the accesses there are."""
    return render(request, "acme/accesses.html", {"rows": DnsAccess.objects.all()})


class AddView(ChangeRequiredMixin, View):
    """Adds an access."""

    def get(self, request: HttpRequest, kind: str) -> HttpResponse:
        """Ask what this kind of access needs; of a provider, first which."""
        provider = request.GET.get("provider", "")
        if kind == DnsAccess.Kind.LEXICON and not provider:
            context = {"providers": installed_providers()}
            return render(request, "acme/access_provider.html", context)
        return _ask(request, _open(kind, provider))

    def post(self, request: HttpRequest, kind: str) -> HttpResponse:
        """Keep it."""
        form = _open(kind, request.GET.get("provider", ""), request)
        if not form.is_valid():
            return _ask(request, form)
        try:
            accesses.add_access(
                actor=Actor.from_request(request),
                kind=kind,
                title=form.cleaned_data["title"],
                settings=form.settings,
                secret=form.secret,
            )
        except (ChangeRefusedError, CustodyProblem) as error:
            return _refuse(request, form, error)
        messages.success(request, _("Saved."))
        return redirect("acme:accesses")


class ChangeView(ChangeRequiredMixin, View):
    """Changes an access."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what is kept, but for the secret."""
        access = get_object_or_404(DnsAccess, pk=pk)
        try:
            return _ask(request, open_form(access.kind, row=access), access)
        except DnsFailure as failure:
            return _give_way(request, failure)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Keep the change."""
        access = get_object_or_404(DnsAccess, pk=pk)
        try:
            form = open_form(access.kind, submitted=request.POST, row=access)
        except DnsFailure as failure:
            return _give_way(request, failure)
        if not form.is_valid():
            return _ask(request, form, access)
        try:
            accesses.change_access(
                actor=Actor.from_request(request),
                access=access,
                title=form.cleaned_data["title"],
                settings=form.settings,
                secret=form.secret,
            )
        except (ChangeRefusedError, CustodyProblem) as error:
            return _refuse(request, form, error, access)
        messages.success(request, _("Saved."))
        return redirect("acme:accesses")


class DeleteView(ChangeRequiredMixin, View):
    """Asks first, then deletes an access."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say what that means."""
        access = get_object_or_404(DnsAccess, pk=pk)
        return render(request, "acme/access_delete.html", {"access": access})

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Do it."""
        access = get_object_or_404(DnsAccess, pk=pk)
        try:
            accesses.delete_access(actor=Actor.from_request(request), access=access)
        except ChangeRefusedError as refused:
            messages.error(request, say(refused.problems[0]))
        else:
            messages.success(request, _("Deleted."))
        return redirect("acme:accesses")


def _open(kind: str, provider: str, request: HttpRequest | None = None) -> AccessForm:
    if kind not in DnsAccess.Kind.values:
        raise Http404(_("There is no such kind of access."))
    try:
        return open_form(kind, submitted=request.POST if request else None, provider=provider)
    except DnsFailure as failure:
        raise Http404(say(failure.problem)) from None


def _give_way(request: HttpRequest, failure: DnsFailure) -> HttpResponse:
    """Say that an access cannot be changed: its provider is not installed any more."""
    messages.error(request, say(failure.problem))
    return redirect("acme:accesses")


def _ask(request: HttpRequest, form: AccessForm, access: DnsAccess | None = None) -> HttpResponse:
    return render(request, "acme/access.html", {"form": form, "access": access})


def _refuse(
    request: HttpRequest,
    form: AccessForm,
    error: ChangeRefusedError | CustodyProblem,
    access: DnsAccess | None = None,
) -> HttpResponse:
    problems = error.problems if isinstance(error, ChangeRefusedError) else (error.problem,)
    form.add_error(None, [say(problem) for problem in problems])
    return _ask(request, form, access)
