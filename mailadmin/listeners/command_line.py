"""What the listeners' commands share: finding what was named, and telling what is pending."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mailadmin.certificates.models import Certificate
from mailadmin.listeners.selectors import find_certificates, pending_changes, state_problems
from mailadmin.listeners.sentences import say_change, say_problem
from mailadmin.pki.problems import Severity, has_errors
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.selectors import current_server


def require_server() -> MailServer:
    """Return the mail server the commands are about. Raises ``CommandError`` without one."""
    server = current_server()
    if server is None:
        raise CommandError(_("The panel does not look after a mail server yet."))
    return server


def choose_certificate(text: str) -> Certificate:
    """Return the one certificate that an id or the start of a fingerprint stands for.

    Raises ``CommandError`` when there is none or more than one.
    """
    found = find_certificates(text)
    if not found:
        raise CommandError(
            _("There is no certificate with the id or fingerprint “%(text)s”.") % {"text": text}
        )
    if len(found) > 1:
        raise CommandError(
            _("More than one fingerprint begins with “%(text)s”. Write more of it.")
            % {"text": text}
        )
    return found[0]


def as_command_error(refused: ChangeRefusedError) -> CommandError:
    """Return a refusal in words, to end the command with exit code 1."""
    return CommandError(" ".join(say_problem(problem) for problem in refused.problems))


def tell_pending(server: MailServer) -> Iterator[str]:
    """Return the lines that say what is pending, what is wrong with it, and how to apply it."""
    changes, problems = pending_changes(server), state_problems(server, timezone.now())
    if not changes:
        yield _("Nothing is pending: all of it is applied.")
    else:
        yield ngettext(
            "%(n)d change is not applied yet:", "%(n)d changes are not applied yet:", len(changes)
        ) % {"n": len(changes)}
        yield from (f"  {say_change(change)}" for change in changes)
    for problem in problems:
        word = _("error") if problem.severity is Severity.ERROR else _("warning")
        yield f"{word}: {say_problem(problem)}"
    if changes and has_errors(problems):
        yield _("It cannot be applied before the errors are put right.")
    elif changes:
        yield _("Apply with: manage.py apply")
