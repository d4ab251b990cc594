"""What people type about a destination, turned into typed values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from mailadmin.notifications.models import Destination
from mailadmin.pki.problems import Severity

_SEVERITY_CHOICES = [
    (str(Severity.INFO), _("Everything")),
    (str(Severity.WARNING), _("What needs somebody soon, and worse")),
    (str(Severity.ERROR), _("Only what breaks mail")),
]
_LONGEST_SECRET = 200


class _DestinationForm(forms.Form):
    title = forms.CharField(
        label=_("Name"),
        max_length=80,
        help_text=_("How it is called on this page and in the log."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    minimum_severity = forms.ChoiceField(
        label=_("What is told"), choices=_SEVERITY_CHOICES, widget=forms.RadioSelect
    )
    is_enabled = forms.BooleanField(label=_("Switched on"), required=False)

    def __init__(
        self, submitted: Mapping[str, Any] | None = None, row: Destination | None = None
    ) -> None:
        initial: dict[str, Any] = {"minimum_severity": str(Severity.INFO), "is_enabled": True}
        if row is not None:
            initial = {name: getattr(row, name) for name in self.base_fields if hasattr(row, name)}
        super().__init__(submitted, initial=initial)
        self.order_fields(["title", "address"])


class EmailForm(_DestinationForm):
    """A mailbox."""

    address = forms.EmailField(label=_("Mail address"), max_length=254)


class WebhookForm(_DestinationForm):
    """A program that takes JSON over HTTP."""

    address = forms.CharField(
        label=_("Address"),
        max_length=500,
        help_text=_("https://… Its path is shown to nobody who may not change it."),
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    is_private_allowed = forms.BooleanField(
        label=_("It is in my own network"),
        required=False,
        help_text=_(
            "Allows loopback and private addresses. Without it, a name that leads to one is not "
            "called."
        ),
    )
    secret = forms.CharField(
        label=_("Secret"),
        required=False,
        max_length=_LONGEST_SECRET,
        strip=False,
        help_text=_(
            "Signs each message, so that the receiver knows who wrote it; 16 characters or more, "
            "for example from “openssl rand -hex 32”. It is never shown again."
        ),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(
        self, submitted: Mapping[str, Any] | None = None, row: Destination | None = None
    ) -> None:
        super().__init__(submitted, row)
        self.order_fields(["title", "address", "is_private_allowed", "secret"])
        if row is not None:
            self.fields["secret"].help_text = _("Leave it empty to keep the secret as it is.")


FORMS: dict[str, type[_DestinationForm]] = {
    Destination.Kind.EMAIL: EmailForm,
    Destination.Kind.WEBHOOK: WebhookForm,
}
