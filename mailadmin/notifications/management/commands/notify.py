"""``manage.py notify --due`` and ``manage.py notify --test ID``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.notifications import runner, selectors
from mailadmin.notifications.models import Delivery, Destination
from mailadmin.notifications.sentences import say_result, status_words
from mailadmin.notifications.services import request_test


class Command(BaseCommand):
    """Does what the worker does, here and now: no Redis and no worker are needed."""

    help = (
        "Look for what is worth telling and send all that is due (--due), or send a test to one "
        "destination (--test ID; the ids are in “notifications --json”). Exit code 1: something "
        "could not be sent."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Choose what to send."""
        chosen = parser.add_mutually_exclusive_group(required=True)
        chosen.add_argument("--due", action="store_true", help="send what is due")
        chosen.add_argument("--test", type=int, metavar="ID", help="send a test to a destination")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Send, and say how each went."""
        with request_id_set(draw_request_id()):
            sent = self._send_due() if options["due"] else [self._test(options["test"])]
        bad = [item for item in sent if item.status != Delivery.Status.SENT]
        if bad:
            raise CommandError("Not everything could be sent.")

    def _send_due(self) -> list[Delivery]:
        now = timezone.now()
        runner.evaluate(now)
        runner.release_abandoned(now)
        sent = [self._deliver(pk) for pk in selectors.due_deliveries(now)]
        if not sent:
            self.stdout.write("Nothing is due.")
        return [item for item in sent if item is not None]

    def _test(self, pk: int) -> Delivery:
        destination = Destination.objects.filter(pk=pk).first()
        if destination is None:
            raise CommandError(f"There is no destination with the id {pk}.")
        delivery = request_test(
            actor=Actor.command_line(),
            destination=destination,
            now=timezone.now(),
            is_queued=False,
        )
        sent = self._deliver(delivery.pk)
        if sent is None:
            raise CommandError("A worker is sending a test to it already.")
        return sent

    def _deliver(self, pk: int) -> Delivery | None:
        delivery = runner.deliver(pk, timezone.now())
        if delivery is not None:
            words = f"{status_words(delivery.status)}. {say_result(delivery.result)}"
            self.stdout.write(f"{delivery.title} ({delivery.recipient}): {words}")
        return delivery
