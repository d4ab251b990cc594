"""``csr_track FILE``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.bounded import read_foreign_csr
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.known_keys import find_known_keys
from mailadmin.certificates.reporting import EXIT_UNREADABLE, UnreadableFileError, read_file
from mailadmin.certificates.requesting import track_request
from mailadmin.certificates.sentences import say
from mailadmin.pki.csr import CsrProblem
from mailadmin.pki.csr_judging import judge_csr


class Command(BaseCommand):
    """Remembers a request as the page does."""

    help = "Keep track of a request (CSR) that another program made, whose key stays there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("file", metavar="FILE", help="PEM or DER; - is stdin")

    def handle(self, **options: Any) -> None:
        """Judge and remember it, or say what is wrong with it."""
        try:
            facts = read_foreign_csr(read_file(options["file"]))
        except UnreadableFileError as error:
            raise CommandError(str(error), returncode=EXIT_UNREADABLE) from None
        except CsrProblem as error:
            raise CommandError(say(error.problem)) from None
        with request_id_set(draw_request_id()):
            try:
                csr = track_request(actor=Actor.command_line(), facts=facts)
            except CertificateRefusedError as error:
                raise CommandError(" ".join(say(item) for item in error.problems)) from None
        for problem in judge_csr(facts, find_known_keys()):
            self.stderr.write(say(problem))
        self.stdout.write(f"Request {csr.pk} for {csr} waits for its certificate.")
