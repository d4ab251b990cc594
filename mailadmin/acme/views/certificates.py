"""The page *Renewals*, and each certificate that is had by ACME."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import require_safe

from mailadmin.accounts.mixins import ChangeRequiredMixin
from mailadmin.acme import calendar, selectors
from mailadmin.acme.forms.certificates import AcmeCertificateForm
from mailadmin.acme.models import AcmeAccount, AcmeCertificate
from mailadmin.acme.sentences import say
from mailadmin.acme.services import orders
from mailadmin.acme.services.accounts import add_account
from mailadmin.acme.services.certificates import (
    add_acme_certificate,
    change_acme_certificate,
    forget_acme_certificate,
)
from mailadmin.audit.actors import Actor
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.models import Certificate
from mailadmin.pki.names import parse_address
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.selectors import current_server

_EVENTS_SHOWN = 200


@require_safe
def show_renewals(request: HttpRequest) -> HttpResponse:
    """Show what needs somebody, and what will happen in the next 90 days."""
    now = timezone.now()
    rows = calendar.look_ahead(now)
    context = {
        "rows": rows,
        "urgent": [row for row in rows if row.needs_somebody],
        "calm": [row for row in rows if not row.needs_somebody],
        "budgets": selectors.spent_budgets(now),
        "has_account": AcmeAccount.objects.exists(),
    }
    return render(request, "acme/renewals.html", context)


@require_safe
def show_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one certificate: where it stands, what comes next, and all that happened."""
    wanted = get_object_or_404(selectors.list_wanted(), pk=pk)
    context = {
        "wanted": wanted,
        "row": calendar.describe(wanted, timezone.now()),
        "order": wanted.orders.select_related("account", "deployment").first(),
        "events": wanted.events.select_related("order")[:_EVENTS_SHOWN],
        "name_rows": selectors.last_proofs(wanted),
    }
    return render(request, "acme/detail.html", context)


class AddView(ChangeRequiredMixin, View):
    """Asks what is to be had, and looks whether it can be."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask; the names are those of the server, or of the certificate to be replaced."""
        return self._ask(request, AcmeCertificateForm(names=_names_to_begin_with(request)))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Keep it, and have every name looked at; order if nothing stands against it."""
        form = AcmeCertificateForm(request.POST)
        if not form.is_valid():
            return self._ask(request, form)
        actor = Actor.from_request(request)
        try:
            with transaction.atomic():
                wanted = add_acme_certificate(
                    actor=actor,
                    server=current_server(),
                    names=form.cleaned_data["names"],
                    terms=form.terms(_open_account(actor, form)),
                    replaces=_replaced(request),
                )
        except ChangeRefusedError as refused:
            form.add_error(None, [say(problem) for problem in refused.problems])
            return self._ask(request, form)
        except CustodyProblem as error:
            form.add_error(None, say(error.problem))
            return self._ask(request, form)
        row = orders.request_preflight(
            actor=actor,
            acme_certificate=wanted,
            is_order_wanted=True,
            is_rehearsal_wanted=bool(wanted.account.staging_url),
        )
        return redirect("acme:preflight", row.pk)

    def _ask(self, request: HttpRequest, form: AcmeCertificateForm) -> HttpResponse:
        context = {"form": form, "replaces": _replaced(request)}
        return render(request, "acme/add.html", context)


class ChangeView(ChangeRequiredMixin, View):
    """Changes what is wanted from the next order on."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what is wanted now."""
        wanted = get_object_or_404(AcmeCertificate, pk=pk)
        return self._ask(request, wanted, AcmeCertificateForm(row=wanted))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Keep the change."""
        wanted = get_object_or_404(AcmeCertificate, pk=pk)
        form = AcmeCertificateForm(request.POST, row=wanted)
        if not form.is_valid():
            return self._ask(request, wanted, form)
        try:
            change_acme_certificate(
                actor=Actor.from_request(request),
                acme_certificate=wanted,
                names=form.cleaned_data["names"],
                terms=form.terms(),
            )
        except ChangeRefusedError as refused:
            form.add_error(None, [say(problem) for problem in refused.problems])
            return self._ask(request, wanted, form)
        messages.success(request, _("Saved. It counts from the next renewal on."))
        return redirect(wanted)

    def _ask(
        self, request: HttpRequest, wanted: AcmeCertificate, form: AcmeCertificateForm
    ) -> HttpResponse:
        return render(request, "acme/change.html", {"form": form, "wanted": wanted})


class ForgetView(ChangeRequiredMixin, View):
    """Asks first, then renews no more."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say what that means."""
        wanted = get_object_or_404(selectors.list_wanted(), pk=pk)
        return render(request, "acme/forget.html", {"wanted": wanted})

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Do it."""
        wanted = get_object_or_404(AcmeCertificate, pk=pk)
        try:
            forget_acme_certificate(actor=Actor.from_request(request), acme_certificate=wanted)
        except ChangeRefusedError as refused:
            messages.error(request, say(refused.problems[0]))
            return redirect(wanted)
        said = _("%(name)s is renewed no more.") % {"name": wanted.label}
        messages.success(request, said)
        return redirect("acme:renewals")


def _replaced(request: HttpRequest) -> Certificate | None:
    """Return the certificate that the new one takes the place of, if the address names one."""
    text = request.GET.get("replaces", "")
    if not text.isdecimal():
        return None
    return Certificate.objects.filter(pk=int(text[:9]), deleted_at=None).first()


def _open_account(actor: Actor, form: AcmeCertificateForm) -> AcmeAccount | None:
    """Open the account that is needed on the way; a worker registers it at the authority."""
    known = form.authority_to_open
    if known is None:
        return None
    return add_account(
        actor=actor,
        title=known.title,
        directory_url=known.directory_url,
        staging_url=known.staging_url,
        contact=form.cleaned_data["contact"],
        terms_url=known.directory_url,
    )


def _names_to_begin_with(request: HttpRequest) -> list[str]:
    """Return the names of the certificate to be replaced, or those that are served now."""
    replaced, server = _replaced(request), current_server()
    if replaced is not None:
        return list(replaced.names)
    if server is None:
        return []
    default = server.default_certificate
    served = [name for name in default.names if _is_host_name(name)] if default else []
    return list(dict.fromkeys([server.host_name, *served]))


def _is_host_name(name: str) -> bool:
    return "." in name and "*" not in name and parse_address(name) is None
