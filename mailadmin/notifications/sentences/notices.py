"""Each notice in words: one line, what stands, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from mailadmin.accounts.relative_time import exact_words, relative_words
from mailadmin.acme.sentences import say as say_acme
from mailadmin.deployments.sentences import say_problem as say_deployment_problem
from mailadmin.listeners.sentences import service_words
from mailadmin.notifications.models import Notice
from mailadmin.pki.names import both_forms
from mailadmin.pki.problems import Problem

_DAY = 86400

# %(when)s is "in 10 days" or "2 days ago".
TITLES: dict[str, Promise] = {
    "certificate.renewal_due": _("%(label)s: time to renew, the certificate expires %(when)s"),
    "certificate.ten_days": _("%(label)s: the certificate expires %(when)s"),
    "certificate.three_days": _("%(label)s: the certificate expires %(when)s"),
    "certificate.expired": _("%(label)s: the certificate has expired"),
    "certificate.not_renewed": _("%(label)s: the certificate was not renewed in time"),
    "certificate.not_deployed": _("%(label)s: renewed, but the old certificate is still in use"),
    "certificate.spare_ends": _("%(label)s: a certificate nobody uses expires %(when)s"),
    "port.not_as_wanted": _("%(host_name)s: port %(port)s (%(service)s) is not as wanted"),
    "deployment.taken_back": _("%(host_name)s: deployment #%(number)s was taken back"),
    "deployment.failed": _("%(host_name)s: deployment #%(number)s failed"),
    "acme.renewal_failing": _("%(label)s: %(authority)s issues no new certificate"),
    "server.drift": _("%(host_name)s: files were changed outside the panel"),
}
SENTENCES: dict[str, Promise] = {
    "certificate.renewal_due": _(
        "The certificate %(label)s expires %(when)s, at %(not_after)s. By now a newer one should "
        "be here."
    ),
    "certificate.ten_days": _(
        "The certificate %(label)s expires %(when)s, at %(not_after)s. From then on mail programs "
        "refuse to connect."
    ),
    "certificate.three_days": _(
        "The certificate %(label)s expires %(when)s, at %(not_after)s. From then on mail programs "
        "refuse to connect."
    ),
    "certificate.expired": _(
        "The certificate %(label)s expired at %(not_after)s. Mail programs refuse to connect where "
        "it is served."
    ),
    "certificate.not_renewed": _(
        "The certificate %(label)s should have been renewed by now, and no newer one with its "
        "names is here. It expires %(when)s, at %(not_after)s. If a program renews it, that "
        "program has failed."
    ),
    "certificate.not_deployed": _(
        "A newer certificate with the names of %(label)s is here: %(heir)s, good until "
        "%(heir_not_after)s. The old one is still in use; it expires %(when)s, at %(not_after)s."
    ),
    "certificate.spare_ends": _(
        "The certificate %(label)s expires at %(not_after)s. No port serves it, so no mail is lost."
    ),
    "port.not_as_wanted": _(
        "Port %(port)s (%(service)s) of %(host_name)s showed something else than wanted in the "
        "last checks, one after the other. %(problem)s"
    ),
    "deployment.taken_back": _(
        "Deployment #%(number)s on %(host_name)s was taken back: %(failure)s Mail runs as before, "
        "and that is proven."
    ),
    "deployment.failed": _(
        "Deployment #%(number)s on %(host_name)s failed: %(failure)s It is not proven that mail "
        "runs as before."
    ),
    "acme.renewal_failing": _(
        "%(failures)s attempts in a row to get a certificate for %(label)s from %(authority)s "
        "failed. %(reason)s"
    ),
    "server.drift": _(
        "On %(host_name)s something is not as it was applied, because somebody or a program "
        "changed it there: %(files)s."
    ),
}
_FAILED_ONCE = _(
    "The attempt to get a certificate for %(label)s from %(authority)s failed. %(reason)s"
)
_LATE = ("certificate.ten_days", "certificate.three_days", "certificate.expired")
_SERVED = _("It is in use on %(host_name)s: %(places)s.")
_DEFAULT = _("It is the default certificate of %(host_name)s.")
_WAYS: dict[str, Promise] = {
    "renew": _(
        "What to do: bring a newer certificate (Certificates, Add), choose it for the same ports, "
        "then review and apply."
    ),
    "choose": _(
        "What to do: choose the newer certificate %(heir)s for the same ports, then review and "
        "apply."
    ),
    "apply": _("What to do: another certificate is chosen already. Review and apply."),
}
_ADVICE: dict[str, Promise] = {
    "certificate.spare_ends": _("What to do: delete it if nobody needs it, or renew it."),
    "port.not_as_wanted": _(
        "What to do: look at the overview; it says what to do about this port."
    ),
    "deployment.taken_back": _(
        "What to do: read on its page what stood in the way. The changes are still pending."
    ),
    "deployment.failed": _(
        "What to do: look at the overview now, and check that Postfix and Dovecot run."
    ),
    "acme.renewal_failing": _(
        "What to do: read on the page of the renewal what the authority found at each name, mend "
        "that, and order again there."
    ),
    "server.drift": _(
        "What to do: read the difference (Overview, Drift) and take it over, restore what was "
        "applied, or leave it."
    ),
}


def say_title(notice: Notice, now: datetime) -> str:
    """Return the notice in one line."""
    return str(TITLES[notice.code]) % _words(notice, now)


def say_what(notice: Notice, now: datetime) -> str:
    """Return what stands: what happened, and where it matters."""
    words = _words(notice, now)
    is_first = words.get("failures") == 1
    said = [str(_FAILED_ONCE if is_first else SENTENCES[notice.code]) % words]
    if notice.code == "acme.renewal_failing":
        said += _say_what_stands(words)
    if notice.code in _LATE and notice.params.get("way") == "renew":
        said.append(_now("No newer one with its names is here."))
    if notice.is_about_certificate and "host_name" in notice.params:
        where = _SERVED if notice.params.get("places") else _DEFAULT
        said.append(str(where) % words)
    return " ".join(said)


def say_advice(notice: Notice) -> str:
    """Return what to do about it; nothing when it is over."""
    if not notice.is_open:
        return ""
    sentence = _ADVICE.get(notice.code) or _WAYS[notice.params.get("way", "renew")]
    return str(sentence) % {"heir": "", **notice.params}


def say_over(notice: Notice) -> str:
    """Return since when it is over, for what is read or sent late."""
    if notice.closed_at is None:
        return ""
    return _now("This is over since %(moment)s.") % {"moment": exact_words(notice.closed_at)}


def _words(notice: Notice, now: datetime) -> dict[str, Any]:
    params = notice.params
    words: dict[str, Any] = dict(params)
    for name in ("not_after", "heir_not_after", "next_attempt_at"):
        if name in params:
            words[name] = exact_words(datetime.fromisoformat(params[name]))
    if "not_after" in params:
        words["when"] = _when(datetime.fromisoformat(params["not_after"]), now)
    if "host_name" in params:
        words["host_name"] = both_forms(params["host_name"])
    if "service" in params:
        words["service"] = service_words(params["service"])
    if notice.code == "acme.renewal_failing":
        problem = params.get("problem")
        words["reason"] = say_acme(Problem.from_dict(problem)) if problem else ""
        return words
    for name in ("problem", "failure"):
        if name in params:
            words[name] = _problem_words(params[name])
    return words


def _say_what_stands(words: Mapping[str, Any]) -> list[str]:
    """Return what is served meanwhile, and when the next attempt is."""
    said = []
    if "when" in words:
        old = _now("What is served stays until it expires %(when)s, at %(not_after)s.")
        said.append(old % words)
    if "next_attempt_at" in words:
        said.append(_now("The next attempt is at %(next_attempt_at)s.") % words)
    return said


def _problem_words(problem: Mapping[str, Any] | None) -> str:
    return say_deployment_problem(problem) if problem else _now("no reason was told.")


def _when(moment: datetime, now: datetime) -> str:
    """Return the distance in days to the nearest: minutes after "in 10 days" it is not 9."""
    days = round((moment - now).total_seconds() / _DAY)
    if days > 2:
        return _now("in %(n)d days") % {"n": days}
    return relative_words(moment, now)
