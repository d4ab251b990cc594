"""The page *Adopt this server*: what its own files say, what stays, the yes, and the way back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mailadmin.accounts.mixins import change_required
from mailadmin.accounts.roles import may_export_keys
from mailadmin.audit.actors import Actor
from mailadmin.deployments.forms import AcceptForm, HostNameForm
from mailadmin.deployments.models import HostReading
from mailadmin.deployments.readings import (
    accept_reading,
    is_left,
    latest_reading,
    request_reading,
)
from mailadmin.deployments.selectors import has_applied
from mailadmin.deployments.sentences import say_problem
from mailadmin.listeners.sentences import address_words, tls_mode_words
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.selectors import current_server
from mailadmin.servers.views import server_or_404

Purpose, Status = HostReading.Purpose, HostReading.Status

# A worker takes a message within milliseconds, and a host is read within a few seconds.
_USUALLY_DONE_WITHIN = 15.0


@require_safe
def adopt(request: HttpRequest) -> HttpResponse:
    """Show how far it is: nothing asked, being read, read, taken over."""
    return render(request, "deployments/adopt.html", _context(request))


@require_safe
def adopt_status(request: HttpRequest) -> HttpResponse:
    """Answer the page that waits: how long already, or the whole page anew."""
    server = current_server()
    reading = _shown_reading(server)
    if reading is None and _is_adopting():
        # The server is being registered this very moment.
        return HttpResponse(status=204)
    if reading is None and server is not None and not is_left(server):
        # What it waited for is done, and what is wanted now is to be reviewed.
        return HttpResponse(status=204, headers={"HX-Redirect": reverse("deployments:review")})
    if reading is None or not reading.is_under_way:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "deployments/_adopt_waiting.html", _waiting(reading, timezone.now()))


@change_required
@require_POST
def read(request: HttpRequest) -> HttpResponse:
    """Have the host read, under the name that was given if no server is registered."""
    server, form = current_server(), HostNameForm(request.POST)
    if server is None and not form.is_valid():
        return render(request, "deployments/adopt.html", _context(request, form), status=422)
    name = "" if server else form.cleaned_data["host_name"]
    try:
        request_reading(actor=Actor.from_request(request), server=server, host_name=name)
    except ChangeRefusedError as refused:
        for problem in refused.problems:
            form.add_error("host_name", say_problem(problem))
        return render(request, "deployments/adopt.html", _context(request, form), status=422)
    return redirect("deployments:adopt")


@change_required
@require_POST
def accept(request: HttpRequest) -> HttpResponse:
    """Have the host taken over as it was shown; its keys too, if an administrator ticked that."""
    form = AcceptForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Nothing was taken over: the page was not complete. Try again."))
        return redirect("deployments:adopt")
    takes_keys = form.cleaned_data["takes_keys"]
    if takes_keys and not may_export_keys(request.user):
        raise PermissionDenied(_("Only an administrator may bring private keys into the panel."))
    try:
        accept_reading(
            actor=Actor.from_request(request),
            reading_id=form.cleaned_data["reading"],
            takes_keys=takes_keys,
        )
    except ChangeRefusedError as refused:
        for problem in refused.problems:
            messages.error(request, say_problem(problem))
    return redirect("deployments:adopt")


@change_required
@require_POST
def undo(request: HttpRequest) -> HttpResponse:
    """Have the host read for what its own files say, so that nothing else is wanted."""
    request_reading(
        actor=Actor.from_request(request), server=server_or_404(), purpose=Purpose.HAND_BACK
    )
    return redirect("deployments:adopt")


def _context(request: HttpRequest, form: HostNameForm | None = None) -> dict[str, Any]:
    server, now = current_server(), timezone.now()
    reading = _shown_reading(server)
    is_in_use = server is not None and has_applied(server)
    shown: dict[str, Any] = {
        "server": server,
        "is_in_use": is_in_use,
        "is_left": server is not None and is_left(server),
        "reading": reading,
        "form": form or HostNameForm(),
        "may_import_keys": may_export_keys(request.user),
    }
    if reading is None:
        return shown
    shown |= _waiting(reading, now)
    found = reading.found
    if found is not None:
        labels = {item["fingerprint"]: item for item in found["certificates"]}
        shown |= {
            "found": found,
            "listeners": [
                item
                | {
                    "place": address_words(item["address"], item["port"]),
                    "tls": tls_mode_words(item["tls_mode"], item["service"]),
                    "served": labels.get(item["certificate"] or found["default_certificate"]),
                    "program": found["programs"].get(str(item["port"]), ""),
                }
                for item in found["listeners"]
                if item["is_enabled"]
            ],
            "names": [
                item | {"served": labels.get(item["certificate"])} for item in found["sni_bindings"]
            ],
        }
    return shown


def _shown_reading(server: MailServer | None) -> HostReading | None:
    """Return the reading the page is about: to adopt, or once something was applied to leave."""
    if server is None:
        return _of(None, latest_reading(Purpose.ADOPT))
    leaving = _of(server, latest_reading(Purpose.HAND_BACK))
    if leaving is not None and leaving.status != Status.DONE:
        return leaving
    return None if has_applied(server) else _of(server, latest_reading(Purpose.ADOPT))


def _is_adopting() -> bool:
    newest = latest_reading(Purpose.ADOPT)
    return newest is not None and newest.is_under_way


def _of(server: MailServer | None, reading: HostReading | None) -> HostReading | None:
    return reading if reading is not None and reading.server == server else None


def _waiting(reading: HostReading, now: datetime) -> dict[str, Any]:
    waited = (now - reading.asked_at).total_seconds()
    return {
        "reading": reading,
        "waited_seconds": round(waited),
        "is_waiting_long": waited > _USUALLY_DONE_WITHIN,
    }
