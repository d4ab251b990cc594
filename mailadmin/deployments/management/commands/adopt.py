"""Take over a mail server as it is, and prove that this changes nothing on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from mailadmin.agent.protocol import AgentError
from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.deployments.command_line import as_command_error, tell_problems
from mailadmin.deployments.runner.adopting import HostAsLeft, look_as_left, read_copy
from mailadmin.deployments.sentences import say_problem
from mailadmin.deployments.services import adopt_as_left
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.selectors import current_server


class Command(BaseCommand):
    """``manage.py adopt mail.example.org [--dry-run] [--json]``."""

    help = (
        "Take over the mail server whose agent runs on this machine, as its own files have it. "
        "Nothing on it is changed, and its keys stay where they are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the host name, and a copy to be read in the place of the host."""
        parser.add_argument("host_name", help="the name that clients connect to")
        parser.add_argument("--agent-socket", default="", help="if not the one of the settings")
        parser.add_argument("--postfix", type=Path, help="read this copy of /etc/postfix instead")
        parser.add_argument("--dovecot", type=Path, help="and this copy of dovecot.conf")
        parser.add_argument("--dry-run", action="store_true", help="look, and take nothing over")
        parser.add_argument("--json", action="store_true", help="machine-readable output")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Look, show, and take over what was shown."""
        with request_id_set(draw_request_id()):
            try:
                found = self._look(options)
                is_copy = options["postfix"] is not None
                is_dry = options["dry_run"] or is_copy
                if not is_dry:
                    self._take_over(found, options)
            except AgentError as error:
                raise CommandError(say_problem(error.problem)) from error
            except ChangeRefusedError as refused:
                raise as_command_error(refused) from refused
        shown = json.dumps(found.as_dict() | {"is_adopted": not is_dry}, indent=2)
        self.stdout.write(shown if options["json"] else "\n".join(_tell(found, is_dry=is_dry)))

    def _look(self, options: dict[str, Any]) -> HostAsLeft:
        postfix, dovecot = options["postfix"], options["dovecot"]
        if (postfix is None) != (dovecot is None):
            raise CommandError(_("Give both --postfix and --dovecot, or neither."))
        if postfix is None:
            return look_as_left(options["host_name"], options["agent_socket"])
        return read_copy(options["host_name"], postfix.absolute(), dovecot.absolute())

    def _take_over(self, found: HostAsLeft, options: dict[str, Any]) -> None:
        if current_server() is not None:
            raise CommandError(_("A mail server is registered already."))
        adopt_as_left(actor=Actor.command_line(), found=found, agent_socket=options["agent_socket"])


def _tell(found: HostAsLeft, *, is_dry: bool) -> Iterator[str]:
    """Return what was understood, what is left alone, and whether anything would change."""
    labels = {item.fingerprint: item.label for item in found.state.certificates}
    yield _("Understood:")
    for item in found.state.enabled_listeners:
        label = labels.get(found.state.certificate_for(item), "-")
        yield f"  {item.service:12} {item.address}:{item.port}  {item.tls_mode}  {label}"
    for binding in found.state.sni_bindings:
        yield f"  {binding.host_name}  {labels.get(binding.certificate, '-')}"
    if found.findings:
        yield _("Left alone:")
        yield from (f"  {say_problem(item)}" for item in found.findings)
    if found.plan.problems:
        yield _("Needs you:")
        told = tell_problems([item.as_dict() for item in found.plan.problems])
        yield from (f"  {line}" for line in told)
    if not found.is_unchanged:
        yield _("Applying what was understood would change these files:")
        for file in found.plan.files:
            yield from file["lines"]
    elif is_dry:
        yield _("Taking it over would change nothing on the mail server.")
    else:
        yield _("%(name)s is taken over. Nothing on it was changed; there is nothing to apply.") % {
            "name": found.state.host_name
        }
