"""Everything about orders at authorities in words, for pages, command line, JSON and e-mail alike.

What happened, what stands now, what to do; the authority's own words come last. Codes of the layers
below are passed on to their own catalogues.
"""

from __future__ import annotations

from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from mailadmin.accounts.relative_time import exact_words
from mailadmin.acme.sentences import authority, choices, client, dns, orders, preflight
from mailadmin.deployments.sentences import say_problem
from mailadmin.pki.names import both_forms
from mailadmin.pki.problems import Param, Problem

SENTENCES: dict[str, Promise] = {
    **authority.SENTENCES,
    **choices.SENTENCES,
    **dns.PROBLEMS,
    **preflight.SENTENCES,
    **orders.SENTENCES,
    **client.PROBLEMS,
}

_MOMENTS = frozenset({"retry_at", "free_at"})
_NAMES = frozenset({"at", "record", "target", "wildcard"})


def say(problem: Problem) -> str:
    """Return the problem in whole sentences; its code if it has none in any catalogue."""
    sentence = SENTENCES.get(problem.code)
    if sentence is None:
        return say_problem(problem)
    try:
        said = str(sentence % _words(problem))
    except (KeyError, ValueError, TypeError):
        # A row of another version may lack a parameter; the code still tells which problem it is.
        return problem.code
    words = str(problem.params.get("words", ""))
    return said + _(" The authority’s own words: “%(words)s”") % {"words": words} if words else said


def say_code(code: str) -> str:
    """Return what a code without parameters means, such as the note about an authority."""
    return say(Problem(code))


def _words(problem: Problem) -> dict[str, object]:
    params = problem.params
    who = both_forms(problem.subject) if problem.subject else _("this name")
    words: dict[str, object] = {"who": who, "subject": problem.subject}
    words |= {name: _word(name, value) for name, value in params.items()}
    words["rcode_words"] = params.get("rcode") or _("nobody answered")
    words["detail_words"] = params.get("detail") or _("no details are known")
    words["allowed_words"] = params.get("allowed") or _("nobody")
    words["account_words"] = params.get("account_url") or _("register the account first")
    if "wanted" in params:
        issuer = str(params["wanted"]).split(", ", maxsplit=1)[0]
        words["caa_line"] = f'{params.get("at")}. CAA 0 {params.get("tag")} "{issuer}"'
    location = params.get("location")
    led = _(" to %(location)s") % {"location": location} if location else ""
    words["location_words"] = led
    if "kind" in params:
        kind = preflight.BUDGETS.get(str(params["kind"]), str(params["kind"]))
        words["kind_words"] = str(kind) % {"who": who} if isinstance(kind, Promise) else kind
    return words


def _word(name: str, value: Param) -> Param:
    """Return a parameter as people read it."""
    if name in _MOMENTS:
        return exact_words(datetime.fromisoformat(str(value)))
    if name == "names":
        return ", ".join(map(both_forms, str(value).split(", ")))
    return both_forms(str(value)) if name in _NAMES and isinstance(value, str) else value
