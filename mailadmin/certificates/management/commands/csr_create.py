"""``csr_create NAME... [--key KIND] [--renew ID] [--keep-key] [--out FILE]``."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates import requesting
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.known_keys import find_known_keys
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.models import Certificate, CertificateSigningRequest
from mailadmin.certificates.sentences import say
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.csr import CsrProblem, CsrSubject, fitting_common_name, subject_problems
from mailadmin.pki.keys import KeyKind
from mailadmin.pki.names import NameProblem, normalize_san
from mailadmin.pki.renewal import Renewal, plan_renewal

_FIELDS = ("organization", "organizational_unit", "locality", "state", "country")


class Command(BaseCommand):
    """Makes the request that the page would make."""

    help = (
        "Make a certificate request (CSR); its private key stays in the panel. The request is "
        "printed, or written to a new file."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("names", nargs="*", metavar="NAME", help="the main name comes first")
        parser.add_argument(
            "--key", choices=[str(kind) for kind in KeyKind], help="the kind of the new key"
        )
        parser.add_argument(
            "--renew", type=int, metavar="ID", help="ask again for what this certificate says"
        )
        parser.add_argument("--keep-key", action="store_true", help="with the key it has")
        parser.add_argument("--out", metavar="FILE", help="a file that does not exist yet")
        for name in _FIELDS:
            parser.add_argument(f"--{name.replace('_', '-')}", metavar="TEXT", default="")

    def handle(self, **options: Any) -> None:
        """Make the request, or say why not."""
        if options["keep_key"] and (options["renew"] is None or options["key"]):
            raise CommandError("--keep-key goes with --renew, and without --key.")
        with request_id_set(draw_request_id()):
            try:
                csr = self._make(**options)
            except (CsrProblem, NameProblem, CustodyProblem) as error:
                raise CommandError(say(error.problem)) from None
            except CertificateRefusedError as error:
                raise CommandError(" ".join(say(item) for item in error.problems)) from None
        self.stderr.write(f"Request {csr.pk} for {csr} waits for its certificate.")
        self.stderr.write(f"TLSA record for its key: 3 1 1 {csr.public_key_id}")
        if options["out"] is None:
            self.stdout.write(csr.pem, ending="")

    def _make(self, **options: Any) -> CertificateSigningRequest:
        renewed = _find_certificate(options["renew"])
        renewal = _plan(renewed) if renewed else None
        names = [normalize_san(name) for name in options["names"]]
        if renewal is not None and not names:
            names = list(renewal.names)
            for problem in renewal.problems:
                self.stderr.write(say(problem))
        subject = _choose_subject(names, renewal, options)
        if renewal is not None and options["keep_key"] and renewal.key_problems:
            raise CertificateRefusedError(*renewal.key_problems)
        out = _open_new(options["out"])
        try:
            csr = _create(subject, names, renewed, renewal, options)
        except Exception:
            if out is not None:
                out.unlink()
            raise
        if out is not None:
            out.write_text(csr.pem)
        return csr


def _plan(renewed: Certificate) -> Renewal:
    return plan_renewal(read_certificate(renewed.leaf_pem.encode()), find_known_keys())


def _find_certificate(pk: int | None) -> Certificate | None:
    if pk is None:
        return None
    row = Certificate.objects.filter(pk=pk, deleted_at=None).first()
    if row is None:
        raise CommandError(f"There is no certificate {pk}.")
    return row


def _choose_subject(
    names: list[str], renewal: Renewal | None, options: dict[str, Any]
) -> CsrSubject:
    subject = renewal.subject if renewal else CsrSubject()
    given = {name: options[name] for name in _FIELDS if options[name]}
    subject = replace(subject, common_name=fitting_common_name(next(iter(names), "")), **given)
    problems = subject_problems(subject)
    if problems:
        raise CsrProblem(problems[0])
    return subject


def _create(
    subject: CsrSubject,
    names: list[str],
    renewed: Certificate | None,
    renewal: Renewal | None,
    options: dict[str, Any],
) -> CertificateSigningRequest:
    actor = Actor.command_line()
    if renewed is not None and options["keep_key"]:
        return requesting.create_request_with_kept_key(
            actor=actor, subject=subject, names=names, renews=renewed
        )
    usual = renewal.key_kind if renewal else KeyKind.ECDSA_P256
    return requesting.create_request(
        actor=actor,
        subject=subject,
        names=names,
        key_kind=KeyKind(options["key"] or usual),
        renews=renewed,
    )


def _open_new(name: str | None) -> Path | None:
    """Make the empty file before the request, so that no request is made for nothing."""
    if name is None:
        return None
    path = Path(name)
    try:
        path.touch(exist_ok=False)
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}. No request was made.") from None
    return path
