"""Serve two certificates side by side, or let one stand alone again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.pairing import pair_certificates, unpair_certificate
from mailadmin.certificates.sentences import say
from mailadmin.listeners.command_line import choose_certificate, tell_pending
from mailadmin.pki.problems import has_errors
from mailadmin.servers.selectors import current_server


class Command(BaseCommand):
    """``manage.py certificate_pair 3f2a 77b1``, ``manage.py certificate_pair 3f2a --separate``."""

    help = (
        "Serve an RSA and an ECDSA certificate side by side wherever one of them is wanted, or "
        "separate them. Nothing changes on the mail server before manage.py apply. Exit code 1: "
        "refused, with the reason."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the two."""
        parser.add_argument("certificate", help="its id or the start of its fingerprint")
        parser.add_argument("companion", nargs="?", help="the same, of the other one")
        parser.add_argument("--separate", action="store_true", help="let it stand alone again")
        parser.add_argument(
            "--yes", action="store_true", help="although one covers fewer names than the other"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Pair or separate; then say what is pending."""
        if bool(options["companion"]) == options["separate"]:
            raise CommandError(_("Name the other certificate, or write --separate."))
        certificate = choose_certificate(options["certificate"])
        companion = choose_certificate(options["companion"]) if options["companion"] else None
        with request_id_set(draw_request_id()):
            try:
                _change(certificate, companion, is_confirmed=options["yes"])
            except CertificateRefusedError as refused:
                raise _as_command_error(refused) from refused
        server = current_server()
        for line in tell_pending(server) if server else ():
            self.stdout.write(line)


def _change(certificate: Certificate, companion: Certificate | None, *, is_confirmed: bool) -> None:
    actor = Actor.command_line()
    if companion is None:
        unpair_certificate(actor=actor, certificate=certificate)
        return
    pair_certificates(
        actor=actor,
        certificate=certificate,
        companion=companion,
        now=timezone.now(),
        is_confirmed=is_confirmed,
    )


def _as_command_error(refused: CertificateRefusedError) -> CommandError:
    said = " ".join(say(problem) for problem in refused.problems)
    return CommandError(said if has_errors(refused.problems) else f"{said} (--yes)")
