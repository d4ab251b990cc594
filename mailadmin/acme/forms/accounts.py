"""An account at an authority: which one, its terms, and what it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.utils.translation import gettext_lazy as _

from mailadmin.issuance.directories import KNOWN_AUTHORITIES
from mailadmin.pki.certificate import CertificateProblem
from mailadmin.pki.offered import read_certificates

OTHER = "other"
_LONGEST_BUNDLE = 64 * 1024  # characters


def _choices() -> Iterator[tuple[str, Any]]:
    for known in KNOWN_AUTHORITIES:
        yield known.key, known.title
    yield OTHER, _("Another one, by the address of its directory")


class AccountForm(forms.Form):
    """A new account. Nothing is sent before the terms are agreed to."""

    authority = forms.ChoiceField(label=_("Authority"), choices=_choices)
    directory_url = forms.CharField(
        label=_("Address of its directory"),
        required=False,
        max_length=500,
        help_text=_("Such as https://ca.example.org/acme/directory"),
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    staging_url = forms.CharField(
        label=_("Address of its directory for rehearsals"),
        required=False,
        max_length=500,
        help_text=_("Empty if it has none."),
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    title = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=80,
        help_text=_("How it is called here. Empty: the name of the authority."),
    )
    contact = forms.EmailField(
        label=_("Mail address"),
        required=False,
        max_length=254,
        help_text=_("Where the authority writes to. Some need one, some take none any more."),
    )
    eab_key_id = forms.CharField(
        label=_("Key identifier (EAB)"), required=False, max_length=200, strip=True
    )
    eab_secret = forms.CharField(
        label=_("HMAC key (EAB)"),
        required=False,
        max_length=500,
        help_text=_("From your customer account at the authority. It is never shown again."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    ca_bundle = forms.CharField(
        label=_("Its own roots"),
        required=False,
        max_length=_LONGEST_BUNDLE,
        help_text=_(
            "PEM; only for an authority in your own network whose web page shows a certificate "
            "that no public root signed."
        ),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    agrees = forms.BooleanField(
        label=_("I agree to the authority’s terms of service"),
        error_messages={"required": _("Without that, no authority opens an account.")},
    )

    def clean_ca_bundle(self) -> str:
        """Take certificates only."""
        text: str = self.cleaned_data["ca_bundle"].strip()
        if not text:
            return ""
        try:
            found = read_certificates(text.encode())
        except CertificateProblem:
            found = []
        if not found:
            raise forms.ValidationError(_("There is no certificate (PEM) in this text."))
        return "".join(facts.pem for facts in found)

    def clean(self) -> dict[str, Any]:
        """Fill in what is known of a well-known authority."""
        cleaned = super().clean() or self.cleaned_data
        known = next((ca for ca in KNOWN_AUTHORITIES if ca.key == cleaned.get("authority")), None)
        if known is not None:
            cleaned["directory_url"], cleaned["staging_url"] = (
                known.directory_url,
                known.staging_url,
            )
            cleaned["title"] = cleaned.get("title") or known.title
        for name in ("directory_url", "staging_url"):
            self._check_url(name, cleaned.get(name) or "", is_needed=name == "directory_url")
        if not cleaned.get("title"):
            cleaned["title"] = urlsplit(cleaned.get("directory_url") or "").hostname or ""
        if bool(cleaned.get("eab_key_id")) != bool(cleaned.get("eab_secret")):
            self.add_error("eab_secret", _("The key identifier and the HMAC key go together."))
        if known is not None and known.needs_eab and not cleaned.get("eab_key_id"):
            self.add_error("eab_key_id", _("This authority opens no account without it."))
        return cleaned

    def _check_url(self, name: str, url: str, *, is_needed: bool) -> None:
        if not url:
            if is_needed and self.cleaned_data.get("authority") == OTHER:
                self.add_error(name, _("Which directory is it?"))
            return
        try:
            parts = urlsplit(url)
            is_good = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_good = False
        if not is_good or not url.isascii() or not url.isprintable() or " " in url:
            self.add_error(name, _("This is no address of a directory: it begins with https://"))


class ContactForm(forms.Form):
    """Where the authority writes to."""

    contact = forms.EmailField(label=_("Mail address"), required=False, max_length=254)
