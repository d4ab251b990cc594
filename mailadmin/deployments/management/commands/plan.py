"""Show what applying would change."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.deployments.command_line import obtain_plan, tell_plan
from mailadmin.deployments.foresight_lines import (
    foresight_as_dict,
    obtain_foresight,
    tell_foresight,
)
from mailadmin.listeners.command_line import require_server
from mailadmin.listeners.selectors import pending_changes
from mailadmin.pki.problems import Problem, has_errors
from mailadmin.servers.selectors import current_server


class Command(BaseCommand):
    """``manage.py plan [--without-usage] [--json]``."""

    help = (
        "Show the pending changes as sentences, the diff of the mail server's files, and who used "
        "in the last 30 days what would go (from the mail log, which may take a minute). "
        "Nothing is changed. Exit code 1: it could not be applied, with the reasons."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Offer JSON, and not to read the logs."""
        parser.add_argument(
            "--without-usage", action="store_true", help="do not ask who would notice"
        )
        parser.add_argument("--json", action="store_true", help="for scripts")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask for the plan, wait, print."""
        server = require_server()
        with request_id_set(draw_request_id()):
            plan = obtain_plan(Actor.command_line(), server)
            is_asked = not options["without_usage"]
            foresight = obtain_foresight(Actor.command_line(), server) if is_asked else None
        server = current_server() or server
        if options["json"]:
            from_rows = [change.as_dict() for change in pending_changes(server)]
            said = {
                "changes": from_rows,
                "files": plan.files,
                "problems": plan.problems,
                "digest": plan.digest,
                "foresight": foresight_as_dict(foresight) if foresight else None,
            }
            self.stdout.write(json.dumps(said, indent=2))
        else:
            for line in tell_plan(server, plan):
                self.stdout.write(line)
            for line in tell_foresight(foresight) if foresight else ():
                self.stdout.write(line)
        if has_errors(Problem.from_dict(item) for item in plan.problems):
            raise CommandError("This cannot be applied before the errors are put right.")
