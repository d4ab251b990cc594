"""Use a certificate as the default, on ports and for host names."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.listeners.command_line import (
    as_command_error,
    choose_certificate,
    require_server,
    tell_pending,
)
from mailadmin.listeners.services import assign_certificate, take_place
from mailadmin.mailconf.services import SERVICES
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer


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
        parser.add_argument(
            "--take-place",
            action="store_true",
            help="wherever the one is used that it replaces, and beside its companion",
        )
        parser.add_argument("--name", action="append", default=[], metavar="HOST_NAME")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Assign all that was asked or nothing; then say what is pending."""
        server = require_server()
        is_chosen = options["default"] or options["service"] or options["name"]
        if not (is_chosen or options["take_place"]):
            raise CommandError(
                _("Say what to use it for: --default, --service, --name or --take-place.")
            )
        with request_id_set(draw_request_id()):
            try:
                self._assign(server, **options)
            except ChangeRefusedError as refused:
                raise as_command_error(refused) from refused
        for line in tell_pending(require_server()):
            self.stdout.write(line)

    @transaction.atomic
    def _assign(self, server: MailServer, **options: Any) -> None:
        certificate = choose_certificate(options["certificate"])
        if options["take_place"]:
            take_place(
                actor=Actor.command_line(),
                server=server,
                certificate=certificate,
                now=timezone.now(),
            )
        assign_certificate(
            actor=Actor.command_line(),
            server=server,
            certificate=certificate,
            as_default=options["default"],
            services=options["service"],
            host_names=options["name"],
        )
