"""Taking a private key out of the panel."""

from __future__ import annotations

from allauth.account.adapter import get_adapter
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_control
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from mailadmin.accounts.mixins import KeyExportRequiredMixin
from mailadmin.audit.actors import Actor
from mailadmin.certificates import exporting
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.forms.exporting import ExportForm
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.sentences import say
from mailadmin.pki.problems import Problem


@method_decorator(cache_control(no_store=True, private=True), name="dispatch")
@method_decorator(sensitive_post_parameters(), name="dispatch")
class ExportView(KeyExportRequiredMixin, View):
    """Asks what the key is for and how to lock it, and answers with the file.

    allauth's own way to ask for the password once more would keep the form, the file's password
    with it, in the session; so the form asks itself.
    """

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask."""
        certificate = _find(pk)
        return self._ask(request, certificate, ExportForm(initial=_initial(certificate)))

    @method_decorator(sensitive_variables("form"))
    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send the file, or say why not."""
        certificate = _find(pk)
        form = ExportForm(request.POST)
        if not form.is_valid() or not _is_it_still_them(request, form):
            return self._ask(request, certificate, form)
        try:
            content = exporting.export_key(
                actor=Actor.from_request(request),
                certificate=certificate,
                reason=form.cleaned_data["reason"],
                password=form.cleaned_data["password"],
                friendly_name=form.cleaned_data["friendly_name"],
                kind=form.cleaned_data["kind"],
            )
        except CertificateRefusedError as error:
            for problem in error.problems:
                form.add_error(None, say(problem))
        except CustodyProblem as error:
            form.add_error(None, say(error.problem))
        else:
            return _file_response(content, certificate)
        return self._ask(request, certificate, form)

    def _ask(
        self, request: HttpRequest, certificate: Certificate, form: ExportForm
    ) -> HttpResponse:
        context = {
            "certificate": certificate,
            "form": form,
            "suggestion": exporting.suggest_password(),
        }
        return render(request, "certificates/export.html", context)


def _find(pk: int) -> Certificate:
    """Return a certificate whose key is here; for any other there is no such page."""
    rows = Certificate.objects.exclude(private_key=None)
    return get_object_or_404(rows, pk=pk, deleted_at=None)


def _initial(certificate: Certificate) -> dict[str, str]:
    return {"friendly_name": certificate.label[: exporting.LONGEST_NAME]}


@sensitive_variables()
def _is_it_still_them(request: HttpRequest, form: ExportForm) -> bool:
    """Check the person's own password; allauth counts and records the wrong ones."""
    try:
        password = form.cleaned_data["own_password"]
        if get_adapter().reauthenticate(request.user, password):
            return True
        form.add_error("own_password", say(Problem("export.own_password_wrong")))
    except ValidationError as error:  # too many wrong ones
        form.add_error("own_password", error)
    return False


def _file_response(content: bytes, certificate: Certificate) -> HttpResponse:
    name = f"key-and-certificate-{certificate.fingerprint[:12]}.p12"
    return HttpResponse(
        content,
        content_type="application/x-pkcs12",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
