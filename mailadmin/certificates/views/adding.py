"""Ways to get a certificate: choosing one, and making a self-signed one."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import require_POST, require_safe

from mailadmin.accounts.mixins import ChangeRequiredMixin, change_required
from mailadmin.audit.actors import Actor
from mailadmin.certificates import services
from mailadmin.certificates.forms.names import normalize_names, split_names
from mailadmin.certificates.forms.requests import SelfSignedForm
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.sentences import say
from mailadmin.pki.names import both_forms

_LONGEST_PREVIEW = 30_000


@change_required
@require_safe
def choose_way(request: HttpRequest) -> HttpResponse:
    """Offer the ways to get a certificate."""
    return render(request, "certificates/add.html")


@change_required
@require_POST
def preview_names(request: HttpRequest) -> HttpResponse:
    """Show how a certificate would write the names typed so far; a part of the forms."""
    typed = f"{request.POST.get('common_name', '')} {request.POST.get('names', '')}"
    names: list[str] = []
    complaints: list[str] = []
    try:
        names = normalize_names(split_names(typed[:_LONGEST_PREVIEW]))
    except forms.ValidationError as error:
        complaints = error.messages
    context = {"names": [both_forms(name) for name in names], "complaints": complaints}
    return render(request, "certificates/_names_preview.html", context)


class SelfSignedView(ChangeRequiredMixin, View):
    """Makes a certificate signed by its own key."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask for the names."""
        return self._ask(request, SelfSignedForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make it, then ask what it is for."""
        form = SelfSignedForm(request.POST)
        if not form.is_valid():
            return self._ask(request, form)
        try:
            certificate = services.create_self_signed(
                actor=Actor.from_request(request),
                names=form.cleaned_data["names"],
                key_kind=form.cleaned_data["key_kind"],
                days=form.cleaned_data["days"],
                now=timezone.now(),
            )
        except CustodyProblem as error:
            form.add_error(None, say(error.problem))
            return self._ask(request, form)
        messages.success(
            request, _("The certificate %(label)s was made.") % {"label": certificate.label}
        )
        return redirect(use_url(certificate))

    def _ask(self, request: HttpRequest, form: SelfSignedForm) -> HttpResponse:
        return render(request, "certificates/self_signed.html", {"form": form})


def use_url(certificate: Certificate) -> str:
    """Return the page that asks what to use the certificate for."""
    return f"{reverse('listeners:assign')}?certificate={certificate.pk}"
