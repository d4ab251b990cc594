"""The form for a root to trust."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from mailadmin.certificates.forms.uploads import UploadForm


class AuthorityForm(UploadForm):
    """A root certificate, as a file or pasted, and what it is for."""

    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=255,
        help_text=_("For those who come after you: whose authority it is, and who asked for it."),
    )
