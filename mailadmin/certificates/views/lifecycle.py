"""Tags, what replaced what, and the calendar of expiries."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_POST, require_safe

from mailadmin.accounts.mixins import ChangeRequiredMixin, change_required
from mailadmin.audit.actors import Actor
from mailadmin.certificates import listing, succession, tagging
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.forms.listing import PredecessorForm, TagForm
from mailadmin.certificates.icalendar import write_calendar
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.sentences import say


@change_required
@require_POST
def add_tag(request: HttpRequest, pk: int) -> HttpResponse:
    """Add the tag that was typed."""
    certificate = get_object_or_404(Certificate, pk=pk)
    form = TagForm(request.POST)
    typed = form.cleaned_data["tag"] if form.is_valid() else ""
    try:
        tagging.add_tag(actor=Actor.from_request(request), certificate=certificate, tag=typed)
    except CertificateRefusedError as error:
        for problem in error.problems:
            messages.error(request, say(problem))
    return redirect(certificate)


@change_required
@require_POST
def remove_tag(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a tag away."""
    certificate = get_object_or_404(Certificate, pk=pk)
    tag = request.POST.get("tag", "")
    tagging.remove_tag(actor=Actor.from_request(request), certificate=certificate, tag=tag)
    return redirect(certificate)


class PredecessorView(ChangeRequiredMixin, View):
    """Corrects which certificate another one took the place of."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Offer the certificates for the same name."""
        certificate = get_object_or_404(Certificate, pk=pk)
        form = PredecessorForm(
            initial={"predecessor": certificate.replaces_id or ""},
            candidates=succession.find_candidates(certificate),
        )
        return self._ask(request, certificate, form)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Store the choice, or say why not."""
        certificate = get_object_or_404(Certificate, pk=pk)
        form = PredecessorForm(request.POST, candidates=succession.find_candidates(certificate))
        if not form.is_valid():
            return self._ask(request, certificate, form)
        try:
            succession.set_predecessor(
                actor=Actor.from_request(request),
                certificate=certificate,
                predecessor=form.chosen,
            )
        except CertificateRefusedError as error:
            for problem in error.problems:
                form.add_error("predecessor", say(problem))
            return self._ask(request, certificate, form)
        return redirect(certificate)

    def _ask(
        self, request: HttpRequest, certificate: Certificate, form: PredecessorForm
    ) -> HttpResponse:
        context = {"certificate": certificate, "form": form}
        return render(request, "certificates/predecessor.html", context)


@require_safe
def show_calendar(request: HttpRequest) -> HttpResponse:
    """Show what expires when, month by month."""
    calendar = listing.read_calendar(now=timezone.now())
    return render(request, "certificates/calendar.html", {"calendar": calendar})


@require_safe
@cache_control(no_store=True, private=True)
def download_calendar(request: HttpRequest) -> HttpResponse:
    """Send what expires within a year as a file for calendar programs."""
    now = timezone.now()
    events = (
        (row, _summary(row), request.build_absolute_uri(row.get_absolute_url()))
        for row in listing.list_for_export(now=now)
    )
    text = write_calendar(events, title=_("Certificates that expire"), now=now)
    return HttpResponse(
        text,
        content_type="text/calendar; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="certificates.ics"'},
    )


def _summary(row: Certificate) -> str:
    in_use, spare = _("in use"), _("spare")
    params = {"label": row.label, "use": in_use if getattr(row, "is_used", False) else spare}
    return _("Certificate %(label)s expires (%(use)s)") % params
