"""Forms for requests and self-signed certificates: text in, typed values out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.db import models
from django.utils.translation import gettext_lazy as _

from mailadmin.certificates.bounded import read_foreign_csr
from mailadmin.certificates.forms.names import KeyKindField, NamesField, normalize_names
from mailadmin.certificates.forms.uploads import FilesField, ForgetfulTextarea, Part, PastedField
from mailadmin.certificates.sentences import say
from mailadmin.pki.csr import (
    CsrFacts,
    CsrProblem,
    CsrSubject,
    fitting_common_name,
    subject_problems,
)
from mailadmin.pki.names import NameProblem, display_name, normalize_san
from mailadmin.pki.problems import Problem
from mailadmin.pki.renewal import Renewal
from mailadmin.pki.x509_fields import MAX_NAMES

MAX_SELF_SIGNED_DAYS = 3650
ORGANISATION_FIELDS = ("organization", "organizational_unit", "locality", "state", "country")


class RequestForm(forms.Form):
    """What a certificate is asked for."""

    common_name = forms.CharField(
        label=_("Main host name"),
        max_length=253,
        help_text=_(
            "What people enter as mail server, such as mail.example.org. It is asked for as common "
            "name and as alternative name; if it has more than 64 characters, only as alternative "
            "name, which is where mail programs look."
        ),
        widget=forms.TextInput(
            attrs={"spellcheck": "false", "autocapitalize": "none", "autocomplete": "off"}
        ),
    )
    names = NamesField(
        label=_("More names"),
        required=False,
        help_text=_(
            "One per line, or parted by commas. Every other name that people or servers connect "
            "to, such as smtp.example.org or imap.example.org: up to 100 names with the main one. "
            "Umlauts, wildcards (*.example.org) and IP addresses (192.0.2.1, 2001:db8::1) are "
            "understood; few public authorities sign IP addresses. A name written twice counts "
            "once."
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
            common_name=fitting_common_name(common_name),
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


class KeyChoice(models.TextChoices):
    """Which key the renewed certificate is to have."""

    KEEP = "keep", _("Keep the key")
    NEW = "new", _("New key")


class RenewForm(RequestForm):
    """A request for a certificate that takes the place of one that is here."""

    key_choice = forms.ChoiceField(
        label=_("Which key?"),
        choices=KeyChoice.choices,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose whether to keep the key.")},
    )

    def __init__(self, *args: Any, renewal: Renewal, can_keep_key: bool, **kwargs: Any) -> None:
        kwargs["initial"] = dict(_initial(renewal))
        super().__init__(*args, **kwargs)
        self.can_keep_key = can_keep_key
        if not can_keep_key:
            del self.fields["key_choice"]

    @property
    def keeps_key(self) -> bool:
        """Tell whether the present key signs the request."""
        return self.cleaned_data.get("key_choice") == KeyChoice.KEEP


def _initial(renewal: Renewal) -> Iterator[tuple[str, Any]]:
    """Yield what the form for a renewal is filled in with."""
    names = [_readable(name) for name in renewal.names]
    yield "common_name", next(iter(names), "")
    yield "names", "\n".join(names[1:])
    yield "key_kind", renewal.key_kind
    for name in ORGANISATION_FIELDS:
        yield name, getattr(renewal.subject, name)


def _readable(name: str) -> str:
    """Return a name as people write it, if that means the very same name again."""
    shown = display_name(name)
    try:
        return shown if normalize_san(shown) == name else name
    except NameProblem:
        return name


class TrackForm(forms.Form):
    """A request that another program made: as a file, or pasted."""

    file = FilesField(label=_("File with the request"), required=False)
    pasted = PastedField(
        label=_("Or paste it here"),
        required=False,
        strip=False,
        widget=ForgetfulTextarea(
            attrs={
                "rows": 8,
                "spellcheck": "false",
                "autocomplete": "off",
                "class": "form-control exact",
                "placeholder": "-----BEGIN CERTIFICATE REQUEST-----",
            }
        ),
    )
    renews = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        """Read the one request that was given."""
        cleaned = super().clean() or {}
        files: list[Part] = cleaned.get("file", [])
        contents = [part.content for part in files] + [cleaned.get("pasted", "").encode()]
        given = [content for content in contents if content.strip()]
        try:
            # Two at once are two PEM texts, or anything else that is no request.
            cleaned["facts"] = read_foreign_csr(b"\n".join(given))
        except CsrProblem as error:
            self.add_error(None, say(error.problem))
        return cleaned

    @property
    def facts(self) -> CsrFacts:
        """What the request says."""
        facts: CsrFacts = self.cleaned_data["facts"]
        return facts


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
