"""Serving a certificate beside another one, and letting it stand alone again."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from mailadmin.accounts.mixins import change_required
from mailadmin.audit.actors import Actor
from mailadmin.certificates import pairing
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.sentences import say
from mailadmin.pki.problems import has_errors


@require_POST
@change_required
def pair(request: HttpRequest, pk: int) -> HttpResponse:
    """Serve the chosen certificate beside this one, or say why not, or ask to confirm."""
    certificate = get_object_or_404(Certificate, pk=pk, deleted_at=None)
    chosen = request.POST.get("companion", "")
    if not (chosen.isascii() and chosen.isdecimal() and len(chosen) < 10):
        messages.error(request, _("Choose the certificate to be served beside this one."))
        return redirect(certificate)
    companion = get_object_or_404(Certificate, pk=int(chosen), deleted_at=None)
    try:
        pairing.pair_certificates(
            actor=Actor.from_request(request),
            certificate=certificate,
            companion=companion,
            now=timezone.now(),
            is_confirmed="is_confirmed" in request.POST,
        )
    except CertificateRefusedError as error:
        context = {
            "certificate": certificate,
            "companion": companion,
            "problems": error.problems,
            "can_be_confirmed": not has_errors(error.problems),
        }
        return render(request, "certificates/pair.html", context)
    words = _("From the next apply on, %(companion)s is served beside %(certificate)s.")
    named = {"companion": companion.key_description, "certificate": certificate.key_description}
    messages.success(request, words % named)
    return redirect(certificate)


@require_POST
@change_required
def separate(request: HttpRequest, pk: int) -> HttpResponse:
    """Let the certificate stand alone again."""
    certificate = get_object_or_404(Certificate, pk=pk)
    try:
        pairing.unpair_certificate(actor=Actor.from_request(request), certificate=certificate)
    except CertificateRefusedError as error:
        for problem in error.problems:
            messages.error(request, say(problem))
    else:
        messages.success(request, _("From the next apply on, this certificate stands alone."))
    return redirect(certificate)
