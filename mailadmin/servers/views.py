"""The settings of the mail server: how it is called, what TLS it speaks, what it serves."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from mailadmin.accounts.mixins import change_required
from mailadmin.audit.actors import Actor
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.forms import ServerForm
from mailadmin.servers.models import MailServer
from mailadmin.servers.selectors import assignable_certificates, current_server
from mailadmin.servers.sentences import say_problem
from mailadmin.servers.services import change_server


def server_or_404() -> MailServer:
    """Return the mail server the pages are about."""
    server = current_server()
    if server is None:
        raise Http404(_("The panel does not look after a mail server yet."))
    return server


@change_required
@require_http_methods(["GET", "POST"])
def edit_server(request: HttpRequest) -> HttpResponse:
    """Show and save the settings; what they do to the ports is shown on the Listeners page."""
    server = server_or_404()
    form = ServerForm(server, assignable_certificates(), request.POST or None)
    if form.is_valid() and _is_saved(request, server, form):
        messages.success(request, _("Saved, not applied to the mail server yet."))
        return redirect("listeners:list")
    return render(request, "servers/settings.html", {"server": server, "form": form})


def _is_saved(request: HttpRequest, server: MailServer, form: ServerForm) -> bool:
    try:
        change_server(actor=Actor.from_request(request), server=server, **form.cleaned_data)
    except ChangeRefusedError as refused:
        for problem in refused.problems:
            form.add_error(None, say_problem(problem))
        return False
    return True
