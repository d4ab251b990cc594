"""Look at every port now and say what it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.deployments.drift import open_drift, open_upgrade
from mailadmin.deployments.matrix import as_json, read_served, say_served
from mailadmin.deployments.sentences import say_problem
from mailadmin.deployments.sentences.drift import say_drift, say_upgrade
from mailadmin.deployments.services import request_probe
from mailadmin.deployments.waiting import WaitedTooLongError, wait_for_probe
from mailadmin.listeners.command_line import require_server
from mailadmin.listeners.selectors import applied_state, desired_state
from mailadmin.listeners.sentences import service_words
from mailadmin.servers.models import MailServer


class Command(BaseCommand):
    """``manage.py status [--json]``: the served-now matrix, probed live."""

    help = (
        "Connect to every port and show what it serves beside what is wanted. "
        "Exit code 0: all as wanted. 1: something differs, or nobody could look."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Offer JSON."""
        parser.add_argument("--json", action="store_true", help="for scripts")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask for a look, wait, print."""
        server = require_server()
        with request_id_set(draw_request_id()):
            run = request_probe(actor=Actor.command_line(), server=server)
        try:
            run = wait_for_probe(run)
        except WaitedTooLongError as error:
            raise CommandError(str(error)) from error
        if run.error is not None:
            raise CommandError(say_problem(run.error))
        server.refresh_from_db()
        state = applied_state(server) or desired_state(server)
        rows = read_served(state, run)
        if options["json"]:
            self.stdout.write(json.dumps(as_json(server, state, run, rows), indent=2))
        else:
            for row in rows:
                name = service_words(row.listener.service)
                self.stdout.write(f"{row.listener.port:>5}  {name:22} {say_served(row)}")
            for line in _tell_host(server):
                self.stdout.write(line)
        if not all(row.is_proven for row in rows):
            raise CommandError("Not every port shows what it should.")


def _tell_host(server: MailServer) -> Iterator[str]:
    """Return what there is to know beside the ports: instances, hand edits, an upgrade."""
    applied, drift, upgrade = applied_state(server), open_drift(server), open_upgrade(server)
    if applied and applied.is_dovecot_split:
        yield _("Dovecot runs in two instances: mailadmin-front.conf has the ports.")
    if drift:
        yield say_drift(drift)
    if upgrade:
        yield say_upgrade(upgrade)
