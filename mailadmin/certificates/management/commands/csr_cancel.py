"""``csr_cancel ID``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import CertificateSigningRequest
from mailadmin.certificates.requesting import cancel_request
from mailadmin.certificates.sentences import say
from mailadmin.certificates.sentences.requests import CANCELLED


class Command(BaseCommand):
    """Gives up a request as the page does."""

    help = "Give up a request that waits, and destroy its private key unless a certificate uses it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("id", type=int, metavar="ID", help="as csr_list shows it")

    def handle(self, **options: Any) -> None:
        """Give it up, or say why not."""
        csr = CertificateSigningRequest.objects.filter(pk=options["id"]).first()
        if csr is None:
            raise CommandError(f"There is no request {options['id']}.")
        with request_id_set(draw_request_id()):
            try:
                cancelled = cancel_request(actor=Actor.command_line(), csr=csr)
            except CertificateRefusedError as error:
                raise CommandError(" ".join(say(item) for item in error.problems)) from None
        self.stdout.write(str(CANCELLED[cancelled.key_fate]))
