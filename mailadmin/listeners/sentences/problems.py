"""One sentence for every problem of :mod:`mailadmin.mailconf.rules` and of our own services."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailadmin.accounts.relative_time import exact_words
from mailadmin.listeners.sentences.words import (
    address_words,
    key_words,
    service_words,
    subject_words,
)
from mailadmin.mailconf.services import SERVICES
from mailadmin.pki.names import both_forms
from mailadmin.pki.problems import Problem
from mailadmin.servers.sentences import SERVER_PROBLEMS
from mailadmin.servers.sentences import say_problem as say_server_problem

# %(who)s is what the problem is about in words; the rest are its parameters.
PROBLEMS: dict[str, Promise] = {
    **SERVER_PROBLEMS,
    # mailconf.rules: errors
    "listener.duplicate_port": _(
        "%(who)s and %(other_words)s would both listen on %(place)s. Give one of them another "
        "port or address, or switch it off."
    ),
    "listener.port_invalid": _(
        "Port %(port)s does not exist. Use a number from 1 to 65535; the usual one is "
        "%(usual_port)s."
    ),
    "listener.address_invalid": _(
        "“%(address)s” is not an IP address. Write * to listen on every address of the machine."
    ),
    "listener.tls_mode_impossible": _("%(who)s cannot work this way. %(reason)s"),
    "smtp.login_required": _(
        "Port %(port)s would ask other mail servers for a login, and they have none: no mail "
        "would arrive. Do not require a login here."
    ),
    "submission.without_login": _(
        "Anybody could send mail through port %(port)s without logging in, and spammers find such "
        "a port within hours. Require a login."
    ),
    "submission.without_tls": _(
        "Port %(port)s would take passwords in clear: anyone on the way can read them. "
        "Require STARTTLS."
    ),
    "certificate.none_assigned": _(
        "Port %(port)s is encrypted but has no certificate. Choose one for it, or a default one "
        "for all ports."
    ),
    "succession.none": _(
        "It is not known which certificate this one replaces, so there is no place to take. Say "
        "on its page what it replaces, or choose below what to use it for."
    ),
    "certificate.unknown": _(
        "The certificate %(fingerprint)s is not here any more. Choose another one."
    ),
    "certificate.expired": _(
        "The certificate %(label)s expired on %(not_after_words)s: mail programs would refuse to "
        "connect. Choose another one."
    ),
    "certificate.not_yet_valid": _(
        "The certificate %(label)s is not valid before %(not_before_words)s: mail programs would "
        "refuse to connect until then."
    ),
    "certificate.shared_by_protocol": _(
        "%(who)s and %(other_words)s must serve the same certificate: Dovecot chooses it by "
        "protocol, not by port. To show different ones, use host names."
    ),
    "certificate.own_with_sni": _(
        "%(who)s cannot have a certificate of its own while host names have theirs: Dovecot "
        "refuses both at once. Let it use the default one, or remove the host names."
    ),
    "pair.same_algorithm": _(
        "%(label)s and %(companion)s cannot be served side by side: one must have an RSA key and "
        "the other an ECDSA key, and these have %(key_words)s and %(companion_key_words)s. "
        "Separate them on the page of the certificate."
    ),
    "pair.one_sided": _(
        "%(companion)s should be served beside %(label)s, but is itself meant to stand beside "
        "another. Separate them on the page of the certificate and choose again."
    ),
    "sni.name_invalid": _(
        "“%(subject)s” is not a host name that can be bound: write it in full, without wildcards."
    ),
    # mailconf.rules: warnings
    "smtp.without_tls": _(
        "Port %(port)s does not offer STARTTLS: mail from other servers travels in clear, and some "
        "servers refuse to deliver."
    ),
    "login.in_clear": _(
        "Port %(port)s (%(who)s) will take passwords in clear: anyone on the way can read them."
    ),
    "certificate.name_not_covered": _(
        "The certificate %(label)s does not cover %(host_name_words)s, the name of this server: "
        "mail programs that connect to it will warn or refuse."
    ),
    "sni.name_not_covered": _(
        "The certificate %(label)s does not cover %(who)s: mail programs that ask for this name "
        "will warn or refuse."
    ),
    "imap.none_left": _("No IMAP port would be open: nobody could read mail with a mail program."),
    "submission.none_left": _(
        "Neither 465 nor 587 would be open: nobody could send mail with a mail program."
    ),
    "smtp.closed": _("Port 25 would be closed: no mail from other servers would arrive."),
    # our own services
    "listener.unknown": _("There is no service called “%(subject)s” here. Known: %(services)s."),
    "login.always_required": _("%(who)s has no use without a login, so it always requires one."),
    "undo.nothing_applied": _("Nothing has been applied yet, so there is nothing to go back to."),
}

_WHY_IMPOSSIBLE: dict[str, Promise] = {
    "smtp": _(
        "Port 25 must not require TLS (RFC 3207): other servers that cannot encrypt still have "
        "to deliver."
    ),
    "implicit": _("This port is encrypted from the first byte and knows nothing else (RFC 8314)."),
    "upgrade": _("This port starts in clear and is upgraded by STARTTLS."),
}


def say_problem(problem: Problem | Mapping[str, Any]) -> str:
    """Return a problem, or its JSON form, as a sentence.

    A code that has no sentence here is asked of the apps below.
    """
    told = problem if isinstance(problem, Problem) else Problem.from_dict(problem)
    sentence = PROBLEMS.get(told.code)
    if sentence is None:
        return say_server_problem(told)
    return str(sentence) % _words(told)


def _words(problem: Problem) -> dict[str, object]:
    params = dict(problem.params)
    words: dict[str, object] = {
        "who": subject_words(problem.subject),
        "subject": problem.subject,
        "fingerprint": problem.subject[:16],
        "services": ", ".join(SERVICES),
        "reason": _say_why_impossible(problem.subject),
        **params,
    }
    if problem.subject in SERVICES:
        words["usual_port"] = SERVICES[problem.subject].port
    if "other" in params:
        words["other_words"] = service_words(str(params["other"]))
    if "address" in params and "port" in params:
        words["place"] = address_words(str(params["address"]), str(params["port"]))
    if "host_name" in params:
        words["host_name_words"] = both_forms(str(params["host_name"]))
    for name in ("key", "companion_key"):
        if name in params:
            words[f"{name}_words"] = key_words(str(params[name]))
    for name in ("not_after", "not_before"):
        if name in params:
            words[f"{name}_words"] = exact_words(datetime.fromisoformat(str(params[name])))
    return words


def _say_why_impossible(service: str) -> str:
    if service not in SERVICES:
        return ""
    if service == "smtp":
        return str(_WHY_IMPOSSIBLE["smtp"])
    is_implicit = SERVICES[service].usual_tls_mode == "implicit"
    return str(_WHY_IMPOSSIBLE["implicit" if is_implicit else "upgrade"])
