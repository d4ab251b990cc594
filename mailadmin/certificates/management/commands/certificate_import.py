"""``certificate_import FILE... [--key FILE] [--password-file FILE] [--replaces CERTIFICATE]
[--fetch-missing] [--yes]``.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.fetching import FetchProblem
from mailadmin.certificates.fetching_issuers import fetch_issuer, find_offer
from mailadmin.certificates.judging import judge_upload
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.proposing import propose
from mailadmin.certificates.reporting import (
    EXIT_REFUSED,
    EXIT_UNREADABLE,
    UnreadableFileError,
    exit_code,
    read_file,
    read_password,
    verdict_lines,
)
from mailadmin.certificates.sentences import say
from mailadmin.certificates.services import StoreResult, store_certificate
from mailadmin.certificates.succession import GUESSED
from mailadmin.pki.bundle import Verdict

_RESULT_WORDS = {
    StoreResult.ADDED: "saved",
    StoreResult.RESTORED: "had been deleted and is back",
    StoreResult.COMPLETED: "was here already; what it lacked was added",
    StoreResult.KNOWN: "was here already; nothing changed",
}


class Command(BaseCommand):
    """Stores what the upload page would store."""

    help = (
        "Store a certificate with its chain and key, given in any order. It is used nowhere until "
        "you say so. Exits with 0: stored, 1: refused, 2: unreadable."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "files",
            nargs="+",
            metavar="FILE",
            help="PEM, DER, PKCS#7, PKCS#12 or zip; - is stdin",
        )
        parser.add_argument("--key", metavar="FILE", help="a file with the private key")
        parser.add_argument(
            "--password-file",
            metavar="FILE",
            help="a file whose first line opens the key or the PKCS#12 file",
        )
        parser.add_argument(
            "--yes",
            action="store_true",
            help="store it although an intermediate certificate is missing",
        )
        parser.add_argument(
            "--replaces",
            metavar="CERTIFICATE",
            default="",
            help=(
                "what it replaces: the number or the start of the fingerprint of a certificate "
                'with a name in common, or "none"; unless given, the likeliest'
            ),
        )
        parser.add_argument(
            "--fetch-missing",
            action="store_true",
            help="fetch a missing certificate from the first address that the certificate names",
        )

    def handle(self, **options: Any) -> None:
        """Store the certificate, or say why not."""
        with request_id_set(draw_request_id()):
            self._import(**options)

    def _import(self, **options: Any) -> None:
        try:
            names = [*options["files"], *([options["key"]] if options["key"] else [])]
            inputs = [read_file(name) for name in names]
            password = read_password(options["password_file"]) if options["password_file"] else None
        except UnreadableFileError as error:
            raise CommandError(str(error), returncode=EXIT_UNREADABLE) from None
        now = timezone.now()
        verdict = judge_upload(inputs, now=now, password=password)
        if options["fetch_missing"]:
            verdict = self._complete(verdict, inputs, now, password)
        try:
            proposal = propose(verdict, now, options["replaces"])
        except CertificateRefusedError as error:
            sentences = " ".join(say(problem) for problem in error.problems)
            raise CommandError(f"{sentences} (--replaces)", returncode=EXIT_REFUSED) from None
        for line in verdict_lines(verdict, now, proposal):
            self.stdout.write(line)
        if not verdict.is_accepted:
            self.stderr.write("Nothing was stored.")
            sys.exit(exit_code(verdict))
        try:
            stored = store_certificate(
                actor=Actor.command_line(),
                verdict=verdict,
                is_confirmed=options["yes"],
                predecessor=proposal.chosen if proposal else GUESSED,
            )
        except CertificateRefusedError as error:
            sentences = " ".join(say(problem) for problem in error.problems)
            raise CommandError(f"{sentences} (--yes)", returncode=EXIT_REFUSED) from None
        except CustodyProblem as error:
            raise CommandError(say(error.problem), returncode=EXIT_REFUSED) from None
        row = stored.certificate
        self.stdout.write(f"{row.label} ({row.fingerprint}): {_RESULT_WORDS[stored.result]}.")

    def _complete(
        self, verdict: Verdict, inputs: list[bytes], now: datetime, password: str | None
    ) -> Verdict:
        """Judge again with what was fetched; if that was nothing, say so and go on without."""
        offer = find_offer(verdict)
        if offer is None:
            return verdict
        address = offer.addresses[0]
        try:
            issuer = fetch_issuer(actor=Actor.command_line(), offer=offer, address=address)
        except FetchProblem as error:
            self.stderr.write(say(error.problem))
            return verdict
        self.stdout.write(f"{issuer.title} was fetched from {address}. Its signature fits.")
        return judge_upload([*inputs, issuer.pem.encode()], now=now, password=password)
