"""One sentence for every change that :mod:`mailadmin.mailconf.plan` can find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailadmin.listeners.sentences.deeds import DEEDS
from mailadmin.listeners.sentences.words import address_words, key_words, service_words
from mailadmin.mailconf.plan import Change
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import ANY_ADDRESS
from mailadmin.pki.names import both_forms
from mailadmin.servers.sentences import profile_words

_Params = Mapping[str, Any]
_Choose = Callable[[str, _Params], Promise]
_SIDES = ("before", "after")
_SHORT = 8  # digits of a fingerprint that tell two certificates of one name apart


def say_change(change: Change | Mapping[str, Any]) -> str:
    """Return a change, or its JSON form as kept with a deployment, as a sentence: what will be."""
    return _say(change, CHANGES)


def say_deed(change: Change | Mapping[str, Any]) -> str:
    """Return a change of a deployment that has ended, without tense."""
    return _say(change, DEEDS)


def _say(change: Change | Mapping[str, Any], sentences: Mapping[str, Promise | _Choose]) -> str:
    stored = change.as_dict() if isinstance(change, Change) else change
    code, subject = str(stored["code"]), str(stored["subject"])
    params: Any = stored.get("params", {})
    sentence = sentences.get(code)
    if sentence is None:
        return f"{code} ({subject})"
    if not isinstance(sentence, Promise):
        sentence = sentence(subject, params)
    return str(sentence) % _words(code, subject, params)


def _choose_default_certificate(_subject: str, params: _Params) -> Promise:
    if not params["after_fingerprint"]:
        return _("Ports without a certificate of their own will have none (until now %(before)s).")
    if not params["before_fingerprint"]:
        return _("Ports without a certificate of their own will serve %(after)s.")
    return _("Ports without a certificate of their own will serve %(after)s instead of %(before)s.")


def _choose_opened(_subject: str, params: _Params) -> Promise:
    if params["address"] == ANY_ADDRESS:
        return _("%(who)s (%(port)s) will be opened.")
    return _("%(who)s (%(port)s) will be opened on %(address)s.")


def _choose_tls_mode(subject: str, params: _Params) -> Promise:
    is_smtp, after = subject == "smtp", params["after"]
    if after == TlsMode.NONE:
        if is_smtp:
            return _("%(who)s will no longer offer STARTTLS: mail travels in clear.")
        return _("%(who)s will no longer require TLS: passwords may travel in clear.")
    if after == TlsMode.STARTTLS:
        if is_smtp:
            return _("%(who)s will offer STARTTLS.")
        return _("%(who)s will require STARTTLS before the login.")
    return _("%(who)s will be encrypted from the first byte.")


def _choose_certificate(_subject: str, params: _Params) -> Promise:
    if params["is_default"]:
        if not params["after_fingerprint"]:
            return _("%(who)s will have no certificate of its own, and there is no default one.")
        return _("%(who)s will serve the default certificate (%(after)s).")
    if not params["before_fingerprint"]:
        return _("%(who)s will serve %(after)s.")
    if params["before_fingerprint"] == params["after_fingerprint"]:
        return _("%(who)s will keep serving %(label)s, whatever becomes the default.")
    return _("%(who)s will serve %(after)s instead of %(before)s.")


def _choose_chain(_subject: str, params: _Params) -> Promise:
    if params["has_chain"]:
        return _("%(label)s will be sent with other intermediate certificates than now.")
    return _("%(label)s will be sent without the intermediate certificates it has now.")


CHANGES: dict[str, Promise | _Choose] = {
    "host_name.changed": _("The server will be called %(after)s instead of %(before)s."),
    "tls_profile.changed": _("Encrypted connections will use %(after)s instead of %(before)s."),
    "default_certificate.changed": _choose_default_certificate,
    "dovecot.split": _("Dovecot’s ports will be served by an instance of their own."),
    "dovecot.joined": _("Dovecot’s ports will be served by its main instance again."),
    "listener.opened": _choose_opened,
    "listener.closed": _("%(who)s (%(port)s) will be closed."),
    "listener.moved": _("%(who)s will move from %(old)s to %(new)s."),
    "listener.tls_mode_changed": _choose_tls_mode,
    "listener.login_dropped": _("%(who)s will take mail without a login."),
    "listener.login_required": _("%(who)s will ask for a login."),
    "listener.certificate_changed": _choose_certificate,
    "certificate.chain_changed": _choose_chain,
    "pair.made": _(
        "Wherever %(label)s is served, %(after)s will be served beside it, to clients that want "
        "%(key_words)s."
    ),
    "pair.changed": _(
        "Beside %(label)s, clients that want %(key_words)s will be shown %(after)s instead of "
        "%(before)s."
    ),
    "pair.gone": _("%(before)s, which is served beside %(label)s now, will not be served either."),
    "pair.dissolved": _(
        "%(before)s will no longer be served beside %(label)s: clients that know only "
        "%(key_words)s will not connect."
    ),
    "sni.bound": _("Clients that ask for %(name)s will be shown %(after)s."),
    "sni.unbound": _(
        "Clients that ask for %(name)s will be shown what all others are shown, "
        "no longer %(before)s."
    ),
    "sni.changed": _(
        "Clients that ask for %(name)s will be shown %(after)s instead of %(before)s."
    ),
}


def _words(code: str, subject: str, params: _Params) -> dict[str, object]:
    words: dict[str, object] = {
        "who": service_words(subject),
        "name": both_forms(subject),
        **params,
    }
    if code == "listener.moved":
        words["old"] = address_words(params["old_address"], params["old_port"])
        words["new"] = address_words(params["address"], params["port"])
    elif code == "tls_profile.changed":
        words |= {side: profile_words(params[side]) for side in ("before", "after")}
    elif code == "host_name.changed":
        words |= {side: both_forms(params[side]) for side in ("before", "after")}
    elif code.startswith("pair."):
        words |= _pair(subject, params)
    elif "after_fingerprint" in params:
        words |= _certificates(params)
    return words


def _pair(subject: str, params: _Params) -> dict[str, str]:
    """Name all certificates with the start of their fingerprints: a pair has the same names."""
    named = {side: f"{_name(params, side)} ({_short(params, side)})" for side in _SIDES}
    label = f"{params['label'] or subject[: 2 * _SHORT]} ({subject[:_SHORT]})"
    return named | {"label": label, "key_words": key_words(str(params["key"]))}


def _short(params: _Params, side: str) -> str:
    return str(params[f"{side}_fingerprint"][:_SHORT])


def _certificates(params: _Params) -> dict[str, str]:
    """Name both certificates, with the start of their fingerprints where the names are equal."""
    before, after = _name(params, "before"), _name(params, "after")
    named = {"before": before, "after": after, "label": after}
    if before == after:
        named |= {side: f"{named[side]} ({_short(params, side)})" for side in _SIDES}
    return named


def _name(params: _Params, side: str) -> str:
    """A certificate is known by its label; one that the state did not carry, by its fingerprint."""
    return str(params[side] or params[f"{side}_fingerprint"][: 2 * _SHORT])
