"""Words about renewals, orders and what was seen, for every template."""

from __future__ import annotations

from typing import Any

from django import template

from mailadmin.acme import sentences
from mailadmin.acme.models import AcmeCertificate, AcmeEvent
from mailadmin.acme.sentences import words
from mailadmin.certificates.models import Certificate
from mailadmin.pki.problems import Problem

register = template.Library()


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
def renewed_by(certificate: Certificate) -> AcmeCertificate | None:
    """Return what renews the certificate, if it is had by ACME."""
    return certificate.acme.first()
