"""From a host as found to the state that says the same: what the panel takes over of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mailadmin.mailconf.adopting.base import Base, FoundListener, found
from mailadmin.mailconf.adopting.keeping import shared_names
from mailadmin.mailconf.profiles import KEPT
from mailadmin.mailconf.state import CertificateMaterial, DesiredState, SniBinding
from mailadmin.pki.keys import KeyAlgorithm
from mailadmin.pki.problems import Problem


@dataclass(frozen=True, slots=True)
class Adopted:
    """The state, and what could not be told by it."""

    state: DesiredState
    findings: tuple[Problem, ...]


def adopt(host_name: str, base: Base, certificates: Mapping[str, CertificateMaterial]) -> Adopted:
    """Return the state that leaves the host as it is; ``certificates`` by fingerprint.

    The certificate that most ports serve is the default one. A port whose files hold none that can
    be served, or more than a pair, is taken over without one.
    """
    chosen = {
        item.state.service: _choose(base.leaves_in(item.files), certificates)
        for item in base.listeners
        if item.state.is_enabled and item.state.is_encrypted
    }
    counted = Counter(item for item in chosen.values() if item)
    default = counted.most_common(1)[0][0] if counted else ""
    listeners = tuple(
        replace(item.state, certificate=_own(chosen.get(item.state.service, ""), default))
        for item in base.listeners
    )
    bindings = tuple(
        SniBinding(name, fingerprint)
        for name, leaves in sorted(shared_names(base).items())
        if (fingerprint := _choose(leaves, certificates))
    )
    state = DesiredState(
        host_name=host_name,
        listeners=listeners,
        default_certificate=default,
        sni_bindings=bindings,
        tls_profile=KEPT,
        certificates=tuple(_paired(base, certificates)),
    )
    used = set(state.used_fingerprints)
    state = state.with_certificates(item for item in state.certificates if item.fingerprint in used)
    findings = (
        *base.postfix.findings,
        *base.dovecot.findings,
        *_unreadable(base, chosen),
        *_one_sided(base, {item.host_name for item in bindings}),
    )
    return Adopted(state, findings)


def _choose(leaves: frozenset[str], certificates: Mapping[str, CertificateMaterial]) -> str:
    """Return the certificate, of a pair the RSA one; empty where there is no telling."""
    known = sorted(leaves & certificates.keys())
    if len(known) != len(leaves):
        return ""
    if len(known) == 1:
        return known[0]
    by_kind = {certificates[item].key_algorithm: item for item in known}
    is_pair = len(known) == 2 and by_kind.keys() == {str(kind) for kind in KeyAlgorithm}
    return by_kind[str(KeyAlgorithm.RSA)] if is_pair else ""


def _own(fingerprint: str, default: str) -> str:
    return "" if fingerprint == default else fingerprint


def _paired(
    base: Base, certificates: Mapping[str, CertificateMaterial]
) -> Iterator[CertificateMaterial]:
    """Yield the certificates, each with the one that is served beside it somewhere."""
    beside: dict[str, str] = {}
    for leaves in base.leaves.values():
        first = _choose(leaves, certificates) if len(leaves) == 2 else ""
        if first and not beside.keys() & leaves:
            (second,) = leaves - {first}
            beside |= {first: second, second: first}
    for name in sorted(certificates):
        yield replace(certificates[name], companion=beside.get(name, ""))


def _unreadable(base: Base, chosen: Mapping[str, str]) -> Iterator[Problem]:
    told: set[tuple[str, ...]] = set()
    for item in base.listeners:
        if chosen.get(item.state.service) == "" and item.files not in told:
            told.add(item.files)
            yield _unreadable_files(item)


def _unreadable_files(item: FoundListener) -> Problem:
    return found("found.certificate_unreadable", item.files[0], 0, " ".join(item.files))


def _one_sided(base: Base, bound: set[str]) -> Iterator[Problem]:
    for name in sorted({*base.postfix.names, *base.dovecot.names} - bound):
        files = base.postfix.names.get(name) or base.dovecot.names[name]
        yield found("found.name_one_sided", files[0] if files else "", 0, name)
