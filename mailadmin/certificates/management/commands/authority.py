"""``authority list``, ``authority add FILE [--note TEXT]``, ``authority remove FINGERPRINT``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.authorities import (
    choose_root,
    distrust_authority,
    find_dependents,
    trust_authority,
)
from mailadmin.certificates.bounded import read_parts
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import TrustedAuthority
from mailadmin.certificates.reporting import UnreadableFileError, read_file
from mailadmin.certificates.sentences import say

_SHORTEST = 12  # digits of a fingerprint that name one


class Command(BaseCommand):
    """Does what the page of trusted authorities does."""

    help = "List the own authorities that are trusted here, add a root, or take one off."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="one line each: fingerprint, end, name")
        add = verbs.add_parser("add", help="trust a root certificate")
        add.add_argument("file", metavar="FILE", help="PEM or DER; - is stdin")
        add.add_argument("--note", default="", help="for those who come after you")
        remove = verbs.add_parser("remove", help="stop trusting a root")
        remove.add_argument(
            "fingerprint", metavar="FINGERPRINT", help=f"SHA-256, or its first {_SHORTEST} digits"
        )

    def handle(self, **options: Any) -> None:
        """Do what was asked, or say why not."""
        with request_id_set(draw_request_id()):
            if options["verb"] == "list":
                self._list()
            elif options["verb"] == "add":
                self._add(options["file"], options["note"])
            else:
                self._remove(options["fingerprint"])

    def _list(self) -> None:
        for row in TrustedAuthority.objects.all():
            count = len(find_dependents(row))
            self.stdout.write(
                f"{row.fingerprint}  {row.not_after:%Y-%m-%d}  {row.title}  (certificates: {count})"
            )

    def _add(self, file: str, note: str) -> None:
        try:
            root = choose_root(read_parts([read_file(file)]))
            row = trust_authority(
                actor=Actor.command_line(), root=root, now=timezone.now(), note=note
            )
        except UnreadableFileError as error:
            raise CommandError(str(error), returncode=2) from None
        except CertificateRefusedError as error:
            raise CommandError(" ".join(say(problem) for problem in error.problems)) from None
        self.stdout.write(f"{row.title} ({row.fingerprint}) is trusted from now on.")

    def _remove(self, typed: str) -> None:
        digits = typed.replace(":", "").replace(" ", "").lower()
        found = list(TrustedAuthority.objects.filter(fingerprint__startswith=digits)[:2])
        if len(digits) < _SHORTEST or len(found) != 1:
            raise CommandError("No single authority here has that fingerprint; nothing changed.")
        dependents = distrust_authority(actor=Actor.command_line(), authority=found[0])
        self.stdout.write(f"{found[0].title} is not trusted any more.")
        for certificate in dependents:
            self.stdout.write(f"leads to it, and is served as before: {certificate.label}")
