"""What a certificate would be good for, judged by the names it covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mailadmin.certificates.models import Certificate
from mailadmin.listeners.models import Listener, SniBinding
from mailadmin.listeners.selectors import Wanted
from mailadmin.mailconf.services import TlsMode
from mailadmin.pki.names import NameProblem, is_covered, normalize_host_name


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One use. ``now`` is the certificate of its own that it would replace, if there is one."""

    subject: str
    is_suggested: bool
    is_used: bool
    now: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Every use a certificate can be put to, with those that fit marked."""

    default: Suggestion
    services: tuple[Suggestion, ...]
    host_names: tuple[Suggestion, ...]

    @property
    def is_anything_suggested(self) -> bool:
        """Tell whether there is a use that fits and that the certificate does not have yet."""
        everything = (self.default, *self.services, *self.host_names)
        return any(item.is_suggested for item in everything)

    def values(self) -> dict[str, Any]:
        """Return what fits as arguments of ``assign_certificate``."""
        return {
            "as_default": self.default.is_suggested,
            "services": [item.subject for item in self.services if item.is_suggested],
            "host_names": [item.subject for item in self.host_names if item.is_suggested],
        }


# A box for each of ten thousand names is a page that no browser shows in time.
MOST_NAMES_OFFERED = 100


def suggest_uses(certificate: Certificate, wanted: Wanted) -> Suggestions:
    """Return what to use the certificate for.

    As the default if it covers the server's name or if there is no default yet; on ports and
    names where it covers all that the certificate there covers, as a renewal does; for its other
    names if it does not fit as the default.
    """
    server = wanted.server
    is_default = server.default_certificate_id == certificate.pk
    fits = is_covered(server.host_name, certificate.names) or server.default_certificate is None
    return Suggestions(
        default=Suggestion("", fits and not is_default, is_default, server.default_certificate),
        services=tuple(
            _suggest_service(certificate, listener)
            for listener in wanted.listeners
            if listener.tls_mode != TlsMode.NONE
        ),
        host_names=tuple(_suggest_names(certificate, wanted, fits_as_default=fits)),
    )


def _suggest_service(certificate: Certificate, listener: Listener) -> Suggestion:
    own = listener.certificate
    is_used = own is not None and own.pk == certificate.pk
    is_renewal = own is not None and all(is_covered(n, certificate.names) for n in own.names)
    return Suggestion(listener.service, is_renewal and not is_used, is_used, own)


def _suggest_names(
    certificate: Certificate, wanted: Wanted, *, fits_as_default: bool
) -> list[Suggestion]:
    bound = {binding.host_name: binding for binding in wanted.bindings}
    covered = {name for name in bound if is_covered(name, certificate.names)}
    fresh = sorted(set(bindable_names(certificate.names)) - covered)
    names = covered | set(fresh[:MOST_NAMES_OFFERED])
    return [
        _suggest_name(certificate, name, bound.get(name), is_new_suggested=not fits_as_default)
        for name in sorted(names)
    ]


def _suggest_name(
    certificate: Certificate, name: str, binding: SniBinding | None, *, is_new_suggested: bool
) -> Suggestion:
    if binding is None:
        return Suggestion(name, is_new_suggested, is_used=False)
    is_used = binding.certificate_id == certificate.pk
    return Suggestion(name, not is_used, is_used, binding.certificate)


def bindable_names(names: Sequence[str]) -> list[str]:
    """Return those names that a client can ask for: full host names, no wildcard, no address."""
    return [name for name in names if _is_bindable(name)]


def _is_bindable(name: str) -> bool:
    try:
        return normalize_host_name(name) == name
    except NameProblem:
        return False
