"""A certificate to be had by ACME: its names, from whom, how it is proven, how it is renewed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from mailadmin.acme.models import AcmeAccount, AcmeCertificate, DnsAccess
from mailadmin.acme.sentences import say, say_code
from mailadmin.acme.sentences.words import say_profile
from mailadmin.acme.terms import Terms
from mailadmin.certificates.forms.names import KeyKindField, NamesField
from mailadmin.issuance.challenges import TLS_ALPN_NOT_OFFERED, allowed_challenges
from mailadmin.issuance.directories import KNOWN_AUTHORITIES, KnownAuthority, find_known
from mailadmin.issuance.names import names_problems
from mailadmin.issuance.profiles import profile_problems
from mailadmin.pki.names import display_name
from mailadmin.pki.problems import Severity

Challenge = AcmeCertificate.Challenge
HttpWay = AcmeCertificate.HttpWay
KeyChoice = AcmeCertificate.KeyChoice

# Before the key of an authority at which there is no account yet; the style sheet knows it, too.
_OPEN = "open-"

_CHALLENGES = [
    (
        Challenge.HTTP_01,
        _("A page on port 80 (HTTP-01): the usual way; not for wildcards such as *.example.org"),
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
    (
        KeyChoice.AUTO,
        _("A new key each time, unless a TLSA record (DANE) names the one in use: then it stays"),
    ),
    (
        KeyChoice.NEW,
        _(
            "A new key each time, whatever the DNS says: with TLSA records, other servers refuse "
            "to deliver until the records name the new key"
        ),
    ),
    (
        KeyChoice.KEEP,
        _("Always the same key: TLSA records stay right, but a key that leaked stays in use"),
    ),
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
    account = forms.ChoiceField(label=_("Authority"), widget=forms.RadioSelect)
    contact = forms.EmailField(
        label=_("Mail address for the authority"),
        required=False,
        max_length=254,
        help_text=_("Empty: none is told. Warnings come from this panel anyway."),
    )
    agrees = forms.BooleanField(label=_("I agree to its terms of service"), required=False)
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
        empty_label=_("I do, by hand: the record is shown, and again at each renewal"),
    )
    key_kind = KeyKindField()
    key_choice = forms.ChoiceField(
        label=_("The key at renewal"),
        choices=_KEY_CHOICES,
        initial=KeyChoice.AUTO,
        widget=forms.RadioSelect,
    )
    profile = forms.ChoiceField(
        label=_("What kind of certificate (profile)"), required=False, widget=forms.RadioSelect
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
        self._accounts = {
            str(account.pk): account
            for account in AcmeAccount.objects.exclude(status=AcmeAccount.Status.DEACTIVATED)
        }
        self._openable = {} if row is not None else _openable(self._accounts.values())
        super().__init__(submitted, initial=self._initial(row, names or []))
        self._offer_choices(row)

    def _initial(self, row: AcmeCertificate | None, names: list[str]) -> dict[str, Any]:
        if row is None:
            shown = "\n".join(map(display_name, names))
            return {"names": shown, "account": next(iter(self._accounts or self._openable), "")}
        asked = set(self.base_fields) - {"names", "account", "contact", "agrees"}
        initial = {name: getattr(row, name) for name in asked}
        shown = "\n".join(map(display_name, row.names))
        return initial | {"names": shown, "account": str(row.account_id)}

    def _offer_choices(self, row: AcmeCertificate | None) -> None:
        opened = [(key, account.title) for key, account in self._accounts.items()]
        fresh = [(key, _offer_words(known)) for key, known in self._openable.items()]
        self._choices("account", [*opened, *fresh])
        self._profiles = _profile_choices(self._accounts.values(), row)
        self._choices("profile", self._profiles)
        self.fields["challenge"].help_text = say(TLS_ALPN_NOT_OFFERED)
        fallback = self.fields["fallback_account"]
        if isinstance(fallback, forms.ModelChoiceField):
            fallback.queryset = AcmeAccount.objects.filter(
                pk__in=[account.pk for account in self._accounts.values()]
            )

    def _choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField):
            field.choices = choices

    @property
    def opens_accounts(self) -> bool:
        """Tell whether an account can be opened on the way."""
        return bool(self._openable)

    @property
    def has_profiles(self) -> bool:
        """Tell whether there is anything to choose from."""
        return len(self._profiles) > 1

    @property
    def is_folded(self) -> bool:
        """Tell whether nothing of what is folded away needs to be looked at."""
        open_fields = {"names", "account", "contact", "agrees", "__all__"}
        return set(self.errors) <= open_fields if self.is_bound else True

    @property
    def authority_to_open(self) -> KnownAuthority | None:
        """Return the authority at which an account is to be opened; ``None`` if there is one."""
        return self._openable.get(self.cleaned_data.get("account", ""))

    def clean(self) -> dict[str, Any]:
        """Check what one field alone cannot know."""
        cleaned = super().clean() or self.cleaned_data
        account = self._accounts.get(cleaned.get("account", ""))
        profile = str(cleaned.get("profile") or "")
        names, challenge = cleaned.get("names"), cleaned.get("challenge")
        if names and challenge:
            self._check_names(names, challenge, profile)
        if account is not None and account == cleaned.get("fallback_account"):
            self.add_error("fallback_account", _("This is the same authority."))
        if self.authority_to_open is not None and not cleaned.get("agrees"):
            self.add_error("agrees", _("Without that, no authority opens an account."))
        offered = account.about.get("profiles") or () if account else ()
        for problem in profile_problems(profile, offered):
            self.add_error("profile", say(problem))
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
                    "port 80 only. Choose the other way, or order such names apart."
                ),
            )

    def terms(self, opened: AcmeAccount | None = None) -> Terms:
        """Return the answers of a valid form; ``opened`` is the account opened on the way."""
        left_out = {"names", "contact", "agrees"}
        answers = {key: value for key, value in self.cleaned_data.items() if key not in left_out}
        account = opened or self._accounts[answers["account"]]
        return Terms(**answers | {"account": account, "key_kind": str(answers["key_kind"])})


def _openable(accounts: Iterable[AcmeAccount]) -> dict[str, KnownAuthority]:
    """Return the authorities that open an account without being asked for anything before."""
    known = {find_known(account.directory_url) for account in accounts}
    return {
        f"{_OPEN}{authority.key}": authority
        for authority in KNOWN_AUTHORITIES
        if not authority.needs_eab and authority not in known
    }


def _offer_words(known: KnownAuthority) -> str:
    said = _now("%(title)s (an account is opened on the way). %(note)s")
    return said % {"title": known.title, "note": say_code(known.note)}


def _profile_choices(
    accounts: Iterable[AcmeAccount], row: AcmeCertificate | None
) -> list[tuple[str, str]]:
    """Return every profile that an authority offers, with what it means and who offers it."""
    offered: dict[str, tuple[str, list[str]]] = {}
    for account in accounts:
        for name, description in (account.about.get("profiles") or {}).items():
            offered.setdefault(name, (str(description), []))[1].append(account.title)
    if row is not None and row.profile:
        offered.setdefault(row.profile, ("", []))
    choices = [("", say_profile(""))]
    for name, (description, titles) in sorted(offered.items()):
        by = f" ({', '.join(titles)})" if titles else ""
        choices.append((name, f"{name}{by}: {say_profile(name, description)}"))
    return choices
