"""``acme_account DIRECTORY --agree [--title NAME] [--contact ADDRESS] [--eab-key-id ID ...]``."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from mailadmin.acme.command_line import as_command_error
from mailadmin.acme.forms.accounts import OTHER, AccountForm
from mailadmin.acme.models import AcmeAccount
from mailadmin.acme.sentences import say
from mailadmin.acme.services.accounts import add_account
from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.issuance.directories import KNOWN_AUTHORITIES
from mailadmin.servers.errors import ChangeRefusedError

_LONGEST_FILE = 64 * 1024  # characters
_STANDARD_INPUT = Path("-")
_ANSWERS = (
    "title",
    "directory_url",
    "staging_url",
    "contact",
    "ca_bundle",
    "eab_key_id",
    "eab_secret",
)


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
            "--eab-key-id", default="", metavar="ID", help="of the customer account (EAB)"
        )
        parser.add_argument(
            "--eab-key-file",
            type=Path,
            metavar="FILE",
            help="holds the HMAC key of the customer account (EAB); - for standard input",
        )
        parser.add_argument(
            "--agree", action="store_true", help="to the authority's terms of service"
        )

    def handle(self, **options: Any) -> None:
        """Open it."""
        form = AccountForm(_answers(options))
        if not form.is_valid():
            raise CommandError(_said(form))
        answers = form.cleaned_data
        title, url = answers["title"], answers["directory_url"]
        if AcmeAccount.objects.filter(title=title, directory_url=url).exists():
            self.stdout.write(f"{title} is known already.")
            return
        with request_id_set(draw_request_id()):
            try:
                add_account(
                    actor=Actor.command_line(),
                    terms_url=url,
                    **{name: answers[name] for name in _ANSWERS},
                )
            except ChangeRefusedError as refused:
                raise as_command_error(refused) from None
            except CustodyProblem as error:
                raise CommandError(say(error.problem)) from None
        self.stdout.write(f"{title}: a worker registers the account now.")


def _answers(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the form of the page would be filled in with."""
    directory = options["directory"]
    is_known = any(directory == known.key for known in KNOWN_AUTHORITIES)
    return {
        "authority": directory if is_known else OTHER,
        "directory_url": "" if is_known else directory,
        "staging_url": options["staging"],
        "title": options["title"],
        "contact": options["contact"],
        "ca_bundle": _read(options["roots"]),
        "eab_key_id": options["eab_key_id"],
        "eab_secret": _read(options["eab_key_file"]).strip(),
        "agrees": options["agree"],
    }


def _said(form: AccountForm) -> str:
    """Return what is wrong, each with the field it is about, as the page has it."""
    if "agrees" in form.errors:
        return _(
            "No authority opens an account without agreement to its terms: read them, then say "
            "--agree."
        )
    return "\n".join(
        f"{form.fields[name].label}: {message}" if name in form.fields else str(message)
        for name, messages in form.errors.items()
        for message in messages
    )


def _read(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        if path == _STANDARD_INPUT:
            text = sys.stdin.read(_LONGEST_FILE + 1)
        else:
            with path.open(encoding="ascii") as file:
                text = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} holds more than plain text.") from None
    if len(text) > _LONGEST_FILE:
        raise CommandError(f"{path} is too long: at most {_LONGEST_FILE} characters.")
    return text
