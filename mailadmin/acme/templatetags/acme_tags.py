"""Words about renewals, orders and what was seen, for every template."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template
from django.http import HttpRequest

from mailadmin.accounts.relative_time import exact_words
from mailadmin.acme import selectors, sentences
from mailadmin.acme.models import AcmeCertificate, AcmeEvent
from mailadmin.acme.sentences import words
from mailadmin.certificates.models import Certificate
from mailadmin.issuance.budgets import Budget
from mailadmin.pki.problems import Problem

register = template.Library()

_CACHE = "_renewals_by_certificate"


@register.filter
def acme_words(problem: Problem | dict[str, Any]) -> str:
    """Return a problem as a sentence."""
    return sentences.say(problem if isinstance(problem, Problem) else Problem.from_dict(problem))


@register.filter
def event_words(event: AcmeEvent) -> str:
    """Return a line of the timeline as a sentence."""
    return words.say_event(event)


@register.filter
def standing_words(standing: str) -> str:
    """Return in a few words how a certificate stands."""
    return str(words.STANDINGS[standing])


@register.filter
def stage_words(code: str) -> str:
    """Return the name of a stage of an order."""
    return str(words.STAGES[code])


@register.filter
def stage_meaning(code: str) -> str:
    """Return what a stage means."""
    return str(words.MEANINGS[code])


@register.filter
def order_words(status: str) -> str:
    """Return in a few words where an order stands."""
    return str(words.ORDERS[status])


@register.filter
def trigger_words(trigger: str) -> str:
    """Return why an order was made."""
    return str(words.TRIGGERS[trigger])


@register.filter
def proof_words(status: str) -> str:
    """Return where the proof of a name stands."""
    return str(words.PROOFS[status])


@register.filter
def challenge_words(wanted: AcmeCertificate) -> str:
    """Return how the names are proven."""
    return words.say_challenge(wanted)


@register.filter
def account_words(status: str) -> str:
    """Return in a word where an account stands."""
    return str(words.ACCOUNTS[status])


@register.filter
def authority_words(code: str) -> str:
    """Return what one should know of an authority."""
    return sentences.say_code(code)


@register.filter
def profile_words(name: str, description: str = "") -> str:
    """Return what a profile means for a mail server; the authority's own words if none are ours."""
    return words.say_profile(name, description)


@register.filter
def budget_words(budget: Budget) -> str:
    """Return what a limit counts."""
    return words.say_limit(budget)


@register.filter
def moment_words(text: str) -> str:
    """Return a moment of a JSON field as people read it; the text itself if it is none."""
    try:
        return exact_words(datetime.fromisoformat(text))
    except ValueError:
        return text


@register.filter
def is_web_address(text: str) -> bool:
    """Tell whether an authority's own text may be made a link: no script, no data."""
    return str(text).startswith(("https://", "http://"))


@register.filter
def access_words(kind: str) -> str:
    """Return of which kind a DNS access is."""
    return str(words.ACCESSES[kind])


@register.filter
def path_words(path: Mapping[str, Any]) -> str:
    """Return what one address answered on the challenge path."""
    return words.say_path(path)


@register.filter
def path_state(path: Mapping[str, Any]) -> str:
    """Return the colour of what one address answered."""
    return {"ours": "proven", "": "off", "unreachable": "off"}.get(path.get("answer", ""), "broken")


@register.filter
def sight_words(sight: str) -> str:
    """Return what one name server shows of a record."""
    return str(words.SIGHTS.get(sight, sight))


@register.filter
def sight_state(sight: str) -> str:
    """Return the colour of what one name server shows."""
    return {"seen": "proven", "not_yet": "pending"}.get(sight, "attention")


@register.simple_tag(takes_context=True)
def renewal_of(context: Mapping[str, Any], certificate: Certificate) -> AcmeCertificate | None:
    """Return what renews the certificate; read once per request, however many rows ask."""
    request: HttpRequest | None = context.get("request")
    kept = vars(request) if request else {}
    if _CACHE not in kept:
        kept[_CACHE] = selectors.renewals_by_certificate()
    renewals: Mapping[int, AcmeCertificate] = kept[_CACHE]
    return renewals.get(certificate.pk)


@register.inclusion_tag("acme/_who_acts.html", takes_context=True)
def who_acts(context: Mapping[str, Any], certificate: Certificate) -> dict[str, Any]:
    """Say who must act before the certificate expires, and when ACME does."""
    wanted = renewal_of(context, certificate)
    if wanted is not None and wanted.certificate_id != certificate.pk:
        wanted = None  # a newer one took its place
    return {
        "request": context.get("request"),
        "certificate": certificate,
        "who": words.say_who_acts(wanted) if wanted else "",
    }
