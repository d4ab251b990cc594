"""Requests (CSR): making one, handing it out, waiting for its certificate, giving it up."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import require_safe

from mailadmin.accounts.mixins import ChangeRequiredMixin
from mailadmin.audit.actors import Actor
from mailadmin.certificates import requesting, selectors
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.forms.requests import RequestForm
from mailadmin.certificates.forms.uploads import UploadForm
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.models import CertificateSigningRequest
from mailadmin.certificates.sentences import say
from mailadmin.certificates.views.browsing import pem_response


class CreateView(ChangeRequiredMixin, View):
    """Draws a key and makes a request with it."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask for the names."""
        return self._ask(request, RequestForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make the request and show it."""
        form = RequestForm(request.POST)
        if not form.is_valid():
            return self._ask(request, form)
        try:
            csr = requesting.create_request(
                actor=Actor.from_request(request),
                subject=form.subject,
                names=form.all_names,
                key_kind=form.cleaned_data["key_kind"],
            )
        except CustodyProblem as error:
            form.add_error(None, say(error.problem))
            return self._ask(request, form)
        messages.success(request, _("The request is ready. Its private key stays here, encrypted."))
        return redirect(csr)

    def _ask(self, request: HttpRequest, form: RequestForm) -> HttpResponse:
        return render(request, "certificates/request_create.html", {"form": form})


@require_safe
def show_request(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a request, what to do with it, and where to bring the answer."""
    csr = get_object_or_404(CertificateSigningRequest, pk=pk)
    context = {
        "csr": csr,
        "is_pending": csr.status == CertificateSigningRequest.Status.PENDING,
        "certificates": selectors.find_answers(csr),
        "form": UploadForm(),
    }
    return render(request, "certificates/request_detail.html", context)


@require_safe
def download_request(_request: HttpRequest, pk: int) -> HttpResponse:
    """Send the request as a file."""
    csr = get_object_or_404(CertificateSigningRequest, pk=pk)
    return pem_response(csr.pem, f"request-{csr.pk}.csr", "application/pkcs10")


class CancelView(ChangeRequiredMixin, View):
    """Says what giving up a request means, and does it."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask first; a request that is not pending any more shows its own page."""
        csr = get_object_or_404(CertificateSigningRequest, pk=pk)
        if csr.status != CertificateSigningRequest.Status.PENDING:
            return redirect(csr)
        return render(request, "certificates/request_cancel.html", {"csr": csr})

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Give it up and destroy its key."""
        csr = get_object_or_404(CertificateSigningRequest, pk=pk)
        try:
            requesting.cancel_request(actor=Actor.from_request(request), csr=csr)
        except CertificateRefusedError as error:
            for problem in error.problems:
                messages.error(request, say(problem))
        else:
            messages.success(request, _("The request was cancelled and its private key destroyed."))
        return redirect(csr)
