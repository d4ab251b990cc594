"""Forms for requests, self-signed certificates and uploads: text in, typed values out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from mailadmin.certificates.sentences import say
from mailadmin.pki.csr import CsrSubject, subject_problems
from mailadmin.pki.keys import KeyKind
from mailadmin.pki.names import NameProblem, normalize_san
from mailadmin.pki.problems import Problem
from mailadmin.pki.x509_fields import MAX_NAMES

MAX_SELF_SIGNED_DAYS = 3650
_LONGEST_LIST = 30_000  # characters: the most names, each of the greatest length
_LONGEST_COMMON_NAME = 64  # RFC 5280, appendix A.1
_NAMES_COMPLAINED_OF = 5
_SEPARATORS = re.compile(r"[\s,;]+")

KEY_CHOICES = [
    (
        KeyKind.ECDSA_P256,
        _("ECDSA P-256: small and fast, known to every mail program of the last ten years"),
    ),
    (
        KeyKind.ECDSA_P384,
        _("ECDSA P-384: larger; take it only where a rule asks for it"),
    ),
    (
        KeyKind.RSA_3072,
        _("RSA 3072: for very old devices, and strong enough for the years after 2030"),
    ),
    (
        KeyKind.RSA_2048,
        _("RSA 2048: the least that is accepted; some guidelines already phase it out"),
    ),
    (
        KeyKind.RSA_4096,
        _("RSA 4096: each login costs several times more, and gains little over 3072"),
    ),
]
ORGANISATION_FIELDS = ("organization", "organizational_unit", "locality", "state", "country")


def split_names(text: str) -> list[str]:
    """Return the names of a list typed by a person: one per line, or parted by commas or blanks."""
    return [name for name in _SEPARATORS.split(text) if name]


def normalize_names(names: Iterable[str]) -> list[str]:
    """Return the names as certificates hold them, each once.

    Raises ``ValidationError`` with one sentence per name that cannot be used.
    """
    typed = list(dict.fromkeys(names))
    if len(typed) > MAX_NAMES:
        params = {"count": len(typed), "limit": MAX_NAMES}
        raise forms.ValidationError(say(Problem("name.too_many", params=params)))
    good: list[str] = []
    complaints: list[str] = []
    for name in typed:
        try:
            good.append(normalize_san(name))
        except NameProblem as error:
            complaints.append(say(error.problem))
    if complaints:
        raise forms.ValidationError(complaints[:_NAMES_COMPLAINED_OF])
    return list(dict.fromkeys(good))


class NamesField(forms.CharField):
    """A text box for host names, wildcards and IP addresses; cleans to a list of A-labels."""

    widget = forms.Textarea

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", _LONGEST_LIST)
        super().__init__(**kwargs)
        self.widget.attrs |= {"rows": 4, "spellcheck": "false", "autocapitalize": "none"}

    def clean(self, value: Any) -> list[str]:
        """Check and normalise every name."""
        return normalize_names(split_names(super().clean(value)))


class _KeyKindField(forms.TypedChoiceField):
    def __init__(self) -> None:
        super().__init__(
            label=_("Key"),
            choices=KEY_CHOICES,
            coerce=KeyKind,
            initial=KeyKind.ECDSA_P256,
            widget=forms.RadioSelect,
        )


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
    key_kind = _KeyKindField()
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
    key_kind = _KeyKindField()
    days = forms.IntegerField(
        label=_("Days until it expires"),
        min_value=1,
        max_value=MAX_SELF_SIGNED_DAYS,
        initial=365,
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that was uploaded: a file, or the pasted text."""

    name: str
    content: bytes = field(repr=False)


class _FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """Any number of files; cleans to their names and contents."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=_FilesInput(), allow_empty_file=True, **kwargs)

    def clean(self, data: Any, initial: Any = None) -> list[Part]:
        """Read the files; the upload handler already limited their size."""
        given = data if isinstance(data, list | tuple) else [data]
        files = [super(FilesField, self).clean(file, initial) for file in given]
        return [
            Part(file.name or "", file.read()) for file in files if isinstance(file, UploadedFile)
        ]


class _ForgetfulTextarea(forms.Textarea):
    """A box that never shows again what was typed: it may hold a private key."""

    def format_value(self, value: Any) -> str:
        """Show nothing."""
        del value
        return ""


class PastedField(forms.CharField):
    """A box for PEM text. Text pasted from UTF-16 may have a NUL between any two letters."""

    widget = _ForgetfulTextarea

    def to_python(self, value: Any) -> str:
        """Drop the NULs instead of refusing the text."""
        return str(value).replace("\0", "") if value else ""


class UploadForm(forms.Form):
    """Files, pasted text, or both; and the password, when it was asked for.

    ``token`` names an upload that is continued: to give its password, to add a missing part,
    or to save it.
    """

    parts = FilesField(label=_("Files"), required=False)
    pasted = PastedField(
        label=_("Or paste here"),
        required=False,
        strip=False,
        widget=_ForgetfulTextarea(
            attrs={
                "rows": 6,
                "spellcheck": "false",
                "autocomplete": "off",
                "class": "form-control exact",
                "placeholder": "-----BEGIN CERTIFICATE-----",
            }
        ),
    )
    password = forms.CharField(
        label=_("Password of the private key"),
        required=False,
        strip=False,
        max_length=1024,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    token = forms.CharField(required=False, max_length=100, widget=forms.HiddenInput)
    is_confirmed = forms.BooleanField(required=False)

    @property
    def given(self) -> list[Part]:
        """The files and the pasted text; empty ones left out."""
        pasted: str = self.cleaned_data.get("pasted", "")
        files: list[Part] = self.cleaned_data.get("parts", [])
        parts = [*files, Part(str(_("pasted text")), pasted.encode())]
        return [part for part in parts if part.content.strip()]
