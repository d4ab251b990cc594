"""What pages show of certificates: names in both forms, the time that is left, problems."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.translation import gettext as _

from mailadmin.certificates.models import Certificate
from mailadmin.certificates.sentences import say
from mailadmin.pki import names as pki_names
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.problems import Problem

register = template.Library()

# The parts of the whole lifetime below which the bar turns amber (when automatic renewal would
# begin) and red (certmagic's emergency line).
_RENEWAL_SHARE = 1 / 3
_EMERGENCY_SHARE = 1 / 20
_MINUTE = 60

NOTE_ICONS = {"error": "circle-x", "warning": "alert-triangle", "info": "info-circle"}


@register.filter
def both_forms(name: str) -> str:
    """Return ``bücher.example (xn--bcher-kva.example)``, or the plain name."""
    return pki_names.both_forms(name)


@register.filter
def spaced_hex(digits: str) -> str:
    """Return a fingerprint in pairs, as other programs print it: ``AB:CD:...``."""
    pairs = (digits[at : at + 2] for at in range(0, len(digits), 2))
    return ":".join(pairs).upper()


@register.inclusion_tag("certificates/_lifetime.html")
def lifetime(certificate: Certificate | CertificateFacts) -> dict[str, Any]:
    """Draw how much of the whole lifetime is left, as a bar with its words."""
    now = timezone.now()
    whole = _minutes(certificate.not_before, certificate.not_after)
    left = max(0, _minutes(now, certificate.not_after))
    return {
        "certificate": certificate,
        "left": min(left, whole),
        "whole": max(whole, 1),
        "low": round(whole * _EMERGENCY_SHARE),
        "high": round(whole * _RENEWAL_SHARE),
        "is_expired": certificate.not_after < now,
        "is_early": now < certificate.not_before,
    }


@register.simple_tag
def row_state(certificate: Certificate) -> str:
    """Return the class of a row of the list: coloured only when the certificate is in use."""
    now = timezone.now()
    if not getattr(certificate, "is_used", False):
        return ""
    if not certificate.not_before <= now <= certificate.not_after:
        return "is-broken"
    whole = certificate.not_after - certificate.not_before
    is_late = certificate.not_after - now < whole * _RENEWAL_SHARE
    return "is-attention" if is_late else ""


@register.simple_tag
def who_must_act(certificate: Certificate) -> str:
    """Say who has to do something before the certificate expires, or that nobody has to."""
    is_used = getattr(certificate, "is_used", False)
    if getattr(certificate, "has_heir", False):
        if is_used:
            return _("You: its successor is here; choose that one where this is used, and apply.")
        return _("Nobody: its successor is here, and nothing uses this one.")
    if not is_used:
        return _("Nobody: nothing uses it. Renew it if you want to keep it as a spare.")
    if certificate.private_key_id is None:
        if certificate.origin == Certificate.Origin.FOUND:
            return _("Whoever renews it on the mail server, where its key is.")
        return _("Whoever keeps its key, which is not here.")
    if certificate.is_self_signed:
        return _("You: make a new one, choose it and apply.")
    return _("You: renew it by hand, choose the new one and apply.")


@register.inclusion_tag("certificates/_note.html")
def problem_note(problem: Problem) -> dict[str, Any]:
    """Draw a problem as a note with its sentence."""
    return {
        "severity": str(problem.severity),
        "icon_name": NOTE_ICONS[str(problem.severity)],
        "sentence": say(problem),
    }


def _minutes(begin: datetime, end: datetime) -> int:
    return int((end - begin).total_seconds() // _MINUTE)
