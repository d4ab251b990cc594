"""The Listeners page and what can be done on it. Saving is not applying.

Every form works without JavaScript (POST, then the page again); with htmx the answer carries
only the parts of the page that a change can touch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from mailadmin.accounts.mixins import change_required
from mailadmin.accounts.roles import may_change
from mailadmin.audit.actors import Actor
from mailadmin.certificates.models import Certificate
from mailadmin.listeners import services
from mailadmin.listeners.forms import AssignForm, ListenerForm, NameForm
from mailadmin.listeners.models import Listener
from mailadmin.listeners.overview import Overview, read_overview
from mailadmin.listeners.selectors import Wanted, find_listener, read_wanted
from mailadmin.listeners.sentences import say_change, say_problem
from mailadmin.listeners.succession import find_place
from mailadmin.listeners.suggestions import MOST_NAMES_OFFERED, Suggestions, suggest_uses
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.selectors import assignable_certificates, current_server
from mailadmin.servers.views import server_or_404


@require_safe
def list_listeners(request: HttpRequest) -> HttpResponse:
    """Show every service with what is wanted, pending and wrong."""
    server = current_server()
    if server is None:
        return render(request, "listeners/no_server.html")
    return _render_page(request, server)


@require_safe
@vary_on_headers("HX-Request")
def show_row(request: HttpRequest, service: str) -> HttpResponse:
    """Return one row, to close the form that was opened in its place."""
    listener = _listener_or_404(service)
    if not _is_htmx(request):
        return redirect(_list_address(listener.service))
    row = read_overview(listener.server, timezone.now()).row(service)
    return render(request, "listeners/_row.html", {"row": row, "is_back": True})


@change_required
@require_POST
def switch(request: HttpRequest, service: str) -> HttpResponse:
    """Want a port open or closed."""
    listener = _listener_or_404(service)
    verbs = {"1": services.enable_listener, "0": services.disable_listener}
    verb = verbs.get(request.POST.get("is_enabled", ""))
    if verb is None:
        return HttpResponseBadRequest(_("Say whether the port should be open (1) or not (0)."))
    verb(actor=Actor.from_request(request), listener=listener)
    return _answer(request, service)


@change_required
@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def edit(request: HttpRequest, service: str) -> HttpResponse:
    """Change address, port, TLS mode, certificate and login of one service."""
    listener = _listener_or_404(service)
    form = ListenerForm(listener, assignable_certificates(), request.POST or None)
    if form.is_valid() and _is_saved(
        form, services.change_listener, request, listener=listener, **form.values()
    ):
        return _answer(request, service, replaced=service)
    template = "listeners/_edit_row.html" if _is_htmx(request) else "listeners/edit.html"
    return render(request, template, {"listener": listener, "form": form})


@change_required
@require_POST
def undo(request: HttpRequest) -> HttpResponse:
    """Put one listener, name or value of the server back to what is applied."""
    server = server_or_404()
    subject = request.POST.get("subject", "")
    try:
        services.undo_change(
            actor=Actor.from_request(request),
            server=server,
            subject=subject,
            code=request.POST.get("code", ""),
        )
    except ChangeRefusedError as refused:
        return _answer(request, subject, refused=refused)
    return _answer(request, subject)


@change_required
@require_http_methods(["GET", "POST"])
def add_name(request: HttpRequest) -> HttpResponse:
    """Give a host name a certificate of its own (SNI), or another one."""
    server = server_or_404()
    if request.method == "GET":
        return redirect(f"{reverse('listeners:list')}#names")
    form = NameForm(assignable_certificates(), request.POST)
    if form.is_valid() and _is_saved(
        form, services.bind_name, request, server=server, **form.cleaned_data
    ):
        return _answer(request, form.cleaned_data["host_name"], name_form=_name_form())
    if _is_htmx(request):
        return render(request, "listeners/_name_form.html", {"name_form": form})
    return _render_page(request, server, name_form=form)


@change_required
@require_POST
def remove_name(request: HttpRequest) -> HttpResponse:
    """Take the certificate of its own from a host name."""
    server, host_name = server_or_404(), request.POST.get("host_name", "")
    services.unbind_name(actor=Actor.from_request(request), server=server, host_name=host_name)
    return _answer(request, host_name)


@change_required
@require_http_methods(["GET", "POST"])
def assign(request: HttpRequest) -> HttpResponse:
    """Ask what a certificate is to be used for, with what it fits marked, and go to Review."""
    server, certificate = server_or_404(), _certificate_or_404(request)
    wanted = read_wanted(server)
    suggestions = suggest_uses(certificate, wanted)
    ports = {listener.service: listener.port for listener in wanted.listeners}
    form = AssignForm(suggestions, ports, request.POST if request.method == "POST" else None)
    if form.is_valid() and _is_saved(
        form,
        services.assign_certificate,
        request,
        server=server,
        certificate=certificate,
        **form.values(),
    ):
        return redirect("deployments:review")
    return _render_assign(request, certificate, wanted, suggestions, form)


@change_required
@require_POST
def take_place(request: HttpRequest) -> HttpResponse:
    """Use a certificate wherever the one is used that it replaces, and go to Review."""
    return _take_place(request, server_or_404(), _certificate_or_404(request))


@change_required
@require_POST
def put_in_place(request: HttpRequest) -> HttpResponse:
    """Use a certificate as :func:`assign` would propose, and go to Review; nothing is applied.

    Where it is wanted already, Review is next; where nothing fits, the question what it is for.
    """
    server, certificate = current_server(), _certificate_or_404(request)
    if server is None:
        return redirect("listeners:list")
    wanted = read_wanted(server)
    if certificate.fingerprint in wanted.as_state().used_fingerprints:
        return redirect("deployments:review")
    if find_place(certificate, wanted, timezone.now()) is not None:
        return _take_place(request, server, certificate)
    suggestions = suggest_uses(certificate, wanted)
    if not suggestions.is_anything_suggested:
        return redirect(_assign_address(certificate))
    try:
        services.assign_certificate(
            actor=Actor.from_request(request),
            server=server,
            certificate=certificate,
            **suggestions.values(),
        )
    except ChangeRefusedError as refused:
        return _ask_again(request, certificate, refused)
    return redirect("deployments:review")


def _take_place(request: HttpRequest, server: MailServer, certificate: Certificate) -> HttpResponse:
    try:
        services.take_place(
            actor=Actor.from_request(request),
            server=server,
            certificate=certificate,
            now=timezone.now(),
        )
    except ChangeRefusedError as refused:
        return _ask_again(request, certificate, refused)
    return redirect("deployments:review")


def _ask_again(
    request: HttpRequest, certificate: Certificate, refused: ChangeRefusedError
) -> HttpResponse:
    for problem in refused.problems:
        messages.error(request, say_problem(problem))
    return redirect(_assign_address(certificate))


def _assign_address(certificate: Certificate) -> str:
    return f"{reverse('listeners:assign')}?certificate={certificate.pk}"


def _render_assign(
    request: HttpRequest,
    certificate: Certificate,
    wanted: Wanted,
    suggestions: Suggestions,
    form: AssignForm,
) -> HttpResponse:
    shown = {
        "certificate": certificate,
        "suggestions": suggestions,
        "most_names_offered": MOST_NAMES_OFFERED,
        "form": form,
        "place": find_place(certificate, wanted, timezone.now()),
    }
    return render(request, "listeners/assign.html", shown)


def _is_saved(
    form: ListenerForm | NameForm | AssignForm,
    verb: Callable[..., object],
    request: HttpRequest,
    **values: Any,
) -> bool:
    """Run the service; what it refuses becomes an error of the form."""
    try:
        verb(actor=Actor.from_request(request), **values)
    except ChangeRefusedError as refused:
        for problem in refused.problems:
            form.add_error(None, say_problem(problem))
        return False
    return True


def _answer(
    request: HttpRequest,
    subject: str,
    *,
    replaced: str = "",
    refused: ChangeRefusedError | None = None,
    name_form: NameForm | None = None,
) -> HttpResponse:
    """Show what the page looks like after a change, and say what the change was.

    ``replaced`` is the service whose row takes the place of the form it was edited with.
    """
    overview = read_overview(server_or_404(), timezone.now())
    if refused:
        said = " ".join(say_problem(problem) for problem in refused.problems)
    else:
        said = _say_saved(overview, subject)
    if not _is_htmx(request):
        (messages.error if refused else messages.success)(request, said)
        return redirect(_next_address(request, subject))
    shown: Mapping[str, Any] = {
        "overview": overview,
        "replaced": overview.row(replaced),
        "said": said,
        "is_refused": refused is not None,
        "name_form": name_form,
        "editing": set(request.POST.getlist("editing")) - {replaced},
    }
    return render(request, "listeners/_changed.html", shown)


def _say_saved(overview: Overview, subject: str) -> str:
    changes = [say_change(change) for change in overview.changes_of(subject)]
    if not changes:
        return _("Saved. Nothing is left to apply here.")
    return _("Saved, not applied yet: %(changes)s") % {"changes": " ".join(changes)}


def _render_page(
    request: HttpRequest, server: MailServer, name_form: NameForm | None = None
) -> HttpResponse:
    shown: dict[str, Any] = {"overview": read_overview(server, timezone.now())}
    if may_change(request.user):
        shown["name_form"] = name_form or _name_form()
    return render(request, "listeners/list.html", shown)


def _name_form() -> NameForm:
    return NameForm(assignable_certificates())


def _listener_or_404(service: str) -> Listener:
    listener = find_listener(server_or_404(), service)
    if listener is None:
        raise Http404(_("There is no such service."))
    return listener


def _certificate_or_404(request: HttpRequest) -> Certificate:
    pk = request.GET.get("certificate", "")
    return get_object_or_404(
        Certificate, pk=int(pk) if pk.isascii() and pk.isdecimal() else None, deleted_at=None
    )


def _is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _list_address(subject: str) -> str:
    return f"{reverse('listeners:list')}#listener-{subject}"


def _next_address(request: HttpRequest, subject: str) -> str:
    """Return where the form wants to go back to, if that is a page of ours."""
    back = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        back, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return back if is_ours else _list_address(subject)
