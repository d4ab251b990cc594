"""Change somebody who may log in: the way back in after a lost password or phone."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils.translation import gettext as _

from mailadmin.accounts.models import User
from mailadmin.accounts.password_prompt import PasswordsDifferError, read_password
from mailadmin.accounts.roles import Role
from mailadmin.accounts.services import reset_two_factor, set_active, set_password, set_role
from mailadmin.audit.actors import Actor


class Command(BaseCommand):
    """``manage.py user_change NAME --password``."""

    help = "Change a person's role or password, switch the account on or off, reset two-factor."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name, and what to change."""
        parser.add_argument("name", help="the user name")
        parser.add_argument("--role", choices=[role.value for role in Role])
        password = parser.add_mutually_exclusive_group()
        password.add_argument("--password", action="store_true", help="ask for a new password")
        password.add_argument(
            "--password-stdin", action="store_true", help="read a new password from standard input"
        )
        parser.add_argument(
            "--reset-two-factor", action="store_true", help="for somebody who lost their phone"
        )
        switch = parser.add_mutually_exclusive_group()
        switch.add_argument("--on", dest="is_active", action="store_true", default=None)
        switch.add_argument("--off", dest="is_active", action="store_false", default=None)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Change everything that was asked for, or nothing and say why."""
        try:
            user = User.objects.get(username=options["name"])
            with transaction.atomic():
                _change(user, options)
        except User.DoesNotExist as error:
            raise CommandError(
                _("There is no user %(name)s.") % {"name": options["name"]}
            ) from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except PasswordsDifferError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_("Changed %(name)s.") % {"name": user.username})


def _change(user: User, options: dict[str, Any]) -> None:
    actor = Actor.command_line()
    if options["role"]:
        set_role(actor=actor, user=user, role=Role(options["role"]))
    if options["password"] or options["password_stdin"]:
        password = read_password(from_stdin=options["password_stdin"])
        set_password(actor=actor, user=user, password=password)
    if options["reset_two_factor"]:
        reset_two_factor(actor=actor, user=user)
    if options["is_active"] is not None:
        set_active(actor=actor, user=user, is_active=options["is_active"])
