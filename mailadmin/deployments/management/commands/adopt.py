"""Take over a mail server as it is and prove that this changes nothing on it, or leave it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from mailadmin.agent.protocol import AgentError
from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.sentences import say
from mailadmin.deployments.command_line import as_command_error, tell_problems
from mailadmin.deployments.management.commands import apply
from mailadmin.deployments.runner.adopting import (
    HostAsLeft,
    fetch_keys,
    look_as_left,
    read_copy,
)
from mailadmin.deployments.runner.taking_over import adopt_as_left, hand_back
from mailadmin.deployments.selectors import has_applied
from mailadmin.deployments.sentences import say_problem
from mailadmin.listeners.command_line import require_server
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.selectors import current_server


class Command(apply.Command):
    """``manage.py adopt [mail.example.org] [--dry-run] [--json]``, ``manage.py adopt --undo``."""

    help = (
        "Take over the mail server whose agent runs on this machine, as its own files have it. "
        "Nothing on it is changed, and its keys stay where they are unless --import-keys is given. "
        "With --undo take out of its files what the panel wrote, and prove that by handshakes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the host name, and a copy to be read in the place of the host."""
        parser.add_argument(
            "host_name",
            nargs="?",
            default="",
            help="the name that clients connect to, if it is not the one Postfix calls itself by",
        )
        parser.add_argument("--agent-socket", default="", help="if not the one of the settings")
        parser.add_argument("--postfix", type=Path, help="read this copy of /etc/postfix instead")
        parser.add_argument("--dovecot", type=Path, help="and this copy of dovecot.conf")
        parser.add_argument("--dry-run", action="store_true", help="look, and take nothing over")
        parser.add_argument("--json", action="store_true", help="machine-readable output")
        parser.add_argument(
            "--import-keys",
            action="store_true",
            help="store the keys of the certificates here too, sealed",
        )
        parser.add_argument("--undo", action="store_true", help="make the host what it was")
        parser.add_argument(
            "--overwrite", action="store_true", help="with --undo: also what others changed of ours"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Look, show, and take over what was shown."""
        with request_id_set(draw_request_id()):
            try:
                if options["undo"]:
                    self._undo(may_overwrite=options["overwrite"])
                    return
                found = self._look(options)
                is_copy = options["postfix"] is not None
                is_dry = options["dry_run"] or is_copy
                if not is_dry:
                    self._take_over(found, options)
            except (AgentError, CustodyProblem) as error:
                raise CommandError(say_problem(error.problem)) from error
            except CertificateRefusedError as refused:
                raise CommandError(" ".join(map(say, refused.problems))) from refused
            except ChangeRefusedError as refused:
                raise as_command_error(refused) from refused
        shown = json.dumps(found.as_dict() | {"is_adopted": not is_dry}, indent=2)
        self.stdout.write(shown if options["json"] else "\n".join(_tell(found, is_dry=is_dry)))

    def _look(self, options: dict[str, Any]) -> HostAsLeft:
        server = current_server()
        name = options["host_name"] or (server.host_name if server else "")
        postfix, dovecot = options["postfix"], options["dovecot"]
        if (postfix is None) != (dovecot is None):
            raise CommandError(_("Give both --postfix and --dovecot, or neither."))
        if postfix is None:
            return look_as_left(name, options["agent_socket"])
        return read_copy(name, postfix.absolute(), dovecot.absolute())

    def _take_over(self, found: HostAsLeft, options: dict[str, Any]) -> None:
        server = current_server()
        if server is not None and has_applied(server):
            raise CommandError(_("A mail server is registered already, and changes were applied."))
        keys = fetch_keys(found, options["agent_socket"]) if options["import_keys"] else {}
        adopt_as_left(
            actor=Actor.command_line(),
            found=found,
            server=server,
            agent_socket=options["agent_socket"],
            keys=keys,
        )

    def _undo(self, *, may_overwrite: bool) -> None:
        server = require_server()
        found = look_as_left(server.host_name, server.agent_socket)
        hand_back(actor=Actor.command_line(), found=found, server=server)
        if not found.is_unchanged:
            self.follow(self.request("adopt --undo", may_overwrite=may_overwrite))
        self.stdout.write("\n".join(_tell_handed_back(server)))


def _tell_handed_back(server: MailServer) -> Iterator[str]:
    yield _(
        "Nothing of the panel stands in the files of %(name)s: they are as its admin has them."
    ) % {"name": server.host_name}
    yield _(
        "The panel still knows the mail server and looks at its ports. Keys that were stored here "
        "stay until their certificates are deleted; the agent’s own folder can go with the agent."
    )


def _tell(found: HostAsLeft, *, is_dry: bool) -> Iterator[str]:
    """Return what was understood, what is left alone, and whether anything would change."""
    labels = {item.fingerprint: item.label for item in found.state.certificates}
    yield _("Understood:")
    for item in found.state.enabled_listeners:
        label = labels.get(found.state.certificate_for(item), "-")
        program = found.programs.get(str(item.port), "-")
        yield f"  {item.service:12} {item.address}:{item.port}  {item.tls_mode}  {label}  {program}"
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
