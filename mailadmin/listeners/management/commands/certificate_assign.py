"""Use a certificate as the default, on ports and for host names."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.listeners.command_line import (
    as_command_error,
    choose_certificate,
    require_server,
    tell_pending,
)
from mailadmin.listeners.services import assign_certificate
from mailadmin.mailconf.services import SERVICES
from mailadmin.servers.errors import ChangeRefusedError


class Command(BaseCommand):
    """``manage.py certificate_assign 3f2a --default --name imap.example.org``."""

    help = (
        "Use a certificate as the default, on services and for host names (SNI). Nothing changes "
        "on the mail server before manage.py apply. Exit code 1: refused, with the reason."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the certificate and its uses."""
        parser.add_argument("certificate", help="its id or the start of its fingerprint")
        parser.add_argument(
            "--default", action="store_true", help="for every port without one of its own"
        )
        parser.add_argument(
            "--service", action="append", default=[], metavar="SERVICE", help=", ".join(SERVICES)
        )
        parser.add_argument("--name", action="append", default=[], metavar="HOST_NAME")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Assign all that was asked or nothing; then say what is pending."""
        server = require_server()
        if not (options["default"] or options["service"] or options["name"]):
            raise CommandError(_("Say what to use it for: --default, --service or --name."))
        with request_id_set(draw_request_id()):
            try:
                assign_certificate(
                    actor=Actor.command_line(),
                    server=server,
                    certificate=choose_certificate(options["certificate"]),
                    as_default=options["default"],
                    services=options["service"],
                    host_names=options["name"],
                )
            except ChangeRefusedError as refused:
                raise as_command_error(refused) from refused
        for line in tell_pending(require_server()):
            self.stdout.write(line)
