"""``acme_account DIRECTORY --agree [--title NAME] [--contact ADDRESS] [--roots FILE]``."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError

from mailadmin.acme.command_line import as_command_error
from mailadmin.acme.models import AcmeAccount
from mailadmin.acme.sentences import say
from mailadmin.acme.services.accounts import add_account
from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.issuance.directories import KNOWN_AUTHORITIES
from mailadmin.servers.errors import ChangeRefusedError

_LONGEST_ROOTS = 64 * 1024


class Command(BaseCommand):
    """Opens an account, as the page does; an account that is there already is left alone."""

    help = (
        "Open an account at an authority: one of "
        + ", ".join(known.key for known in KNOWN_AUTHORITIES)
        + ", or the address of a directory. A worker registers it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("directory", metavar="DIRECTORY")
        parser.add_argument("--title", default="", help="how it is called here")
        parser.add_argument(
            "--staging", default="", metavar="DIRECTORY", help="where the authority lets rehearse"
        )
        parser.add_argument("--contact", default="", help="where the authority writes to")
        parser.add_argument("--roots", type=Path, help="PEM file: its own roots, if not public")
        parser.add_argument(
            "--agree", action="store_true", help="to the authority's terms of service"
        )

    def handle(self, **options: Any) -> None:
        """Open it."""
        known = next((ca for ca in KNOWN_AUTHORITIES if ca.key == options["directory"]), None)
        url = known.directory_url if known else options["directory"]
        title = options["title"] or (known.title if known else urlsplit(url).hostname or "")
        if not url.startswith("https://") or not title:
            raise CommandError(f"{url} is no address of a directory: it begins with https://")
        if AcmeAccount.objects.filter(title=title, directory_url=url).exists():
            self.stdout.write(f"{title} is known already.")
            return
        if not options["agree"]:
            raise CommandError(
                "No authority opens an account without agreement to its terms: read them, then "
                "say --agree."
            )
        with request_id_set(draw_request_id()):
            try:
                add_account(
                    actor=Actor.command_line(),
                    title=title,
                    directory_url=url,
                    staging_url=known.staging_url if known else options["staging"],
                    contact=options["contact"],
                    ca_bundle=_read_roots(options["roots"]),
                    terms_url=url,
                )
            except ChangeRefusedError as refused:
                raise as_command_error(refused) from None
            except CustodyProblem as error:
                raise CommandError(say(error.problem)) from None
        self.stdout.write(f"{title}: a worker registers the account now.")


def _read_roots(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with path.open(encoding="ascii") as file:
            text = file.read(_LONGEST_ROOTS + 1)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} holds no certificates in PEM.") from None
    if len(text) > _LONGEST_ROOTS or "-----BEGIN CERTIFICATE-----" not in text:
        raise CommandError(f"{path} holds no certificates in PEM.")
    return text
