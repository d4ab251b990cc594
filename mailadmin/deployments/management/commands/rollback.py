"""Go back to the state of an earlier deployment."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.deployments.command_line import as_command_error
from mailadmin.deployments.management.commands import apply
from mailadmin.deployments.selectors import find_deployment
from mailadmin.deployments.sentences import say_problem
from mailadmin.deployments.services import restore_deployment
from mailadmin.listeners.command_line import require_server
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError


class Command(apply.Command):
    """``manage.py rollback 3``: the same as *Go back to this state*, then Apply."""

    help = (
        "Make the mail server again what it was after a deployment, by the same plan, proof and "
        "rollback as any other change. Pending changes are replaced. Exit code 0: proven."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the number of the deployment."""
        parser.add_argument("generation", type=int, help="the deployment's number; 0: as found")
        parser.add_argument(
            "--overwrite", action="store_true", help="also what was changed outside the panel"
        )
        parser.add_argument("--reason", default="", help="why; goes to the audit log")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Restore the wanted state, then plan, apply and wait."""
        number: int = options["generation"]
        earlier = find_deployment(require_server(), number)
        if earlier is None:
            raise CommandError(
                say_problem(Problem("deployment.unknown", params={"number": number}))
            )
        with request_id_set(draw_request_id()):
            try:
                restore_deployment(
                    actor=Actor.command_line(), deployment=earlier, reason=options["reason"]
                )
            except ChangeRefusedError as refused:
                raise as_command_error(refused) from refused
            deployment = self.request(
                options["reason"] or f"rollback to #{number}", may_overwrite=options["overwrite"]
            )
        self.follow(deployment)
