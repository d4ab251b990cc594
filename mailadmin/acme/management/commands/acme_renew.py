"""``acme_renew (--due | --certificate ID) [--force] [--wait]``."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from mailadmin.acme.command_line import QUEUED, as_command_error, follow_order
from mailadmin.acme.models import AcmeCertificate, AcmeOrder
from mailadmin.acme.sentences.words import ORDERS
from mailadmin.acme.services.orders import request_due, request_order
from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.servers.errors import ChangeRefusedError


class Command(BaseCommand):
    """Renews what is due, or one certificate."""

    help = (
        "Renew certificates that are had by ACME: all that are due, or one. Exit code 0: renewed, "
        "or nothing is due. 1: at least one failed. 2: queued (without --wait)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--due", action="store_true", help="all whose time has come")
        which.add_argument(
            "--certificate", type=int, metavar="ID", help="the one with this id, see acme_status"
        )
        parser.add_argument("--force", action="store_true", help="also if it is not due")
        parser.add_argument("--wait", action="store_true", help="until it is proven or failed")

    def handle(self, **options: Any) -> None:
        """Order, and follow to the end if asked to."""
        with request_id_set(draw_request_id()):
            orders = request_due() if options["due"] else self._order_one(options)
        if not orders:
            self.stdout.write("Nothing is due.")
            return
        if not options["wait"]:
            self.stdout.write(f"{len(orders)} queued. Follow with: manage.py acme_status")
            sys.exit(QUEUED)
        failed = [order for order in orders if not self._follow(order)]
        if failed:
            raise CommandError(f"{len(failed)} of {len(orders)} were not renewed.")

    def _order_one(self, options: dict[str, Any]) -> list[AcmeOrder]:
        wanted = AcmeCertificate.objects.filter(pk=options["certificate"]).first()
        if wanted is None:
            raise CommandError(
                f"Nothing with the id {options['certificate']} is had by ACME; "
                "manage.py acme_status lists what is."
            )
        is_due = wanted.next_attempt_at is not None and wanted.next_attempt_at <= timezone.now()
        if not (is_due or options["force"]):
            when = f"{wanted.next_attempt_at:%Y-%m-%d %H:%M} UTC" if wanted.next_attempt_at else "-"
            self.stdout.write(f"{wanted.label} is due {when}; --force renews it now.")
            return []
        trigger = AcmeOrder.Trigger.DUE if is_due else AcmeOrder.Trigger.FORCED
        try:
            order = request_order(
                actor=Actor.command_line(), acme_certificate=wanted, trigger=trigger
            )
        except ChangeRefusedError as refused:
            raise as_command_error(refused) from None
        return [order]

    def _follow(self, order: AcmeOrder) -> bool:
        self.stdout.write(order.acme_certificate.label)
        try:
            ended = follow_order(order, self.stdout.write)
        except CommandError as error:
            self.stdout.write(f"  {error}")
            return False
        self.stdout.write(f"  {ORDERS[ended.status]}")
        return True
