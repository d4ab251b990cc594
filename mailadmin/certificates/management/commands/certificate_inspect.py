"""``certificate_inspect FILE... [--key FILE] [--password-file FILE] [--json]``."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError
from django.utils import timezone

from mailadmin.certificates.bounded import BoundedReader
from mailadmin.certificates.judging import judge_upload
from mailadmin.certificates.known_keys import find_known_keys
from mailadmin.certificates.proposing import propose
from mailadmin.certificates.reporting import (
    EXIT_UNREADABLE,
    UnreadableFileError,
    exit_code,
    read_file,
    read_password,
    refusal_as_dict,
    verdict_as_dict,
    verdict_lines,
)
from mailadmin.certificates.trust import find_public_roots
from mailadmin.pki.bundle import Verdict


class Command(BaseCommand):
    """Judges files as the upload page does, and stores nothing."""

    help = (
        "Judge a certificate with its chain and key, in any order, and store nothing. "
        "Exits with 0: accepted, 1: refused, 2: unreadable."
    )
    requires_system_checks = ()

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
        parser.add_argument("--json", action="store_true", help="print the verdict as JSON")

    def handle(self, **options: Any) -> None:
        """Print the verdict and exit with its code."""
        is_json: bool = options["json"]
        try:
            names = [*options["files"], *([options["key"]] if options["key"] else [])]
            inputs = [read_file(name) for name in names]
            password = read_password(options["password_file"]) if options["password_file"] else None
        except UnreadableFileError as error:
            if is_json:
                self._print_json(refusal_as_dict("file.unreadable", str(error)))
            else:
                self.stderr.write(str(error))
            sys.exit(EXIT_UNREADABLE)
        now = timezone.now()
        try:
            verdict = judge_upload(inputs, now=now, password=password)
            proposal = propose(verdict, now)
        except DatabaseError:
            # Before the first start there are no keys and chains to know of.
            verdict, proposal = self._judge_without_rows(inputs, now, password), None
        if is_json:
            self._print_json(verdict_as_dict(verdict, proposal))
        else:
            for line in verdict_lines(verdict, now, proposal):
                self.stdout.write(line)
        sys.exit(exit_code(verdict))

    def _judge_without_rows(
        self, inputs: Sequence[bytes], now: datetime, password: str | None
    ) -> Verdict:
        with BoundedReader() as reader:
            parts = reader.read_parts(inputs, password)
            return reader.judge_bundle(
                parts, now=now, roots=find_public_roots(), known_keys=find_known_keys()
            )

    def _print_json(self, value: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False))
