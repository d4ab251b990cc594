"""``acme_request NAME... [--ca NAME] [--key KIND] [--wait]``."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mailadmin.acme.command_line import (
    QUEUED,
    as_command_error,
    find_account,
    follow_order,
    follow_preflight,
)
from mailadmin.acme.models import AcmeCertificate, AcmePreflight, DnsAccess
from mailadmin.acme.sentences import say
from mailadmin.acme.sentences.words import ORDERS
from mailadmin.acme.services.certificates import add_acme_certificate
from mailadmin.acme.services.orders import request_preflight
from mailadmin.acme.terms import Terms
from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.forms.names import split_names
from mailadmin.issuance.challenges import allowed_challenges
from mailadmin.issuance.names import names_problems
from mailadmin.pki.keys import KeyKind
from mailadmin.pki.names import NameProblem, normalize_san
from mailadmin.pki.problems import has_errors
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.selectors import current_server


class Command(BaseCommand):
    """Orders what the page would order."""

    help = (
        "Order a certificate from an authority by ACME, and renew it from then on. First every "
        "name is looked at; it is ordered only if nothing stands against it. Exit code 0: issued. "
        "1: refused or failed. 2: queued (without --wait)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("names", nargs="+", metavar="NAME", help="the main name comes first")
        parser.add_argument("--ca", default="", metavar="NAME", help="an authority of the panel")
        parser.add_argument(
            "--key",
            choices=[str(kind) for kind in KeyKind],
            default=str(KeyKind.ECDSA_P256),
            help="the kind of the key",
        )
        parser.add_argument(
            "--challenge",
            choices=AcmeCertificate.Challenge.values,
            default="",
            help="how the names are proven; http-01 where that is possible",
        )
        parser.add_argument(
            "--http-way",
            choices=AcmeCertificate.HttpWay.values,
            default=str(AcmeCertificate.HttpWay.AGENT),
            help="who answers on port 80",
        )
        parser.add_argument("--dns", default="", metavar="NAME", help="a DNS access of the panel")
        parser.add_argument("--profile", default="", help="a profile of the authority")
        parser.add_argument(
            "--no-rehearsal", action="store_true", help="not at the staging directory first"
        )
        parser.add_argument("--wait", action="store_true", help="until it is issued or failed")

    def handle(self, **options: Any) -> None:
        """Order it, and follow to the end if asked to."""
        with request_id_set(draw_request_id()):
            row = self._ask(options)
        if not options["wait"]:
            self.stdout.write(
                "It is queued and not issued yet. Follow it with: manage.py acme_status"
            )
            sys.exit(QUEUED)
        order = follow_order(follow_preflight(row, self.stdout.write), self.stdout.write)
        self.stdout.write(f"{order.acme_certificate.label}: {ORDERS[order.status]}")

    def _ask(self, options: dict[str, Any]) -> AcmePreflight:
        names = _normalized(options["names"])
        actor = Actor.command_line()
        try:
            wanted = add_acme_certificate(
                actor=actor,
                server=current_server(),
                names=names,
                terms=_terms(names, options),
            )
        except ChangeRefusedError as refused:
            raise as_command_error(refused) from None
        return request_preflight(
            actor=actor,
            acme_certificate=wanted,
            is_order_wanted=True,
            is_rehearsal_wanted=bool(wanted.account.staging_url) and not options["no_rehearsal"],
        )


def _normalized(typed: list[str]) -> list[str]:
    try:
        names = [normalize_san(name) for text in typed for name in split_names(text)]
    except NameProblem as error:
        raise CommandError(say(error.problem)) from None
    return list(dict.fromkeys(names))


def _terms(names: list[str], options: dict[str, Any]) -> Terms:
    problems = names_problems(names, profile=options["profile"])
    if has_errors(problems):
        raise CommandError(" ".join(say(problem) for problem in problems))
    allowed = allowed_challenges(names)
    challenge = options["challenge"] or next(iter(allowed))
    if challenge not in allowed:
        raise CommandError(
            "Wildcards can be proven by a DNS record only, and IP addresses by a page on port 80 "
            "only."
        )
    access = DnsAccess.objects.filter(title=options["dns"]).first() if options["dns"] else None
    if options["dns"] and access is None:
        raise CommandError(f"There is no DNS access called “{options['dns']}” here.")
    return Terms(
        account=find_account(options["ca"]),
        challenge=challenge,
        key_kind=options["key"],
        http_way=options["http_way"],
        dns_access=access,
        profile=options["profile"],
    )
