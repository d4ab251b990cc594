"""Keep a deployment that waits to be confirmed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mailadmin.deployments.command_line import settle
from mailadmin.deployments.models import Deployment


class Command(BaseCommand):
    """``manage.py deployment_confirm NUMBER``."""

    help = (
        "Keep a deployment that is taken back otherwise. "
        "Exit code 0: it stays. 1: too late, or nobody could tell the mail server."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the number of the deployment."""
        parser.add_argument("number", type=int, help="the deployment's number")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Decide, and wait until the mail server knows."""
        settle(options["number"], Deployment.Decision.KEEP, self.stdout.write)
