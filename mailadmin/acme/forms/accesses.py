"""A DNS access: a name server that takes signed updates, or a provider with its own options."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from mailadmin.acme.dns import providers, updating
from mailadmin.acme.dns.failures import DnsFailure
from mailadmin.acme.dns.providers import DnsProvider, ProviderOption
from mailadmin.acme.dns.resolving import Resolver
from mailadmin.acme.dns.signing import ALGORITHMS
from mailadmin.acme.models import DnsAccess
from mailadmin.acme.sentences import say

_LONGEST_SECRET = 10_000
_UNCHANGED = _("Leave it empty to keep it as it is.")


class _TitledForm(forms.Form):
    """What both kinds have in common."""

    title = forms.CharField(label=_("Name"), max_length=80, help_text=_("How it is called here."))

    def __init__(self, submitted: Any = None, *, row: DnsAccess | None = None) -> None:
        self.row = row
        super().__init__(submitted, initial=self._initial(row) if row else None)

    def _initial(self, row: DnsAccess) -> dict[str, Any]:
        return {"title": row.title, **row.settings}


class NameServerForm(_TitledForm):
    """A name server that takes updates (RFC 2136) signed with a shared key (TSIG)."""

    server = forms.CharField(
        label=_("Name server"),
        max_length=253,
        help_text=_("The primary server of the zone: a host name or an address."),
    )
    port = forms.IntegerField(label=_("Port"), min_value=1, max_value=65535, initial=53)
    zone = forms.CharField(
        label=_("Zone"),
        required=False,
        max_length=253,
        help_text=_("Empty: the server is asked which zone a name is in."),
    )
    key_name = forms.CharField(label=_("Name of the key (TSIG)"), max_length=253)
    algorithm = forms.ChoiceField(
        label=_("Algorithm"), choices=[(name, name) for name in ALGORITHMS]
    )
    tsig_secret = forms.CharField(
        label=_("Key (base64)"),
        required=False,
        max_length=1000,
        help_text=_("It is kept encrypted, and never shown again."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, submitted: Any = None, *, row: DnsAccess | None = None) -> None:
        super().__init__(submitted, row=row)
        if row is not None:
            self.fields["tsig_secret"].help_text = _UNCHANGED

    def clean(self) -> dict[str, Any]:
        """Try whether an update could be signed with it; nothing is sent."""
        cleaned = super().clean() or self.cleaned_data
        secret = str(cleaned.get("tsig_secret") or "")
        if not secret and self.row is None:
            self.add_error("tsig_secret", _("The key is needed."))
        if self.errors or not secret:
            return cleaned
        try:
            updating.read_access(self.settings, secret, Resolver(()))
        except DnsFailure as failure:
            self.add_error(None, say(failure.problem))
        return cleaned

    @property
    def settings(self) -> dict[str, Any]:
        """Return the public part of a valid form."""
        names = ("server", "port", "zone", "key_name", "algorithm")
        return {name: self.cleaned_data[name] for name in names}

    @property
    def secret(self) -> str:
        """Return the shared key; empty if it stays as it is."""
        return str(self.cleaned_data["tsig_secret"])


class ProviderForm(_TitledForm):
    """A provider, with the options that its interface wants."""

    def __init__(
        self, provider: DnsProvider, submitted: Any = None, *, row: DnsAccess | None = None
    ) -> None:
        self.provider = provider
        super().__init__(submitted, row=row)
        for option in provider.options:
            self.fields[_field_name(option)] = _field(option, is_kept=row is not None)

    def _initial(self, row: DnsAccess) -> dict[str, Any]:
        options = row.settings.get("options", {})
        return {"title": row.title, **{f"option_{name}": text for name, text in options.items()}}

    def clean(self) -> dict[str, Any]:
        """Check the options as the provider's interface takes them; nothing is sent."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                providers.check_options(self.provider, self._options(is_secret=None))
            except DnsFailure as failure:
                self.add_error(None, say(failure.problem))
        return cleaned

    def _options(self, *, is_secret: bool | None) -> dict[str, str]:
        found = {}
        for option in self.provider.options:
            value = self.cleaned_data.get(_field_name(option))
            if value and is_secret in (None, option.is_secret):
                found[option.name] = str(value)
        return found

    @property
    def settings(self) -> dict[str, Any]:
        """Return the public part of a valid form."""
        return {"provider": self.provider.name, "options": self._options(is_secret=False)}

    @property
    def secret(self) -> str:
        """Return the secret options as JSON; empty if they stay as they are."""
        options = self._options(is_secret=True)
        return json.dumps(options) if options else ""


# Both say what is to be kept: ``settings``, and ``secret``, empty if it stays as it is.
AccessForm = NameServerForm | ProviderForm


def open_form(
    kind: str, *, submitted: Any = None, row: DnsAccess | None = None, provider: str = ""
) -> AccessForm:
    """Return the form for this kind of access.

    Raises ``DnsFailure`` for a provider that there is not.
    """
    if kind == DnsAccess.Kind.RFC2136:
        return NameServerForm(submitted, row=row)
    name = str(row.settings.get("provider", "")) if row else provider
    return ProviderForm(providers.find_provider(name), submitted, row=row)


def installed_providers() -> list[str]:
    """Return the providers that can be chosen."""
    return [item.name for item in providers.list_providers() if item.is_installed]


def _field_name(option: ProviderOption) -> str:
    return f"option_{option.name}"


def _field(option: ProviderOption, *, is_kept: bool) -> forms.Field:
    label = option.name.replace("_", " ")
    if option.is_switch:
        return forms.BooleanField(label=label, required=False, help_text=option.explanation)
    if option.choices:
        choices = [("", "—"), *((choice, choice) for choice in option.choices)]
        return forms.ChoiceField(
            label=label, required=False, choices=choices, help_text=option.explanation
        )
    if not option.is_secret:
        return forms.CharField(
            label=label, required=False, max_length=1000, help_text=option.explanation
        )
    return forms.CharField(
        label=label,
        required=False,
        max_length=_LONGEST_SECRET,
        help_text=_UNCHANGED if is_kept else option.explanation,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
