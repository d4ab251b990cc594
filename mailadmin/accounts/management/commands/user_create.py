"""Create somebody who may log in."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from mailadmin.accounts.password_prompt import PasswordsDifferError, read_password
from mailadmin.accounts.roles import Role
from mailadmin.accounts.services import create_user
from mailadmin.audit.actors import Actor


class Command(BaseCommand):
    """``manage.py user_create NAME --role operator``."""

    help = "Create a person who may log in. Asks for the password unless it comes on stdin."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name, role, and where the password comes from."""
        parser.add_argument("name", help="the user name")
        parser.add_argument(
            "--role",
            choices=[role.value for role in Role],
            default=Role.OPERATOR.value,
            help="viewer reads, operator changes and applies, administrator also manages people",
        )
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Create the person or say in plain words why not."""
        try:
            password = read_password(from_stdin=options["password_stdin"])
            user = create_user(
                actor=Actor.command_line(),
                username=options["name"],
                password=password,
                role=Role(options["role"]),
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except PasswordsDifferError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            _("%(name)s can log in now, as %(role)s.")
            % {"name": user.username, "role": Role(user.role).label}
        )
