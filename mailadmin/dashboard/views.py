"""The overview: is it well, right now? Shows rows; looking itself is queued."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mailadmin.accounts.mixins import change_required
from mailadmin.audit.actors import Actor
from mailadmin.certificates.selectors import list_certificates
from mailadmin.dashboard.advice import find_advice
from mailadmin.dashboard.matrix import Matrix, read_matrix
from mailadmin.deployments.models import Deployment
from mailadmin.deployments.selectors import last_deployment
from mailadmin.deployments.services import request_probe
from mailadmin.mailconf.profiles import KEPT
from mailadmin.notifications.selectors import open_notices
from mailadmin.servers.models import MailServer
from mailadmin.servers.selectors import current_server
from mailadmin.servers.views import server_or_404

_MOST_CERTIFICATES = 3


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Show what every port should serve beside what it serves, and what comes next."""
    server = current_server()
    if server is None:
        return render(request, "dashboard/no_server.html")
    now = timezone.now()
    last = last_deployment(server)
    shown = _matrix_context(server) | {
        "certificates": list_certificates(now=now)[:_MOST_CERTIFICATES],
        "last_deployment": last,
        "is_adoptable": _is_adoptable(server, last),
        "notice_count": open_notices().count(),
    }
    return render(request, "dashboard/overview.html", shown)


def _is_adoptable(server: MailServer, last: Deployment | None) -> bool:
    """Tell whether the host is untouched, and its own files are not in charge yet."""
    is_untouched = last is None or last.kind == Deployment.Kind.BASELINE
    return is_untouched and server.tls_profile != KEPT


@change_required
@require_POST
def check(request: HttpRequest) -> HttpResponse:
    """Look at every port now."""
    server = server_or_404()
    request_probe(actor=Actor.from_request(request), server=server)
    if _is_htmx(request):
        return render(request, "dashboard/_served.html", _matrix_context(server))
    return redirect("dashboard:overview")


@require_safe
def matrix(request: HttpRequest) -> HttpResponse:
    """Answer the page that waits for a look, or that stayed open; 204 when there is no news."""
    server = server_or_404()
    shown = _matrix_context(server)
    if request.GET.get("seen") == _what_is_seen(shown["matrix"]):
        return HttpResponse(status=204)
    return render(request, "dashboard/_served.html", shown)


@require_safe
def listener(request: HttpRequest, service: str) -> HttpResponse:
    """Show the conversations with one port, what it presented, and the last looks."""
    server = server_or_404()
    row = read_matrix(server, timezone.now()).row(service)
    if row is None:
        raise Http404(_("There is no such service."))
    template = "dashboard/_listener_row.html" if _is_htmx(request) else "dashboard/listener.html"
    return render(request, template, {"row": row, "server": server})


def _matrix_context(server: MailServer) -> dict[str, Any]:
    shown = read_matrix(server, timezone.now())
    return {"matrix": shown, "advice": find_advice(shown), "seen": _what_is_seen(shown)}


def _what_is_seen(shown: Matrix) -> str:
    """Return what tells one picture of the matrix from the next."""
    looks = shown.looks
    done, newest = looks.done.pk if looks.done else 0, looks.newest.pk if looks.newest else 0
    waits = f"{looks.is_under_way:d}{looks.is_not_taken:d}{looks.is_stale:d}"
    return f"{done}-{newest}-{waits}-{shown.applied.digest[:8]}-{shown.desired.digest[:8]}"


def _is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"
