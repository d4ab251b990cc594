"""What the reviewer sends: which plan was read, and why it is applied."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

# The longest key that SQLite and PostgreSQL can store.
_LARGEST_KEY = 2**63 - 1


class ApplyForm(forms.Form):
    """The plan as it was shown, by key and digest, and the reason for the audit log."""

    plan = forms.IntegerField(min_value=1, max_value=_LARGEST_KEY, widget=forms.HiddenInput)
    digest = forms.CharField(max_length=64, widget=forms.HiddenInput)
    confirm_within = forms.TypedChoiceField(
        label=_("Keep it only if I confirm within"),
        choices=[
            ("", _("no: keep it")),
            ("5", _("5 minutes")),
            ("10", _("10 minutes")),
            ("30", _("30 minutes")),
        ],
        required=False,
        coerce=int,
        empty_value=None,
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    overwrite = forms.BooleanField(
        label=_("Overwrite what was changed outside the panel, as shown above"),
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input", "required": True}),
    )
    reason = forms.CharField(
        label=_("Why (for the audit log)"),
        required=False,
        max_length=300,
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "form-control"}),
    )


class DriftForm(forms.Form):
    """The drift as it was on the page, and why it is decided on."""

    drift = forms.IntegerField(min_value=1, max_value=_LARGEST_KEY, widget=forms.HiddenInput)
    reason = forms.CharField(required=False, max_length=300)


class HostNameForm(forms.Form):
    """Under which name clients connect to the mail server that is to be adopted."""

    host_name = forms.CharField(
        label=_("Name that clients connect to"),
        max_length=253,
        help_text=_("For example mail.example.org. It is what the certificate is checked against."),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )


class AcceptForm(forms.Form):
    """The reading as it was shown, and whether the keys come along."""

    reading = forms.IntegerField(min_value=1, max_value=_LARGEST_KEY, widget=forms.HiddenInput)
    takes_keys = forms.BooleanField(required=False)
