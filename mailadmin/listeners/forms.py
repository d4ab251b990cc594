"""What people type about listeners and host names, turned into typed values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from mailadmin.certificates.models import Certificate
from mailadmin.listeners.models import Listener
from mailadmin.listeners.sentences import (
    say_problem,
    service_words,
    tls_mode_help,
    tls_mode_words,
)
from mailadmin.listeners.suggestions import Suggestion, Suggestions
from mailadmin.mailconf.rules import is_address
from mailadmin.mailconf.services import Service, TlsMode
from mailadmin.pki.names import NameProblem, both_forms, normalize_host_name
from mailadmin.pki.problems import Param, Problem
from mailadmin.servers.forms import CertificateField

LAST_PORT = 65535


class ListenerForm(forms.Form):
    """What can be set of one listener, apart from its switch."""

    address = forms.CharField(
        label=_("Address"),
        max_length=45,
        # Where the form opens in place, the keyboard goes on in it.
        widget=forms.TextInput(attrs={"autofocus": True}),
        help_text=_("* for every address of the machine, or one IP address."),
    )
    port = forms.IntegerField(
        label=_("Port"), widget=forms.NumberInput(attrs={"min": 1, "max": LAST_PORT})
    )

    def __init__(
        self,
        listener: Listener,
        certificates: QuerySet[Certificate],
        submitted: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(submitted, initial=_values_of(listener), prefix=listener.service)
        self.listener = listener
        definition = listener.definition
        self.fields["port"].help_text = _now("Usually %(port)s.") % {"port": definition.port}
        self.fields["certificate"] = CertificateField(
            certificates,
            label=_("Certificate"),
            required=False,
            empty_label=_default_words(listener.server.default_certificate),
        )
        # A service that knows one answer only gets no question about it.
        if len(definition.tls_modes) > 1:
            self.fields["tls_mode"] = forms.ChoiceField(
                label=_("TLS"), widget=forms.RadioSelect, choices=_mode_choices(definition)
            )
        if not definition.is_login_inherent:
            self.fields["is_login_required"] = forms.BooleanField(
                label=_("Require a login"),
                required=False,
                help_text=_LOGIN_HELP[definition.is_login_expected],
            )

    def clean_address(self) -> str:
        """Accept ``*`` or an IP address."""
        address: str = self.cleaned_data["address"].strip()
        if not is_address(address):
            raise self._refusal("listener.address_invalid", {"address": address})
        return address

    def clean_port(self) -> int:
        """Accept a port that exists."""
        port: int = self.cleaned_data["port"]
        if not 0 < port <= LAST_PORT:
            raise self._refusal("listener.port_invalid", {"port": port})
        return port

    def _refusal(self, code: str, params: Mapping[str, Param]) -> forms.ValidationError:
        problem = Problem(code, subject=self.listener.service, params=params)
        return forms.ValidationError(say_problem(problem))

    def values(self) -> dict[str, Any]:
        """Return what was typed as arguments of ``change_listener``."""
        values = dict(self.cleaned_data)
        if "tls_mode" in values:
            values["tls_mode"] = TlsMode(values["tls_mode"])
        return values


_LOGIN_HELP = {
    True: _("Without it anybody could send mail through this port."),
    False: _("Leave it off: other mail servers have no login here."),
}


def _default_words(default: Certificate | None) -> str:
    if default is None:
        return _now("The default one (none is chosen yet)")
    return _now("The default one: %(label)s") % {"label": default.label}


def _mode_choices(definition: Service) -> list[tuple[str, str]]:
    name = definition.name
    return [
        (str(mode), f"{tls_mode_words(mode, name)}. {tls_mode_help(mode, name)}")
        for mode in definition.tls_modes
    ]


def _values_of(listener: Listener) -> dict[str, Any]:
    return {
        "address": listener.address,
        "port": listener.port,
        "tls_mode": listener.tls_mode,
        "certificate": listener.certificate_id,
        "is_login_required": listener.is_login_required,
    }


class NameForm(forms.Form):
    """A host name and the certificate that clients who ask for it are shown."""

    host_name = forms.CharField(
        label=_("Host name"),
        max_length=253,
        widget=forms.TextInput(
            attrs={"autocapitalize": "off", "spellcheck": "false", "autocomplete": "off"}
        ),
        help_text=_("As mail programs are set up with it, like mail.example.org."),
    )

    def __init__(
        self, certificates: QuerySet[Certificate], submitted: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(submitted, prefix="name")
        self.fields["certificate"] = CertificateField(
            certificates, label=_("Certificate"), empty_label=_now("Choose…")
        )

    def clean_host_name(self) -> str:
        """Return the name as A-labels."""
        try:
            return normalize_host_name(self.cleaned_data["host_name"])
        except NameProblem as error:
            raise forms.ValidationError(say_problem(error.problem)) from error


class AssignForm(forms.Form):
    """What a certificate is to be used for; only the uses it does not have yet are asked."""

    as_default = forms.BooleanField(
        label=_("Default"),
        required=False,
        help_text=_("For every port without a certificate of its own."),
    )

    def __init__(
        self,
        suggestions: Suggestions,
        ports: Mapping[str, int],
        submitted: Mapping[str, Any] | None = None,
    ) -> None:
        services = [item for item in suggestions.services if not item.is_used]
        names = [item for item in suggestions.host_names if not item.is_used]
        super().__init__(submitted, initial=suggestions.values())
        if suggestions.default.is_used:
            del self.fields["as_default"]
        elif suggestions.default.now:
            self.fields["as_default"].help_text = _now(
                "For every port without a certificate of its own, instead of %(label)s."
            ) % {"label": suggestions.default.now.label}
        if services:
            choices = [(item.subject, _port_words(item, ports)) for item in services]
            self.fields["services"] = _many(_now("Ports"), choices)
        if names:
            choices = [(item.subject, _name_words(item)) for item in names]
            self.fields["host_names"] = _many(_now("Host names"), choices)

    def clean(self) -> dict[str, Any]:
        """Refuse an answer that uses the certificate for nothing."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and not any(cleaned.values()):
            raise forms.ValidationError(_("Choose at least one use, or go back."))
        return cleaned

    def values(self) -> dict[str, Any]:
        """Return the answer as arguments of ``assign_certificate``."""
        return {
            "as_default": self.cleaned_data.get("as_default", False),
            "services": self.cleaned_data.get("services", []),
            "host_names": self.cleaned_data.get("host_names", []),
        }


def _many(label: str, choices: list[tuple[str, str]]) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=label, required=False, widget=forms.CheckboxSelectMultiple, choices=choices
    )


def _port_words(item: Suggestion, ports: Mapping[str, int]) -> str:
    now = _now("the default") if item.now is None else item.now.label
    return _now("%(service)s (%(port)s), now %(now)s") % {
        "service": service_words(item.subject),
        "port": ports[item.subject],
        "now": now,
    }


def _name_words(item: Suggestion) -> str:
    name = both_forms(item.subject)
    if item.now is None:
        return name
    return _now("%(name)s, now %(now)s") % {"name": name, "now": item.now.label}
