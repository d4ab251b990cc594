"""Asks for a password on the terminal, or takes it from standard input."""

from __future__ import annotations

import getpass
import sys

from django.utils.translation import gettext as _


class PasswordsDifferError(Exception):
    """The two passwords typed are not the same."""


def read_password(*, from_stdin: bool) -> str:
    """Return the password, typed twice or taken from the first line of standard input.

    Raises ``PasswordsDifferError``.
    """
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(_("Password: "))
    if password != getpass.getpass(_("The same again: ")):
        raise PasswordsDifferError(_("The two passwords differ. Nothing was changed."))
    return password
