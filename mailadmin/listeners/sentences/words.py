"""Names of services, TLS modes and effects, and one line of advice per service."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from mailadmin.mailconf.plan import SERVER, Effect
from mailadmin.mailconf.services import SERVICES, TlsMode
from mailadmin.mailconf.state import ANY_ADDRESS
from mailadmin.pki.names import both_forms

SERVICE_WORDS: dict[str, Promise] = {
    "smtp": _("Server to server"),
    "submissions": _("Submission with TLS"),
    "submission": _("Submission"),
    "imap": _("IMAP"),
    "imaps": _("IMAP with TLS"),
    "pop3": _("POP3"),
    "pop3s": _("POP3 with TLS"),
    "sieve": _("ManageSieve"),
}

EFFECT_WORDS: dict[str, Promise] = {
    Effect.OPENS: _("Opens"),
    Effect.CLOSES: _("Closes"),
    Effect.CERTIFICATE: _("Serves another certificate"),
    Effect.STRICTER: _("Stricter"),
    Effect.LOOSER: _("Looser"),
    Effect.OTHER: _("Also changes"),
}

_TLS_MODES: dict[str, Promise] = {
    TlsMode.IMPLICIT: _("TLS from the first byte"),
    TlsMode.STARTTLS: _("STARTTLS required"),
    TlsMode.NONE: _("TLS not required"),
}
# Port 25 is special: it may offer TLS, and must never require it (RFC 3207, section 4).
_SMTP_TLS_MODES: dict[str, Promise] = {
    TlsMode.STARTTLS: _("STARTTLS offered"),
    TlsMode.NONE: _("No TLS"),
}

_TLS_MODE_HELP: dict[str, Promise] = {
    TlsMode.IMPLICIT: _("The connection is encrypted before anything is said."),
    TlsMode.STARTTLS: _("The connection starts in clear and is encrypted before the login."),
    TlsMode.NONE: _("Passwords may travel in clear: anyone on the way can read them."),
}
_SMTP_TLS_MODE_HELP: dict[str, Promise] = {
    TlsMode.STARTTLS: _("Other mail servers encrypt if they can, and deliver in clear if not."),
    TlsMode.NONE: _("Mail from other servers travels in clear: anyone on the way can read it."),
}

_ADVICE_WHEN_OPEN: dict[str, Promise] = {
    "smtp": _("Other mail servers deliver here. Keep it open to receive mail."),
    "submissions": _("How mail programs should send (RFC 8314)."),
    "submission": _("Most mail programs now use 465; 587 can stay for old ones."),
    "imap": _("Mail programs should use 993; 143 can be closed when nobody uses it."),
    "imaps": _("How mail programs should read mail (RFC 8314)."),
    "pop3": _("Rarely needed: 995 does the same with TLS. Close it when nobody uses it."),
    "pop3s": _("Only for programs that fetch mail and take it off the server."),
    "sieve": _("Lets people edit their mail filters from their mail program."),
}
_ADVICE_WHEN_CLOSED: dict[str, Promise] = {
    "smtp": _("Closed, no mail from other servers arrives."),
    "submissions": _("Open it: mail programs set up today try 465 first."),
    "submission": _("Closed is fine when 465 is open and no old program needs it."),
    "imap": _("Closed is fine when 993 is open."),
    "imaps": _("Open it: mail programs set up today try 993 first."),
    "pop3": _("Closed is right for nearly everybody."),
    "pop3s": _("Closed is fine when everybody reads mail by IMAP."),
    "sieve": _("Closed is fine when nobody edits filters from a mail program."),
}


def service_words(name: str) -> str:
    """Return a service in words; the name itself if it is not in the registry."""
    return str(SERVICE_WORDS.get(name, name))


def subject_words(subject: str) -> str:
    """Return what a change or problem is about: a service, the server, or a name in both forms."""
    if subject == SERVER:
        return _now("the server")
    return service_words(subject) if subject in SERVICES else both_forms(subject)


def tls_mode_words(mode: str, service: str = "") -> str:
    """Return a TLS mode in words, as it is meant on this service."""
    words = _TLS_MODES | _SMTP_TLS_MODES if service == "smtp" else _TLS_MODES
    return str(words.get(mode, mode))


def tls_mode_help(mode: str, service: str = "") -> str:
    """Return what a TLS mode means for the people who connect."""
    words = _TLS_MODE_HELP | _SMTP_TLS_MODE_HELP if service == "smtp" else _TLS_MODE_HELP
    return str(words.get(mode, ""))


def effect_words(effect: str) -> str:
    """Return what a group of changes does, as a heading."""
    return str(EFFECT_WORDS.get(effect, EFFECT_WORDS[Effect.OTHER]))


def login_words(service: str, *, is_required: bool) -> str:
    """Return whether people log in on this service."""
    if is_required:
        return _now("required")
    return _now("none") if service == "smtp" else _now("not required")


def advise(service: str, *, is_enabled: bool) -> str:
    """Return one line of advice about the service as it is now."""
    advice = _ADVICE_WHEN_OPEN if is_enabled else _ADVICE_WHEN_CLOSED
    return str(advice.get(service, ""))


def address_words(address: str, port: int | str) -> str:
    """Return address and port as people write them, IPv6 in brackets."""
    if address == ANY_ADDRESS:
        return f"*:{port}"
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def key_words(algorithm: str) -> str:
    """Return a kind of key as people write it: RSA, ECDSA."""
    return algorithm.upper() or str(_("an unknown kind of key"))
