"""The authorities trusted here beside the public ones: the list, adding one, taking one away."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views import View
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_safe

from mailadmin.accounts.mixins import ChangeRequiredMixin
from mailadmin.audit.actors import Actor
from mailadmin.certificates import intermediates
from mailadmin.certificates.authorities import (
    choose_root,
    distrust_authority,
    find_dependents,
    trust_authority,
)
from mailadmin.certificates.bounded import read_parts
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.forms.authorities import AuthorityForm
from mailadmin.certificates.models import TrustedAuthority
from mailadmin.certificates.trust import count_public_roots
from mailadmin.certificates.views.uploads import is_too_large, too_large
from mailadmin.pki.problems import Problem

_MOST_SHOWN = 20


@require_safe
def show_list(request: HttpRequest) -> HttpResponse:
    """Show the own authorities, and where the public ones come from."""
    context = {
        "authorities": TrustedAuthority.objects.all(),
        "public": count_public_roots(),
        "intermediates": intermediates.read_about(),
        "now": timezone.now(),
    }
    return render(request, "certificates/authorities.html", context)


@method_decorator(sensitive_post_parameters("pasted"), name="dispatch")
class AddView(ChangeRequiredMixin, View):
    """Takes a root certificate, and refuses everything else."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask for it."""
        return self._ask(request, AuthorityForm())

    @sensitive_variables()
    def post(self, request: HttpRequest) -> HttpResponse:
        """Trust it, or say why not. Nothing of what was given is kept otherwise."""
        if is_too_large(request):
            return self._ask(request, AuthorityForm(), [too_large()], status=413)
        form = AuthorityForm(request.POST, request.FILES)
        if not form.is_valid():
            return self._ask(request, form)
        try:
            authority = trust_authority(
                actor=Actor.from_request(request),
                root=choose_root(read_parts([part.content for part in form.given])),
                now=timezone.now(),
                note=form.cleaned_data["note"],
            )
        except CertificateRefusedError as error:
            return self._ask(request, form, error.problems)
        words = _("“%(name)s” is trusted from now on.") % {"name": authority.title}
        messages.success(request, words)
        return redirect("certificates:authorities")

    def _ask(
        self,
        request: HttpRequest,
        form: AuthorityForm,
        problems: Iterable[Problem] = (),
        status: int = 200,
    ) -> HttpResponse:
        context = {"form": form, "problems": problems}
        return render(request, "certificates/authority_add.html", context, status=status)


class RemoveView(ChangeRequiredMixin, View):
    """Says what depends on an authority, and takes it off the list."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask first."""
        authority = get_object_or_404(TrustedAuthority, pk=pk)
        dependents = find_dependents(authority)
        context = {
            "authority": authority,
            "dependents": dependents[:_MOST_SHOWN],
            "more": max(0, len(dependents) - _MOST_SHOWN),
        }
        return render(request, "certificates/authority_remove.html", context)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take it off."""
        authority = get_object_or_404(TrustedAuthority, pk=pk)
        dependents = distrust_authority(actor=Actor.from_request(request), authority=authority)
        words = _("“%(name)s” is not trusted any more.") % {"name": authority.title}
        if dependents:
            words += " " + ngettext(
                "%(n)d certificate leads to it; it is served as before.",
                "%(n)d certificates lead to it; they are served as before.",
                len(dependents),
            ) % {"n": len(dependents)}
        messages.success(request, words)
        return redirect("certificates:authorities")
