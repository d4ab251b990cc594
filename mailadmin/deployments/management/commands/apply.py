"""Apply what is pending."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.deployments.command_line import (
    as_command_error,
    obtain_plan,
    step_teller,
    tell_outcome,
    tell_problems,
)
from mailadmin.deployments.models import Deployment
from mailadmin.deployments.services import request_deployment
from mailadmin.deployments.waiting import WaitedTooLongError, wait_for_deployment
from mailadmin.listeners.command_line import require_server
from mailadmin.listeners.selectors import pending_changes
from mailadmin.listeners.sentences import say_change
from mailadmin.servers.errors import ChangeRefusedError

_NOT_PROVEN_YET = 2


class Command(BaseCommand):
    """``manage.py apply [--wait] [--overwrite] [--reason TEXT] [--confirm-within MINUTES]``."""

    help = (
        "Apply the pending changes to the mail server and prove them by handshakes, or take them "
        "back. Exit code 0: proven. 1: refused, taken back or failed. 2: queued (without --wait)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Offer to wait, and to say why."""
        parser.add_argument("--wait", action="store_true", help="until it is proven or taken back")
        parser.add_argument(
            "--overwrite", action="store_true", help="also what was changed outside the panel"
        )
        parser.add_argument("--reason", default="", help="why; goes to the audit log")
        parser.add_argument(
            "--confirm-within",
            type=int,
            metavar="MINUTES",
            help="take it back unless it is confirmed within 1 to 60 minutes",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Plan, queue, and follow to the end if asked to."""
        with request_id_set(draw_request_id()):
            deployment = self.request(
                options["reason"],
                options["confirm_within"],
                may_overwrite=options["overwrite"],
            )
        if not options["wait"]:
            self.stdout.write(
                f"Deployment #{deployment.number} is queued and not proven yet. "
                "Follow it with: manage.py status"
            )
            sys.exit(_NOT_PROVEN_YET)
        self.follow(deployment)

    def follow(self, deployment: Deployment) -> None:
        """Tell each step and how it ended. Raises ``CommandError`` unless it was proven."""
        try:
            wait_for_deployment(deployment, step_teller(self.stdout.write))
        except WaitedTooLongError as error:
            raise CommandError(str(error)) from error
        said = tell_outcome(deployment)
        if deployment.status != Deployment.Status.SUCCEEDED:
            raise CommandError(said)
        self.stdout.write(said)

    def request(
        self, reason: str, confirm_minutes: int | None = None, *, may_overwrite: bool
    ) -> Deployment:
        """Plan, say what changes, and queue it. Raises ``CommandError`` with the reasons."""
        server, actor = require_server(), Actor.command_line()
        plan = obtain_plan(actor, server)
        server.refresh_from_db()
        for change in pending_changes(server):
            self.stdout.write(say_change(change))
        for line in tell_problems(plan.problems):
            self.stdout.write(line)
        try:
            return request_deployment(
                actor=actor,
                server=server,
                plan=plan,
                reason=reason,
                confirm_minutes=confirm_minutes,
                may_overwrite=may_overwrite,
            )
        except ChangeRefusedError as refused:
            raise as_command_error(refused) from refused
