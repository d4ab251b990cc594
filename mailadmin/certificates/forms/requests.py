"""Forms for requests and self-signed certificates: text in, typed values out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from mailadmin.certificates.forms.names import KeyKindField, NamesField, normalize_names
from mailadmin.certificates.sentences import say
from mailadmin.pki.csr import CsrSubject, subject_problems
from mailadmin.pki.problems import Problem
from mailadmin.pki.x509_fields import MAX_NAMES

MAX_SELF_SIGNED_DAYS = 3650
_LONGEST_COMMON_NAME = 64  # RFC 5280, appendix A.1
ORGANISATION_FIELDS = ("organization", "organizational_unit", "locality", "state", "country")


class RequestForm(forms.Form):
    """What a certificate is asked for."""

    common_name = forms.CharField(
        label=_("Main host name"),
        max_length=253,
        help_text=_("What people enter as mail server, such as mail.example.org."),
        widget=forms.TextInput(
            attrs={"spellcheck": "false", "autocapitalize": "none", "autocomplete": "off"}
        ),
    )
    names = NamesField(
        label=_("More names"),
        required=False,
        help_text=_(
            "One per line, or parted by commas. Every other name that people or servers connect "
            "to, such as smtp.example.org or imap.example.org. Umlauts, wildcards (*.example.org) "
            "and IP addresses are understood."
        ),
    )
    key_kind = KeyKindField()
    organization = forms.CharField(label=_("Organisation"), required=False)
    organizational_unit = forms.CharField(label=_("Department"), required=False)
    locality = forms.CharField(label=_("City"), required=False)
    state = forms.CharField(label=_("State or province"), required=False)
    country = forms.CharField(
        label=_("Country"), required=False, help_text=_("Two letters, such as DE or IT.")
    )

    def clean_common_name(self) -> str:
        """Return the main name as an A-label."""
        (name,) = normalize_names([self.cleaned_data["common_name"].strip()])
        return name

    def clean_country(self) -> str:
        """Return the code in capitals."""
        return str(self.cleaned_data["country"]).upper()

    def clean(self) -> dict[str, Any]:
        """Check the whole subject, each problem at its field."""
        cleaned = super().clean() or {}
        for problem in subject_problems(self.subject):
            self.add_error(problem.subject or None, say(problem))
        if "common_name" in cleaned and len(self.all_names) > MAX_NAMES:
            params = {"count": len(self.all_names), "limit": MAX_NAMES}
            self.add_error("names", say(Problem("name.too_many", params=params)))
        return cleaned

    @property
    def subject(self) -> CsrSubject:
        """The subject to ask for; a name too long for a common name is an alternative name only."""
        common_name = self.cleaned_data.get("common_name", "")
        return CsrSubject(
            common_name=common_name if len(common_name) <= _LONGEST_COMMON_NAME else "",
            **{name: self.cleaned_data.get(name, "") for name in ORGANISATION_FIELDS},
        )

    @property
    def all_names(self) -> list[str]:
        """Every name the certificate is to cover, the main one first."""
        names = [self.cleaned_data["common_name"], *self.cleaned_data.get("names", [])]
        return list(dict.fromkeys(names))

    @property
    def is_organisation_open(self) -> bool:
        """Tell whether the organisation's fields must be seen: one is filled in or wrong."""
        return any(self[name].value() or self[name].errors for name in ORGANISATION_FIELDS)


class SelfSignedForm(forms.Form):
    """What a self-signed certificate is for."""

    names = NamesField(
        label=_("Names"),
        help_text=_("One per line, or parted by commas: every name people connect to."),
    )
    key_kind = KeyKindField()
    days = forms.IntegerField(
        label=_("Days until it expires"),
        min_value=1,
        max_value=MAX_SELF_SIGNED_DAYS,
        initial=365,
    )
