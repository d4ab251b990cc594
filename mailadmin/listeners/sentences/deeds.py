"""One sentence without tense for every change of a deployment that has ended.

The sentences of :mod:`.changes` tell what will be; in a history they would promise what is long
done, or was taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import ANY_ADDRESS

_Params = Mapping[str, Any]
_Choose = Callable[[str, _Params], Promise]


def _choose_default_certificate(_subject: str, params: _Params) -> Promise:
    if not params["after_fingerprint"]:
        return _("No certificate for ports without one of their own, instead of %(before)s.")
    if not params["before_fingerprint"]:
        return _("Serve %(after)s on ports without a certificate of their own.")
    return _("Serve %(after)s instead of %(before)s on ports without a certificate of their own.")


def _choose_opened(_subject: str, params: _Params) -> Promise:
    if params["address"] == ANY_ADDRESS:
        return _("Open %(who)s (%(port)s).")
    return _("Open %(who)s (%(port)s) on %(address)s.")


def _choose_tls_mode(subject: str, params: _Params) -> Promise:
    is_smtp, after = subject == "smtp", params["after"]
    if after == TlsMode.NONE:
        return _("%(who)s: no STARTTLS any more.") if is_smtp else _("%(who)s: TLS not required.")
    if after == TlsMode.STARTTLS:
        return _("%(who)s: offer STARTTLS.") if is_smtp else _("%(who)s: require STARTTLS.")
    return _("%(who)s: encrypt from the first byte.")


def _choose_certificate(_subject: str, params: _Params) -> Promise:
    if params["is_default"]:
        if not params["after_fingerprint"]:
            return _("%(who)s: no certificate of its own, and no default one.")
        return _("%(who)s: serve the default certificate (%(after)s).")
    if not params["before_fingerprint"]:
        return _("%(who)s: serve %(after)s.")
    if params["before_fingerprint"] == params["after_fingerprint"]:
        return _("%(who)s: keep serving %(label)s, whatever becomes the default.")
    return _("%(who)s: serve %(after)s instead of %(before)s.")


def _choose_chain(_subject: str, params: _Params) -> Promise:
    if params["has_chain"]:
        return _("Send other intermediate certificates with %(label)s.")
    return _("Send no intermediate certificates with %(label)s any more.")


DEEDS: dict[str, Promise | _Choose] = {
    "host_name.changed": _("Call the server %(after)s instead of %(before)s."),
    "tls_profile.changed": _("Encrypt connections with %(after)s instead of %(before)s."),
    "default_certificate.changed": _choose_default_certificate,
    "dovecot.split": _("Serve Dovecot’s ports from an instance of their own."),
    "dovecot.joined": _("Serve Dovecot’s ports from its main instance again."),
    "listener.opened": _choose_opened,
    "listener.closed": _("Close %(who)s (%(port)s)."),
    "listener.moved": _("Move %(who)s from %(old)s to %(new)s."),
    "listener.tls_mode_changed": _choose_tls_mode,
    "listener.login_dropped": _("%(who)s: take mail without a login."),
    "listener.login_required": _("%(who)s: ask for a login."),
    "listener.certificate_changed": _choose_certificate,
    "certificate.chain_changed": _choose_chain,
    "pair.made": _("Serve %(after)s beside %(label)s, to clients that want %(key_words)s."),
    "pair.changed": _("Serve %(after)s instead of %(before)s beside %(label)s."),
    "pair.gone": _("Serve no more %(before)s, which stood beside %(label)s."),
    "pair.dissolved": _("Serve %(label)s without %(before)s beside it."),
    "sni.bound": _("Show %(after)s to clients that ask for %(name)s."),
    "sni.unbound": _(
        "Show clients that ask for %(name)s what all others are shown, instead of %(before)s."
    ),
    "sni.changed": _("Show %(after)s instead of %(before)s to clients that ask for %(name)s."),
}
