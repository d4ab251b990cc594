"""The form for uploads: files and pasted text in, their contents out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from mailadmin.certificates.models import Certificate
from mailadmin.certificates.proposing import Proposal
from mailadmin.certificates.succession import NOTHING


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


class ForgetfulTextarea(forms.Textarea):
    """A box that never shows again what was typed: it may hold a private key."""

    def format_value(self, value: Any) -> str:
        """Show nothing."""
        del value
        return ""


class PastedField(forms.CharField):
    """A box for PEM text. Text pasted from UTF-16 may have a NUL between any two letters."""

    widget = ForgetfulTextarea

    def to_python(self, value: Any) -> str:
        """Drop the NULs instead of refusing the text."""
        return str(value).replace("\0", "") if value else ""


@dataclass(frozen=True, slots=True)
class PredecessorChoice:
    """One answer to what the certificate replaces; no ``row`` is no other certificate."""

    value: str
    row: Certificate | None
    is_chosen: bool

    @classmethod
    def of(cls, proposal: Proposal) -> list[PredecessorChoice]:
        """Return every certificate that it may replace, the likeliest first, and none."""
        rows = [*proposal.predecessors.rows, None]
        return [cls(str(row.pk) if row else NOTHING, row, row == proposal.chosen) for row in rows]


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
        widget=ForgetfulTextarea(
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
        label=_("Password"),
        required=False,
        strip=False,
        max_length=1024,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    token = forms.CharField(required=False, max_length=100, widget=forms.HiddenInput)
    is_confirmed = forms.BooleanField(required=False)
    # What it replaces: a row's number, or "none"; empty is what the panel finds.
    predecessor = forms.CharField(required=False, max_length=100)

    @property
    def given(self) -> list[Part]:
        """The files and the pasted text; empty ones left out."""
        pasted: str = self.cleaned_data.get("pasted", "")
        files: list[Part] = self.cleaned_data.get("parts", [])
        parts = [*files, Part(str(_("pasted text")), pasted.encode())]
        return [part for part in parts if part.content.strip()]
