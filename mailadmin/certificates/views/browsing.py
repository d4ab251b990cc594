"""Looking at certificates: the list, one of them, its public part, and taking it away."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import require_safe

from mailadmin.accounts.mixins import ChangeRequiredMixin
from mailadmin.audit.actors import Actor
from mailadmin.certificates import listing, selectors, services
from mailadmin.certificates.authorities import find_unknown_root
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.fetching_issuers import find_offer
from mailadmin.certificates.forms.listing import SHOWN_WORDS, parse_filter
from mailadmin.certificates.judging import judge_stored
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.sentences import say
from mailadmin.certificates.verdicts import draw_chain, link_certificates, trust_sentences
from mailadmin.pki.bundle import Verdict
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.keys import KeyAlgorithm, algorithm_of
from mailadmin.pki.names import both_forms
from mailadmin.pki.offered import read_certificates
from mailadmin.pki.problems import Problem, Severity

PAGE_SIZE = 50

_MANY_NAMES = 100  # more are not found by looking


@require_safe
def show_list(request: HttpRequest) -> HttpResponse:
    """Show the certificates by urgency, and the requests that wait for theirs."""
    wanted = parse_filter(request.GET)
    found = listing.filter_certificates(wanted, now=timezone.now())
    others = request.GET.copy()
    others.pop("page", None)
    context = {
        "page": Paginator(found, PAGE_SIZE).get_page(request.GET.get("page")),
        "wanted": wanted,
        "choices": SHOWN_WORDS.items(),
        "tags": listing.find_tags(),
        "others": others.urlencode(),
        "requests": list(selectors.list_pending_requests()[:PAGE_SIZE]),
    }
    return render(request, "certificates/list.html", context)


@require_safe
def show_certificate(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one certificate; also a deleted one, whose public part stays for history."""
    certificate = get_object_or_404(
        Certificate.objects.select_related("companion", "replaces"), pk=pk
    )
    leaf = read_certificate(certificate.leaf_pem.encode())
    chain = read_certificates(certificate.chain_pem.encode())
    verdict = judge_stored(certificate, timezone.now())
    context: dict[str, Any] = {
        "certificate": certificate,
        **_names_context(certificate, request.GET.get("name", "").strip()),
        "leaf": leaf,
        "problems": _told_problems(certificate, verdict),
        "path_sentences": list(trust_sentences(verdict)),
        "offer": None if certificate.deleted_at else find_offer(verdict),
        "unknown_root": None if certificate.deleted_at else find_unknown_root(verdict),
        "links": draw_chain(verdict) or link_certificates(leaf, tuple(chain)),
        "csr": selectors.find_answered_request(certificate),
        "heirs": selectors.find_heirs(certificate),
        "related": selectors.find_related(certificate),
        **_pair_context(certificate),
        "events": selectors.find_events(certificate),
    }
    return render(request, "certificates/detail.html", context)


def _names_context(certificate: Certificate, wanted: str) -> dict[str, Any]:
    """Return the names to show: all, or those that contain a text, in either of their forms."""
    every, text = certificate.names, wanted.casefold()
    return {
        "names": [name for name in every if text in both_forms(name).casefold()] if text else every,
        "wanted": wanted,
        "has_many_names": len(every) > _MANY_NAMES,
    }


def _pair_context(certificate: Certificate) -> dict[str, Any]:
    """Return what is or could be served beside the certificate; nothing for other kinds of key."""
    algorithm = algorithm_of(certificate.key_description)
    if algorithm is None or (certificate.deleted_at and not certificate.companion_id):
        return {"has_pairs": False}
    (other,) = set(KeyAlgorithm) - {algorithm}
    candidates = not certificate.companion_id
    return {
        "has_pairs": True,
        "other_kind": other.upper(),
        "companions": selectors.find_companions(certificate, timezone.now()) if candidates else [],
    }


def _told_problems(certificate: Certificate, verdict: Verdict) -> list[Problem]:
    """Return what an admin must know of a certificate that can still be used."""
    if certificate.deleted_at is not None:
        return []
    return [item for item in verdict.problems if item.severity is not Severity.INFO]


@require_safe
def download_certificate(_request: HttpRequest, pk: int) -> HttpResponse:
    """Send the leaf and its chain as one PEM file: public parts only."""
    certificate = get_object_or_404(Certificate, pk=pk)
    return pem_response(
        certificate.leaf_pem + certificate.chain_pem,
        f"certificate-{certificate.fingerprint[:12]}.pem",
        "application/x-pem-file",
    )


def pem_response(text: str, file_name: str, content_type: str) -> HttpResponse:
    """Return a text as a file to keep. ``file_name`` must be plain ASCII of our own making."""
    return HttpResponse(
        text,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )


class DeleteView(ChangeRequiredMixin, View):
    """Says what deleting will do, and does it."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask first."""
        return self._ask(request, get_object_or_404(Certificate, pk=pk, deleted_at=None))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Delete, or say why not."""
        certificate = get_object_or_404(Certificate, pk=pk)
        try:
            is_key_destroyed = services.delete_certificate(
                actor=Actor.from_request(request), certificate=certificate
            )
        except CertificateRefusedError as error:
            return self._ask(request, certificate, [say(item) for item in error.problems])
        messages.success(request, _deleted_words(certificate.label, is_key_destroyed))
        return redirect("certificates:list")

    def _ask(
        self, request: HttpRequest, certificate: Certificate, refusals: list[str] | None = None
    ) -> HttpResponse:
        context = {
            "certificate": certificate,
            "uses": selectors.find_uses(certificate),
            "key_keepers": selectors.find_key_keepers(certificate),
            "refusals": refusals or [],
        }
        return render(request, "certificates/delete.html", context)


def _deleted_words(label: str, is_key_destroyed: bool) -> str:
    if is_key_destroyed:
        words = _("The certificate %(label)s was deleted and its private key destroyed.")
    else:
        words = _("The certificate %(label)s was deleted.")
    return words % {"label": label}
