"""``weak_keys list`` and ``weak_keys update FILE``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.known_keys import (
    KnownKeysProblem,
    open_known_keys,
    replace_known_keys,
    weak_key_checks,
)
from mailadmin.certificates.sentences import say


class Command(BaseCommand):
    """Shows which checks for weak keys are made, or takes lists of known keys in."""

    help = (
        "Show for which known weaknesses keys are checked, or take in the lists of keys whose "
        "private half is known: the file blocklist.dat that “badkeys --update-bl” fetches on any "
        "machine, with badkeysdata.json beside it. This fetches nothing itself."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="the checks that are made, and those that are not")
        update = verbs.add_parser("update", help="replace the lists of known keys")
        update.add_argument("file", metavar="FILE", help="blocklist.dat, as badkeys fetches it")

    def handle(self, **options: Any) -> None:
        """Do what was asked, or say why not."""
        with request_id_set(draw_request_id()):
            if options["verb"] == "list":
                self._list()
            else:
                self._update(Path(options["file"]))

    def _list(self) -> None:
        checks = weak_key_checks()
        self.stdout.write(f"checked: {_words(checks['made'])}")
        if checks["not_made"]:
            self.stdout.write(f"not checked, for want of a list: {_words(checks['not_made'])}")
        file = open_known_keys()
        if file is not None:
            lists = ", ".join(sorted(file.names.values()))
            self.stdout.write(f"{file.count} known keys in {file.path}: {lists}")

    def _update(self, path: Path) -> None:
        try:
            file = replace_known_keys(actor=Actor.command_line(), path=path)
        except KnownKeysProblem as error:
            raise CommandError(say(error.problem)) from None
        self.stdout.write(f"{file.count} known keys are looked for now.")


def _words(checks: Sequence[str]) -> str:
    return ", ".join(check.replace("_", " ") for check in checks)
