"""Words about listeners for every template, and where certificates are used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import template
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from mailadmin.accounts.templatetags.ui import when
from mailadmin.certificates.models import Certificate
from mailadmin.listeners import sentences
from mailadmin.listeners.models import Listener
from mailadmin.listeners.selectors import desired_state
from mailadmin.listeners.usage import Use, UseKind, coverage_of, usage_by_certificate
from mailadmin.mailconf.plan import SERVER, Change
from mailadmin.pki.names import both_forms
from mailadmin.pki.problems import Problem
from mailadmin.servers.selectors import current_server
from mailadmin.servers.sentences import profile_words

register = template.Library()

_CACHE = "certificate_usage"
# The others about certificates follow from what was uploaded, or from another change.
_UNDONE = frozenset({"pair.made", "pair.changed", "pair.dissolved"})


@register.filter
def say_change(change: Change | Mapping[str, Any]) -> str:
    """Return a change, or its JSON form, as a sentence."""
    return sentences.say_change(change)


@register.filter
def can_undo(change: Change) -> bool:
    """Tell whether a change of the server or its certificates can be put back by itself."""
    return change.subject == SERVER or change.code in _UNDONE


@register.filter
def say_problem(problem: Problem | Mapping[str, Any]) -> str:
    """Return a problem, or its JSON form, as a sentence."""
    return sentences.say_problem(problem)


@register.filter
def service_words(service: str) -> str:
    """Return a service in words."""
    return sentences.service_words(service)


@register.filter
def effect_words(effect: str) -> str:
    """Return what a group of changes does."""
    return sentences.effect_words(effect)


@register.filter
def profile_in_words(name: str) -> str:
    """Return a TLS profile in words."""
    return profile_words(name)


@register.filter
def name_in_both_forms(host_name: str) -> str:
    """Return an A-label with the form people write."""
    return both_forms(host_name)


@register.filter
def tls_words(listener: Listener) -> str:
    """Return how connections to the listener become encrypted."""
    return sentences.tls_mode_words(listener.tls_mode, listener.service)


@register.filter
def login_words(listener: Listener) -> str:
    """Return whether people log in on the listener."""
    return sentences.login_words(listener.service, is_required=listener.is_login_required)


@register.filter
def place_words(listener: Listener) -> str:
    """Return address and port of the listener."""
    return sentences.address_words(listener.address, listener.port)


@register.filter
def advice(listener: Listener) -> str:
    """Return one line of advice about the listener."""
    return sentences.advise(listener.service, is_enabled=listener.is_enabled)


@register.simple_tag
def expires(certificate: Certificate) -> SafeString:
    """Say when the certificate expires, or since when it is over."""
    is_over = certificate.not_after <= timezone.now()
    words = _("expired") if is_over else _("expires")
    return format_html("{} {}", words, when(certificate.not_after))


@register.inclusion_tag("listeners/_covered_by.html")
def listeners_covered_by(names: Iterable[str]) -> dict[str, Any]:
    """Say which open ports and bound names a certificate with these names would be right for."""
    server = current_server()
    if server is None:
        return {"coverage": None}
    return {"coverage": coverage_of(names, desired_state(server))}


@register.inclusion_tag("listeners/_usage.html", takes_context=True)
def certificate_usage(
    context: Mapping[str, Any], certificate: Certificate, *, with_link: bool = True
) -> dict[str, Any]:
    """Say where a certificate is used, as wanted and as applied, with a link to change it."""
    return {
        "with_link": with_link,
        "uses": _uses(context, certificate),
        "certificate": certificate,
        "may_change": context.get("may_change", False),
    }


@register.inclusion_tag("listeners/_ports.html", takes_context=True)
def certificate_ports(context: Mapping[str, Any], certificate: Certificate) -> dict[str, Any]:
    """Show in one line where a certificate is used: ports and how many names."""
    uses = _uses(context, certificate)
    ports = [use for use in uses if use.place.kind is UseKind.LISTENER]
    is_default = any(use.place.kind is UseKind.DEFAULT and use.is_wanted for use in uses)
    return {
        "uses": uses,
        "ports": ports,
        "is_default_only": is_default and not any(use.is_wanted for use in ports),
        "names": [use for use in uses if use.place.kind is UseKind.NAME],
        "is_pending": any(use.is_pending for use in uses),
    }


def _uses(context: Mapping[str, Any], certificate: Certificate) -> tuple[Use, ...]:
    """Return the uses of one certificate; read once per request, however many rows ask."""
    request: HttpRequest | None = context.get("request")
    kept = vars(request) if request else {}
    if _CACHE not in kept:
        server = current_server()
        kept[_CACHE] = usage_by_certificate(server) if server else {}
    usage: Mapping[str, tuple[Use, ...]] = kept[_CACHE]
    return usage.get(certificate.fingerprint, ())
