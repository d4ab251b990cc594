"""Prepare the demo: a person who can log in, and the sandbox registered. Safe to run again."""

from __future__ import annotations

import json
import os
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailadmin.accounts.models import User
from mailadmin.accounts.roles import Role
from mailadmin.accounts.services import create_user
from mailadmin.agent.protocol import AgentError
from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.deployments.sentences import say_problem
from mailadmin.deployments.services import adopt_server
from mailadmin.servers.selectors import current_server

_PASSWORD_VARIABLE = "MAILADMIN_DEMO_PASSWORD"  # noqa: S105 - the name of a variable


class Command(BaseCommand):
    """Run by ``make run``."""

    help = "Create the demo's user and register its sandbox mail server, unless they exist."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what the sandbox chose."""
        parser.add_argument("--host-name", required=True)
        parser.add_argument("--ports-json", default="{}", help="service name to port")
        parser.add_argument("--username", default="admin")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Create what is not there yet."""
        with request_id_set(draw_request_id()):
            _create_person(options["username"])
            _register(options["host_name"], json.loads(options["ports_json"]))


def _create_person(username: str) -> None:
    if User.objects.filter(username=username).exists():
        return
    password = os.environ.get(_PASSWORD_VARIABLE, "")
    actor = Actor.system("setup")
    try:
        create_user(actor=actor, username=username, password=password, role=Role.ADMINISTRATOR)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error


def _register(host_name: str, ports: dict[str, int]) -> None:
    if current_server() is not None:
        return
    try:
        adopt_server(actor=Actor.system("setup"), host_name=host_name, closed_ports=ports)
    except AgentError as error:
        raise CommandError(say_problem(error.problem)) from error
