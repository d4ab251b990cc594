"""Let the panel look after a mail server."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailadmin.agent.protocol import AgentError
from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.deployments.command_line import as_command_error
from mailadmin.deployments.sentences import say_problem
from mailadmin.deployments.services import adopt_server
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.selectors import current_server


class Command(BaseCommand):
    """``manage.py server_register mail.example.org``."""

    help = (
        "Register the mail server whose agent runs on this machine, as it is found. Nothing on it "
        "is changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the host name that clients use."""
        parser.add_argument("host_name", help="the name that clients connect to")
        parser.add_argument("--agent-socket", default="", help="if not the one of the settings")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask the agent and store what is there."""
        if current_server() is not None:
            raise CommandError("A mail server is registered already.")
        with request_id_set(draw_request_id()):
            try:
                server = adopt_server(
                    actor=Actor.command_line(),
                    host_name=options["host_name"],
                    agent_socket=options["agent_socket"],
                )
            except AgentError as error:
                raise CommandError(say_problem(error.problem)) from error
            except ChangeRefusedError as refused:
                raise as_command_error(refused) from refused
        self.stdout.write(f"{server.host_name} is registered as it was found.")
