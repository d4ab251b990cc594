"""The form for taking a private key out of the panel."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from mailadmin.certificates.exporting import (
    LONGEST_NAME,
    LONGEST_PASSWORD,
    LONGEST_REASON,
    request_problems,
)
from mailadmin.certificates.sentences import say
from mailadmin.pki.export import ContainerKind
from mailadmin.pki.problems import Problem


def _password_field(label: Any, autocomplete: str) -> forms.CharField:
    attributes = {"autocomplete": autocomplete, "spellcheck": "false"}
    return forms.CharField(
        label=label,
        strip=False,
        max_length=LONGEST_PASSWORD,
        widget=forms.PasswordInput(attrs=attributes),
    )


class ExportForm(forms.Form):
    """What the key is for, how the file is locked, and that it is really you."""

    reason = forms.CharField(
        label=_("What is the key needed for?"),
        max_length=LONGEST_REASON,
        help_text=_("Kept in the audit log with your name and the time."),
    )
    kind = forms.TypedChoiceField(
        label=_("Which program will open the file?"),
        choices=[
            (
                ContainerKind.MODERN,
                _("One of the last years (AES-256): OpenSSL, Windows 10, Java 8u301 or later"),
            ),
            (
                ContainerKind.OLD,
                _("An old one, such as Windows Server 2016 (Triple DES): easier to break open"),
            ),
        ],
        coerce=ContainerKind,
        initial=ContainerKind.MODERN,
        widget=forms.RadioSelect,
    )
    friendly_name = forms.CharField(
        label=_("Name inside the file"),
        max_length=LONGEST_NAME,
        required=False,
        help_text=_("Programs show it in their list of certificates."),
    )
    password = _password_field(_("Password for the file"), "new-password")
    repeated = _password_field(_("The same again"), "new-password")
    own_password = _password_field(_("Your own password, the one you log in with"), "off")

    def clean(self) -> dict[str, Any]:
        """Check the password and the reason as the service will."""
        cleaned = super().clean() or {}
        reason, password = cleaned.get("reason"), cleaned.get("password")
        if reason is not None and password is not None:
            for problem in request_problems(reason, password):
                self.add_error(problem.subject, say(problem))
        if password is not None and password == cleaned.get("own_password"):
            self.add_error("password", say(Problem("export.password_own")))
        if password is not None and password != cleaned.get("repeated"):
            self.add_error("repeated", say(Problem("export.passwords_differ")))
        return cleaned
