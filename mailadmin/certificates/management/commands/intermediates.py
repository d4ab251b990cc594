"""``intermediates list`` and ``intermediates update FILE...``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.bounded import ReadingProblem, read_offered
from mailadmin.certificates.intermediates import (
    Rejection,
    StoreProblem,
    choose_intermediates,
    read_about,
    read_all,
    replace_store,
)
from mailadmin.certificates.sentences import say
from mailadmin.certificates.trust import find_public_roots
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.offered import read_certificates

_MAX_FILE_BYTES = 64 * 1024 * 1024
_REASONS = {
    Rejection.NOT_AN_AUTHORITY: "not certificates of authorities",
    Rejection.ROOT: "roots",
    Rejection.OUT_OF_DATE: "expired, or not yet valid",
    Rejection.NOT_FOR_SERVERS: "not for servers",
    Rejection.WEAK: "weak key or signature",
    Rejection.NO_KNOWN_ROOT: "lead to no public root known here",
}


class Command(BaseCommand):
    """Shows or replaces the store of well-known intermediates. It fetches nothing."""

    help = (
        "Show the store of well-known intermediates, which completes chains, or replace it from "
        "files that you downloaded: any that hold PEM (such as CCADB's list of intermediates "
        "“with PEM”, a CSV), DER or PKCS #7. Only what leads to a public root is taken."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="every certificate of the store, by name")
        update = verbs.add_parser("update", help="replace the store")
        update.add_argument("files", nargs="+", metavar="FILE")

    def handle(self, **options: Any) -> None:
        """Do what was asked, or say why not."""
        with request_id_set(draw_request_id()):
            if options["verb"] == "list":
                self._list()
            else:
                self._update([Path(name) for name in options["files"]])

    def _list(self) -> None:
        for facts in read_all():
            issuer, ends_at = facts.issuer_title, facts.not_after
            self.stdout.write(f"{facts.fingerprint}  {ends_at:%Y-%m-%d}  {facts.title} < {issuer}")
        about = read_about()
        if about is None:
            self.stdout.write("There is no store of intermediates yet.")
        else:
            sources = ", ".join(about.sources)
            self.stdout.write(f"{about.count} certificates, of {about.made_at}, from {sources}.")

    def _update(self, paths: list[Path]) -> None:
        now = timezone.now()
        candidates = [facts for path in paths for facts in _read(path)]
        kept, rejected = choose_intermediates(candidates, find_public_roots().roots, now)
        for reason, count in sorted(rejected.items()):
            self.stdout.write(f"left out: {count} ({_REASONS[reason]})")
        if not kept:
            raise CommandError("No intermediate leads to a public root; the store stays as it was.")
        sources = [path.name for path in paths]
        try:
            replace_store(actor=Actor.command_line(), certificates=kept, sources=sources, now=now)
        except StoreProblem as error:
            raise CommandError(f"The store stays as it was. {error}") from None
        self.stdout.write(f"The store holds {len(kept)} intermediates now.")


def _read(path: Path) -> Iterator[CertificateFacts]:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise CommandError(f"{path}: larger than 64 MiB", returncode=2)
        content = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", returncode=2) from None
    # A large PEM text, or one structure as authorities offer it.
    try:
        yield from read_certificates(content) or read_offered(content)
    except ReadingProblem as error:
        raise CommandError(f"{path}: {say(error.problem)}", returncode=2) from None
