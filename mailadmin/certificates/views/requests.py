"""Requests (CSR): making one, handing it out, waiting for its certificate, giving it up."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import require_safe

from mailadmin.accounts.mixins import ChangeRequiredMixin
from mailadmin.accounts.relative_time import distance_words
from mailadmin.audit.actors import Actor
from mailadmin.certificates import requesting, selectors
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.forms.requests import RenewForm, RequestForm, TrackForm
from mailadmin.certificates.forms.uploads import UploadForm
from mailadmin.certificates.known_keys import find_known_keys
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.models import Certificate, CertificateSigningRequest
from mailadmin.certificates.sentences import say
from mailadmin.certificates.sentences.requests import CANCELLED
from mailadmin.certificates.views.browsing import pem_response
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.csr import read_csr
from mailadmin.pki.csr_judging import judge_csr
from mailadmin.pki.renewal import Renewal, plan_renewal, request_command

Status = CertificateSigningRequest.Status


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


class RenewView(ChangeRequiredMixin, View):
    """Makes a request for a certificate that takes the place of one that is here."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what will be asked for, and ask about the key."""
        certificate = get_object_or_404(Certificate, pk=pk, deleted_at=None)
        renewal = plan_renewal(read_certificate(certificate.leaf_pem.encode()), find_known_keys())
        return self._ask(request, certificate, renewal, _renew_form(certificate, renewal))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make the request and show it."""
        certificate = get_object_or_404(Certificate, pk=pk, deleted_at=None)
        renewal = plan_renewal(read_certificate(certificate.leaf_pem.encode()), find_known_keys())
        form = _renew_form(certificate, renewal, request.POST)
        if not form.is_valid():
            return self._ask(request, certificate, renewal, form)
        try:
            csr = _renew(Actor.from_request(request), certificate, form)
        except CustodyProblem as error:
            form.add_error(None, say(error.problem))
        except CertificateRefusedError as error:
            form.add_error(None, [say(problem) for problem in error.problems])
        else:
            messages.success(request, _("The request is ready."))
            return redirect(csr)
        return self._ask(request, certificate, renewal, form)

    def _ask(
        self, request: HttpRequest, certificate: Certificate, renewal: Renewal, form: RenewForm
    ) -> HttpResponse:
        context = {
            "certificate": certificate,
            "renewal": renewal,
            "form": form,
            "waiting": selectors.find_waiting_renewals(certificate),
            "command": request_command(renewal),
        }
        return render(request, "certificates/request_renew.html", context)


def _renew_form(certificate: Certificate, renewal: Renewal, posted: Any = None) -> RenewForm:
    can_keep_key = certificate.private_key_id is not None and not renewal.key_problems
    return RenewForm(posted, renewal=renewal, can_keep_key=can_keep_key)


def _renew(actor: Actor, certificate: Certificate, form: RenewForm) -> CertificateSigningRequest:
    if form.keeps_key:
        return requesting.create_request_with_kept_key(
            actor=actor, subject=form.subject, names=form.all_names, renews=certificate
        )
    return requesting.create_request(
        actor=actor,
        subject=form.subject,
        names=form.all_names,
        key_kind=form.cleaned_data["key_kind"],
        renews=certificate,
    )


class TrackView(ChangeRequiredMixin, View):
    """Remembers a request that another program made, so that its answer is recognised."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask for the request."""
        return self._ask(request, TrackForm(initial={"renews": request.GET.get("renews")}))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Judge and remember it, or say what is wrong with it."""
        form = TrackForm(request.POST, request.FILES)
        if not form.is_valid():
            return self._ask(request, form)
        renewed = Certificate.objects.filter(pk=form.cleaned_data["renews"], deleted_at=None)
        try:
            csr = requesting.track_request(
                actor=Actor.from_request(request), facts=form.facts, renews=renewed.first()
            )
        except CertificateRefusedError as error:
            known = next((problem.subject for problem in error.problems if problem.subject), "")
            form.add_error(None, [say(problem) for problem in error.problems])
            return self._ask(request, form, known)
        messages.success(request, _("The request is in the list and waits for its certificate."))
        return redirect(csr)

    def _ask(self, request: HttpRequest, form: TrackForm, known: str = "") -> HttpResponse:
        return render(request, "certificates/request_track.html", {"form": form, "known": known})


@require_safe
def show_request(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a request, what to do with it, and where to bring the answer."""
    csr = get_object_or_404(CertificateSigningRequest.objects.select_related("renews"), pk=pk)
    facts = read_csr(csr.pem.encode())
    context = {
        "csr": csr,
        "facts": facts,
        "number": str(csr.pk),
        "tlsa": f"3 1 1 {csr.public_key_id}",
        "problems": judge_csr(facts, find_known_keys()),
        "is_pending": csr.status == Status.PENDING,
        "age": distance_words((timezone.now() - csr.created_at).total_seconds()),
        "is_key_kept": csr.renews is not None and csr.renews.public_key_id == csr.public_key_id,
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
        if csr.status != Status.PENDING:
            return redirect(csr)
        context = {"csr": csr, "key_users": selectors.find_others_with_key(csr)}
        return render(request, "certificates/request_cancel.html", context)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Give it up, and destroy its key unless something else needs it."""
        csr = get_object_or_404(CertificateSigningRequest, pk=pk)
        try:
            cancelled = requesting.cancel_request(actor=Actor.from_request(request), csr=csr)
        except CertificateRefusedError as error:
            for problem in error.problems:
                messages.error(request, say(problem))
        else:
            messages.success(request, CANCELLED[cancelled.key_fate])
        return redirect(csr)
