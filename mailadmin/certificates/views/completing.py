"""What a verdict offers beside more files: to fetch what is missing, and to trust a root."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST

from mailadmin.accounts.mixins import ChangeRequiredMixin, change_required
from mailadmin.audit.actors import Actor
from mailadmin.certificates import completing
from mailadmin.certificates.authorities import find_unknown_root, trust_authority
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.fetching import FetchProblem
from mailadmin.certificates.fetching_issuers import fetch_issuer, find_offer
from mailadmin.certificates.judging import judge_stored, judge_upload
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.models import Certificate, TrustedAuthority
from mailadmin.certificates.sealed_uploads import (
    KeptUpload,
    UploadGoneError,
    drop_upload,
    open_upload,
    seal_upload,
)
from mailadmin.certificates.sentences import say
from mailadmin.certificates.views.uploads import person_of, show_verdict
from mailadmin.pki.problems import Problem


@method_decorator(sensitive_post_parameters("token"), name="dispatch")
class _WaitingUploadView(ChangeRequiredMixin, View, ABC):
    """Does one thing with an upload that waits, and shows its verdict again."""

    @sensitive_variables()
    def post(self, request: HttpRequest) -> HttpResponse:
        """Open the upload and go on; one that is gone must be brought again."""
        token, now = request.POST.get("token", ""), timezone.now()
        try:
            kept = open_upload(user=person_of(request), token=token, now=now)
            return self.go_on(request, token, kept, now)
        except UploadGoneError:
            problem = Problem("upload.gone")
        except CustodyProblem as error:
            problem = error.problem
        messages.error(request, say(problem))
        return redirect("certificates:upload")

    @abstractmethod
    def go_on(
        self, request: HttpRequest, token: str, kept: KeptUpload, now: datetime
    ) -> HttpResponse:
        """Do it. ``kept`` may hold a private key."""


class FetchIssuerView(_WaitingUploadView):
    """Fetches the missing certificate from the address that the page showed."""

    @sensitive_variables()
    def go_on(
        self, request: HttpRequest, token: str, kept: KeptUpload, now: datetime
    ) -> HttpResponse:
        """Fetch once, and judge what came with the rest."""
        verdict = judge_upload(kept.given, now=now, written=kept.written)
        offer = find_offer(verdict)
        if offer is None:  # pressed twice
            return show_verdict(request, verdict, token, now)
        address = request.POST.get("address", "")
        try:
            issuer = fetch_issuer(actor=Actor.from_request(request), offer=offer, address=address)
        except FetchProblem as error:
            return show_verdict(request, verdict, token, now, refusals=[error.problem])
        completed = KeptUpload(kept.given, (*kept.written, issuer.pem.encode()))
        drop_upload(user=person_of(request), token=token)
        token = seal_upload(user=person_of(request), kept=completed, now=now)
        words = _("“%(name)s” was fetched from %(address)s. Its signature fits.")
        messages.success(request, words % {"name": issuer.title, "address": address})
        verdict = judge_upload(completed.given, now=now, written=completed.written)
        return show_verdict(request, verdict, token, now)


@require_POST
@change_required
def fetch_missing(request: HttpRequest, pk: int) -> HttpResponse:
    """Fetch what the chain of a stored certificate lacks, from the address that its page showed."""
    certificate = get_object_or_404(Certificate, pk=pk, deleted_at=None)
    address = request.POST.get("address", "")
    try:
        issuer = completing.fetch_missing(
            actor=Actor.from_request(request),
            certificate=certificate,
            address=address,
            now=timezone.now(),
        )
    except FetchProblem as error:
        messages.error(request, say(error.problem))
    except CertificateRefusedError as error:
        for problem in error.problems:
            messages.error(request, say(problem))
    else:
        if issuer is not None:  # else pressed twice
            words = _(
                "“%(name)s” was fetched from %(address)s. Its signature fits, and it is sent with "
                "the certificate once the changes are applied."
            )
            messages.success(request, words % {"name": issuer.title, "address": address})
    return redirect(certificate)


@require_POST
@change_required
def trust_root(request: HttpRequest, pk: int) -> HttpResponse:
    """Trust the private root that a stored certificate brought along, if it is the one shown."""
    certificate, now = get_object_or_404(Certificate, pk=pk, deleted_at=None), timezone.now()
    root = find_unknown_root(judge_stored(certificate, now))
    if root is not None and root.fingerprint == request.POST.get("fingerprint"):
        try:
            row = trust_authority(actor=Actor.from_request(request), root=root, now=now)
        except CertificateRefusedError as error:
            for problem in error.problems:
                messages.error(request, say(problem))
        else:
            messages.success(request, _trusted_words(row))
    return redirect(certificate)


def _trusted_words(row: TrustedAuthority) -> str:
    return _("“%(name)s” is trusted from now on.") % {"name": row.title}


class TrustRootView(_WaitingUploadView):
    """Puts the root that came with an upload on the list of trusted authorities."""

    @sensitive_variables()
    def go_on(
        self, request: HttpRequest, token: str, kept: KeptUpload, now: datetime
    ) -> HttpResponse:
        """Trust it, if it is still the one that was shown."""
        verdict = judge_upload(kept.given, now=now, written=kept.written)
        root = find_unknown_root(verdict)
        if root is None or root.fingerprint != request.POST.get("fingerprint"):
            return show_verdict(request, verdict, token, now)
        try:
            row = trust_authority(actor=Actor.from_request(request), root=root, now=now)
        except CertificateRefusedError as error:
            return show_verdict(request, verdict, token, now, refusals=error.problems)
        messages.success(request, _trusted_words(row))
        verdict = judge_upload(kept.given, now=now, written=kept.written)
        return show_verdict(request, verdict, token, now)
