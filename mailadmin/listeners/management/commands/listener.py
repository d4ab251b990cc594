"""Change what is wanted of one port."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.listeners.command_line import (
    as_command_error,
    choose_certificate,
    require_server,
    tell_pending,
)
from mailadmin.listeners.models import Listener
from mailadmin.listeners.selectors import find_listener
from mailadmin.listeners.services import change_listener, disable_listener, enable_listener
from mailadmin.mailconf.services import SERVICES, TlsMode
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer

DEFAULT = "default"


class Command(BaseCommand):
    """``manage.py listener submissions --enable --certificate 3f2a``."""

    help = (
        "Change what is wanted of one service. Nothing changes on the mail server before "
        "manage.py apply. Exit code 1: refused, with the reason."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the service and what to change."""
        parser.add_argument("service", help=", ".join(SERVICES))
        wanted = parser.add_mutually_exclusive_group()
        wanted.add_argument("--enable", action="store_true", help="open the port")
        wanted.add_argument("--disable", action="store_true", help="close the port")
        parser.add_argument("--address", help="* for every address, or one IP address")
        parser.add_argument("--port", type=int)
        parser.add_argument("--tls-mode", choices=[str(mode) for mode in TlsMode])
        parser.add_argument(
            "--certificate",
            metavar="CERTIFICATE",
            help=f"its id, the start of its fingerprint, or {DEFAULT}",
        )
        login = parser.add_mutually_exclusive_group()
        login.add_argument(
            "--require-login", dest="login", action="store_true", default=None, help="ask to log in"
        )
        login.add_argument(
            "--no-login", dest="login", action="store_false", help="take mail without a login"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Change all that was asked or nothing; then say what is pending."""
        server = require_server()
        with request_id_set(draw_request_id()):
            try:
                _change(server, options)
            except ChangeRefusedError as refused:
                raise as_command_error(refused) from refused
        for line in tell_pending(require_server()):
            self.stdout.write(line)


@transaction.atomic
def _change(server: MailServer, options: dict[str, Any]) -> None:
    actor = Actor.command_line()
    listener = _find(server, options["service"])
    values = _read_values(options)
    if values:
        listener = change_listener(actor=actor, listener=listener, **values)
    if options["enable"]:
        enable_listener(actor=actor, listener=listener)
    if options["disable"]:
        disable_listener(actor=actor, listener=listener)


def _find(server: MailServer, service: str) -> Listener:
    listener = find_listener(server, service)
    if listener is None:
        raise ChangeRefusedError(Problem("listener.unknown", subject=service))
    return listener


def _read_values(options: dict[str, Any]) -> dict[str, Any]:
    """Return what was given as arguments of ``change_listener``."""
    given = {
        "address": options["address"],
        "port": options["port"],
        "tls_mode": TlsMode(options["tls_mode"]) if options["tls_mode"] else None,
        "is_login_required": options["login"],
    }
    values = {name: value for name, value in given.items() if value is not None}
    chosen = options["certificate"]
    if chosen is not None:
        values["certificate"] = None if chosen == DEFAULT else choose_certificate(chosen)
    return values
