"""``acme_status [--json]``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from mailadmin.acme.calendar import Line, look_ahead
from mailadmin.acme.sentences import say
from mailadmin.acme.sentences.words import STANDINGS
from mailadmin.pki.problems import Problem


class Command(BaseCommand):
    """Tells what the page *Renewals* shows."""

    help = "Tell how the certificates stand that are had by ACME, and what comes next."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, **options: Any) -> None:
        """Tell it."""
        lines = look_ahead(timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps([_as_json(line) for line in lines], indent=2))
            return
        if not lines:
            self.stdout.write("No certificate is had by ACME.")
        for line in lines:
            following = f", next {line.next_at:%Y-%m-%d %H:%M} UTC" if line.next_at else ""
            self.stdout.write(
                f"{line.wanted.pk:4}  {line.wanted.label}: {STANDINGS[line.standing]}{following}"
            )
            if line.order is not None and line.order.problem:
                self.stdout.write(f"      {say(Problem.from_dict(line.order.problem))}")


def _as_json(line: Line) -> dict[str, Any]:
    wanted, order = line.wanted, line.order
    certificate = wanted.certificate
    return {
        "id": wanted.pk,
        "names": wanted.names,
        "ca": wanted.account.title,
        "standing": str(line.standing),
        "failures": wanted.failures,
        "next_attempt_at": _moment(line.next_at),
        "renewal_info": wanted.renewal_info,
        "certificate": {
            "id": certificate.pk,
            "fingerprint": certificate.fingerprint,
            "not_after": _moment(certificate.not_after),
        }
        if certificate
        else None,
        "last_order": {
            "id": order.pk,
            "status": str(order.status),
            "trigger": str(order.trigger),
            "issued_at": _moment(order.issued_at),
            "deployed_at": _moment(order.deployed_at),
            "proven_at": _moment(order.proven_at),
            "problem": order.problem,
            "sentence": say(Problem.from_dict(order.problem)) if order.problem else "",
        }
        if order
        else None,
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
