"""What people type about a mail server, turned into typed values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from mailadmin.certificates.models import Certificate
from mailadmin.mailconf.profiles import PROFILES
from mailadmin.pki.names import NameProblem, display_name, normalize_host_name
from mailadmin.servers.models import MailServer
from mailadmin.servers.sentences import profile_advice, profile_words, say_problem

_SHORT = 8  # digits of a fingerprint that tell two certificates of one name apart


if TYPE_CHECKING:
    _CertificateChoice = forms.ModelChoiceField[Certificate]
else:
    _CertificateChoice = forms.ModelChoiceField


class CertificateField(_CertificateChoice):
    """A choice of certificates, each with who issued it and until when it is good."""

    def label_from_instance(self, obj: Certificate) -> str:
        """Return the certificate in words, with the start of its fingerprint."""
        return _now("%(label)s, %(issuer)s, until %(date)s (%(fingerprint)s)") % {
            "label": obj.label,
            "issuer": _now("self-signed") if obj.is_self_signed else obj.issuer_name,
            "date": obj.not_after.date().isoformat(),
            "fingerprint": obj.fingerprint[:_SHORT],
        }


def _profile_choices() -> list[tuple[str, str]]:
    return [(name, f"{profile_words(name)}. {profile_advice(name)}") for name in PROFILES]


class ServerForm(forms.Form):
    """How the server is called, what TLS it speaks, and what it serves by default."""

    host_name = forms.CharField(
        label=_("Host name"),
        max_length=253,
        widget=forms.TextInput(
            attrs={"autocapitalize": "off", "spellcheck": "false", "autocomplete": "off"}
        ),
        help_text=_(
            "The name mail programs are set up with. The default certificate should cover it."
        ),
    )
    tls_profile = forms.ChoiceField(
        label=_("TLS versions"), widget=forms.RadioSelect, choices=_profile_choices
    )
    is_dovecot_split = forms.BooleanField(
        label=_("Serve Dovecot’s ports from an instance of their own"),
        required=False,
        help_text=_(
            "Opening or closing an IMAP, POP3 or Sieve port then cuts no connection that is just "
            "logging in (measured under load: 0 instead of two to five per change). Changing a "
            "certificate cuts none in any case."
        ),
        # What it costs stands below it, in a list.
        widget=forms.CheckboxInput(
            attrs={"aria-describedby": "id_is_dovecot_split_helptext price-of-two"}
        ),
    )

    def __init__(
        self,
        server: MailServer,
        certificates: QuerySet[Certificate],
        submitted: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            submitted,
            initial={
                "host_name": display_name(server.host_name),
                "tls_profile": server.tls_profile,
                "default_certificate": server.default_certificate_id,
                "is_dovecot_split": server.is_dovecot_split,
            },
        )
        self.fields["default_certificate"] = CertificateField(
            certificates,
            label=_("Default certificate"),
            required=False,
            empty_label=_now("None"),
            help_text=_("Served by every port that has no certificate of its own."),
        )
        self.order_fields([name for name in self.fields if name != "is_dovecot_split"])

    def clean_host_name(self) -> str:
        """Return the name as A-labels."""
        try:
            return normalize_host_name(self.cleaned_data["host_name"])
        except NameProblem as error:
            raise forms.ValidationError(say_problem(error.problem)) from error
