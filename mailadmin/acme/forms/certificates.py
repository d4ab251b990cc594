"""A certificate to be had by ACME: its names, from whom, how it is proven, how it is renewed."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from mailadmin.acme.models import AcmeAccount, AcmeCertificate, DnsAccess
from mailadmin.acme.sentences import say
from mailadmin.acme.terms import Terms
from mailadmin.certificates.forms.names import KeyKindField, NamesField
from mailadmin.issuance.challenges import allowed_challenges
from mailadmin.issuance.names import names_problems
from mailadmin.pki.names import display_name
from mailadmin.pki.problems import Severity

Challenge = AcmeCertificate.Challenge
HttpWay = AcmeCertificate.HttpWay
KeyChoice = AcmeCertificate.KeyChoice

_CHALLENGES = [
    (
        Challenge.HTTP_01,
        _("A page on port 80 (HTTP-01): the usual way; not for wildcards"),
    ),
    (
        Challenge.DNS_01,
        _("A record in the DNS (DNS-01): also for wildcards and for hosts without port 80"),
    ),
    (
        Challenge.DNS_PERSIST_01,
        _("One lasting record in the DNS (DNS-PERSIST-01): new, few authorities offer it yet"),
    ),
]
_HTTP_WAYS = [
    (
        HttpWay.AGENT,
        _("The mail server itself, with a small listener that runs only while it is asked"),
    ),
    (HttpWay.PANEL, _("This panel: a web server in front of it passes the requests on")),
    (HttpWay.WEB_ROOT, _("A web server on the mail host: a file in its folder")),
]
_KEY_CHOICES = [
    (KeyChoice.AUTO, _("Keep it while a TLSA record (DANE) names it, else draw a new one")),
    (KeyChoice.NEW, _("A new key with every renewal; TLSA records must be changed before")),
    (KeyChoice.KEEP, _("Always keep the key")),
]


class AcmeCertificateForm(forms.Form):
    """What is to be had. The fewest questions first; the rest has answers that suit most."""

    names = NamesField(
        label=_("Names"),
        help_text=_(
            "One per line: every name that mail programs and other servers connect to, such as "
            "mail.example.org and imap.example.org; up to 100. The first one is the main name."
        ),
    )
    account = forms.ModelChoiceField(
        label=_("Authority"), queryset=AcmeAccount.objects.none(), empty_label=None
    )
    challenge = forms.ChoiceField(
        label=_("How the authority sees that the names are yours"),
        choices=_CHALLENGES,
        initial=Challenge.HTTP_01,
        widget=forms.RadioSelect,
    )
    http_way = forms.ChoiceField(
        label=_("Who answers on port 80"),
        choices=_HTTP_WAYS,
        initial=HttpWay.AGENT,
        widget=forms.RadioSelect,
    )
    dns_access = forms.ModelChoiceField(
        label=_("Who writes the DNS record"),
        queryset=DnsAccess.objects.all(),
        required=False,
        empty_label=_("I do, by hand"),
    )
    key_kind = KeyKindField()
    key_choice = forms.ChoiceField(
        label=_("The key at renewal"),
        choices=_KEY_CHOICES,
        initial=KeyChoice.AUTO,
        widget=forms.RadioSelect,
    )
    profile = forms.CharField(
        label=_("Profile"),
        required=False,
        max_length=40,
        help_text=_("Empty: what the authority gives by itself."),
    )
    fallback_account = forms.ModelChoiceField(
        label=_("If that authority fails again and again"),
        queryset=AcmeAccount.objects.none(),
        required=False,
        empty_label=_("Keep trying there"),
    )
    is_renewed_automatically = forms.BooleanField(
        label=_("Renew it without anybody"), required=False, initial=True
    )
    is_deployed_automatically = forms.BooleanField(
        label=_("Put renewals in place without anybody"),
        required=False,
        initial=True,
        help_text=_(
            "By an ordinary deployment of this certificate alone: proven by handshake, and taken "
            "back if the proof fails. Other pending changes stay pending. The first certificate "
            "always waits for you."
        ),
    )

    def __init__(
        self,
        submitted: Any = None,
        *,
        row: AcmeCertificate | None = None,
        names: list[str] | None = None,
    ) -> None:
        initial: dict[str, Any] = {}
        if row is not None:
            initial = {name: getattr(row, name) for name in self.base_fields if name != "names"}
        shown = row.names if row is not None else names or []
        initial["names"] = "\n".join(display_name(name) for name in shown)
        super().__init__(submitted, initial=initial)
        accounts = AcmeAccount.objects.exclude(status=AcmeAccount.Status.DEACTIVATED)
        for name in ("account", "fallback_account"):
            self._account_field(name).queryset = accounts

    def _account_field(self, name: str) -> forms.ModelChoiceField[AcmeAccount]:
        return cast("forms.ModelChoiceField[AcmeAccount]", self.fields[name])

    def clean(self) -> dict[str, Any]:
        """Check what one field alone cannot know."""
        cleaned = super().clean() or self.cleaned_data
        names, challenge = cleaned.get("names"), cleaned.get("challenge")
        if names and challenge:
            self._check_names(names, challenge, str(cleaned.get("profile") or ""))
        if cleaned.get("account") and cleaned.get("account") == cleaned.get("fallback_account"):
            self.add_error("fallback_account", _("This is the same authority."))
        return cleaned

    def _check_names(self, names: list[str], challenge: str, profile: str) -> None:
        for problem in names_problems(names, profile=profile):
            if problem.severity is Severity.ERROR:
                self.add_error("names", say(problem))
        if challenge not in allowed_challenges(names):
            self.add_error(
                "challenge",
                _(
                    "Wildcards can be proven by a DNS record only, and IP addresses by a page on "
                    "port 80 only."
                ),
            )

    @property
    def terms(self) -> Terms:
        """Return the answers, once the form is valid."""
        answers = {name: value for name, value in self.cleaned_data.items() if name != "names"}
        return Terms(**answers | {"key_kind": str(answers["key_kind"])})
