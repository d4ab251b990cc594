"""``certificate_export ID --reason TEXT --password-file FILE --out FILE [--old-programs]``."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.views.decorators.debug import sensitive_variables

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.exporting import export_key
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.reporting import (
    EXIT_REFUSED,
    EXIT_UNREADABLE,
    UnreadableFileError,
    read_password,
)
from mailadmin.certificates.sentences import say
from mailadmin.pki.export import ContainerKind
from mailadmin.pki.problems import Problem


class Command(BaseCommand):
    """Writes a private key with its certificate and chain into a locked file."""

    help = (
        "Write private key, certificate and chain into a PKCS#12 file (mode 0600) that only the "
        "password opens. The reason is kept in the audit log. Exits with 0: written, 1: refused, "
        "2: a file cannot be read or written."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("certificate", type=int, metavar="ID", help="as in its page's address")
        parser.add_argument("--reason", required=True, help="what the key is needed for")
        parser.add_argument(
            "--password-file", required=True, metavar="FILE", help="its first line locks the file"
        )
        parser.add_argument("--out", required=True, metavar="FILE", help="must not exist")
        parser.add_argument("--name", default="", help="the name that programs show")
        parser.add_argument(
            "--old-programs", action="store_true", help="Triple DES, for what knows nothing better"
        )

    def handle(self, **options: Any) -> None:
        """Write the file, or say why not."""
        try:
            password = read_password(options["password_file"])
        except UnreadableFileError as error:
            raise CommandError(str(error), returncode=EXIT_UNREADABLE) from None
        path = Path(options["out"])
        descriptor = _create(path)
        is_written = False
        try:
            with request_id_set(draw_request_id()), os.fdopen(descriptor, "wb") as file:
                file.write(_export(options, password))
                file.flush()
                os.fsync(file.fileno())
            is_written = True
        except OSError as error:
            raise _not_written(path, error) from None
        finally:
            if not is_written:
                path.unlink(missing_ok=True)
        self.stdout.write(f"{path} holds the private key, locked with the password.")


@sensitive_variables("password")
def _export(options: dict[str, Any], password: str) -> bytes:
    certificate = Certificate.objects.filter(pk=options["certificate"]).first()
    if certificate is None:
        raise CommandError(
            f"There is no certificate {options['certificate']}. Nothing was exported.",
            returncode=EXIT_REFUSED,
        )
    try:
        return export_key(
            actor=Actor.command_line(),
            certificate=certificate,
            reason=options["reason"],
            password=password,
            friendly_name=options["name"],
            kind=ContainerKind.OLD if options["old_programs"] else ContainerKind.MODERN,
        )
    except CertificateRefusedError as error:
        sentences = " ".join(say(problem) for problem in error.problems)
        raise CommandError(sentences, returncode=EXIT_REFUSED) from None
    except CustodyProblem as error:
        raise CommandError(say(error.problem), returncode=EXIT_REFUSED) from None


def _create(path: Path) -> int:
    """Open a new file that is ours alone; one that is there, also as a link, is left as it is."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        problem = Problem("export.file_exists", params={"path": str(path)})
        raise CommandError(say(problem), returncode=EXIT_REFUSED) from None
    except OSError as error:
        raise _not_written(path, error) from None


def _not_written(path: Path, error: OSError) -> CommandError:
    params = {"path": str(path), "why": error.strerror or "?"}
    problem = Problem("export.file_not_written", params=params)
    return CommandError(say(problem), returncode=EXIT_UNREADABLE)
