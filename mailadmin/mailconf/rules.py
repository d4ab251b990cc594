"""What a desired state must not be (errors) and what an admin should think twice about (warnings).

==============================  ========  ==========================================================
code                            severity  when
==============================  ========  ==========================================================
listener.duplicate_port         error     two open listeners on one address and port
listener.port_invalid           error     the port is not between 1 and 65535
listener.address_invalid        error     the address is neither ``*`` nor an IP address
listener.tls_mode_impossible    error     a TLS mode this service cannot have (RFC 8314)
smtp.login_required             error     port 25 asks for a login: other servers have none
submission.without_login        error     465 or 587 would take mail from anybody (RFC 6409 4.3)
submission.without_tls          error     587 would take passwords in clear
certificate.none_assigned       error     an encrypted port without a certificate
certificate.unknown             error     a certificate is named that the state does not carry
certificate.expired             error     a certificate that is over would be served
certificate.not_yet_valid       error     a certificate whose time has not begun would be served
certificate.shared_by_protocol  error     two Dovecot ports of one protocol differ
certificate.own_with_sni        error     a Dovecot port of its own beside host names of their own
pair.same_algorithm             error     two certificates side by side are not RSA and ECDSA
pair.one_sided                  error     a certificate's companion names another, or none
sni.name_invalid                error     a binding's host name could not be written safely
profile.unknown                 error     a TLS profile that does not exist
smtp.without_tls                warning   port 25 does not offer STARTTLS
login.in_clear                  warning   passwords may travel in clear on 143, 110 or 4190
certificate.name_not_covered    warning   the certificate does not cover the server's host name
sni.name_not_covered            warning   the bound certificate does not cover the name
imap.none_left                  warning   no IMAP port would be open
submission.none_left            warning   no port would be left for clients to send
smtp.closed                     warning   no mail from other servers would arrive
==============================  ========  ==========================================================
"""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from mailadmin.mailconf.addresses import is_collision
from mailadmin.mailconf.profiles import PROFILES
from mailadmin.mailconf.services import Daemon, Protocol
from mailadmin.mailconf.state import (
    ANY_ADDRESS,
    CertificateMaterial,
    DesiredState,
    ListenerState,
)
from mailadmin.pki.keys import KeyAlgorithm
from mailadmin.pki.names import is_covered
from mailadmin.pki.problems import Param, Problem, Severity

_HOST_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+")


def check_state(state: DesiredState, now: datetime) -> list[Problem]:
    """Return every rule the state breaks, errors first."""
    found = [
        *_server_rules(state),
        *(problem for item in state.listeners for problem in _listener_rules(state, item)),
        *_port_rules(state),
        *_certificate_rules(state, now),
        *_pair_rules(state),
        *_sharing_rules(state),
        *_sni_rules(state),
        *_coverage_rules(state),
        *_reachability_rules(state),
    ]
    return sorted(found, key=lambda problem: list(Severity).index(problem.severity))


def is_address(text: str) -> bool:
    """Tell whether a listener can be given this address: ``*`` or one IP address."""
    if text == ANY_ADDRESS:
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    # A scoped address (fe80::1%eth0) is accepted by the standard library, not by the daemons.
    return "%" not in text


def _server_rules(state: DesiredState) -> Iterator[Problem]:
    if state.tls_profile not in PROFILES:
        yield Problem("profile.unknown", subject=state.tls_profile)


def judge_values(listener: ListenerState) -> Iterator[Problem]:
    """Return what is wrong with the listener whatever else the state says.

    These are nonsense, not decisions: nobody can want them, so they are not even stored.
    """
    name, port = listener.service, listener.port
    if not 0 < port < 65536:
        yield Problem("listener.port_invalid", subject=name, params={"port": port})
    if not is_address(listener.address):
        address = {"address": listener.address}
        yield Problem("listener.address_invalid", subject=name, params=address)
    if listener.tls_mode not in listener.definition.tls_modes:
        mode: dict[str, Param] = {"tls_mode": str(listener.tls_mode), "port": port}
        yield Problem("listener.tls_mode_impossible", subject=name, params=mode)


def _listener_rules(state: DesiredState, listener: ListenerState) -> Iterator[Problem]:
    yield from judge_values(listener)
    if listener.is_enabled:
        yield from _open_listener_rules(state, listener)


def _open_listener_rules(state: DesiredState, listener: ListenerState) -> Iterator[Problem]:
    yield from _clear_text_rules(listener)
    yield from _login_rules(listener)
    if listener.is_encrypted and not state.certificate_for(listener):
        port = {"port": listener.port}
        yield Problem("certificate.none_assigned", subject=listener.service, params=port)


def _clear_text_rules(listener: ListenerState) -> Iterator[Problem]:
    if listener.is_encrypted:
        return
    port = {"port": listener.port}
    if listener.service == "smtp":
        yield Problem("smtp.without_tls", Severity.WARNING, "smtp", port)
    elif listener.definition.protocol is Protocol.SMTP:
        yield Problem("submission.without_tls", subject=listener.service, params=port)
    else:
        yield Problem("login.in_clear", Severity.WARNING, listener.service, port)


def _login_rules(listener: ListenerState) -> Iterator[Problem]:
    port = {"port": listener.port}
    if listener.service == "smtp" and listener.is_login_required:
        yield Problem("smtp.login_required", subject="smtp", params=port)
    if listener.definition.is_login_expected and not listener.is_login_required:
        yield Problem("submission.without_login", subject=listener.service, params=port)


def _port_rules(state: DesiredState) -> Iterator[Problem]:
    """Two listeners collide on one address, and one for every address with all others."""
    by_port: dict[int, list[ListenerState]] = defaultdict(list)
    for listener in state.enabled_listeners:
        for other in by_port[listener.port]:
            if is_collision(listener.address, other.address):
                yield Problem(
                    "listener.duplicate_port",
                    subject=listener.service,
                    params={
                        "other": other.service,
                        "port": listener.port,
                        "address": listener.address,
                    },
                )
        by_port[listener.port].append(listener)


def _certificate_rules(state: DesiredState, now: datetime) -> Iterator[Problem]:
    served = _served_fingerprints(state)
    for fingerprint in state.used_fingerprints:
        certificate = state.certificate(fingerprint)
        if certificate is None:
            yield Problem("certificate.unknown", subject=fingerprint)
        elif fingerprint in served:
            yield from _validity_rules(certificate, now)


def _validity_rules(certificate: CertificateMaterial, now: datetime) -> Iterator[Problem]:
    fingerprint = certificate.fingerprint
    if certificate.not_after <= now:
        params: dict[str, Param] = {
            "label": certificate.label,
            "not_after": certificate.not_after.isoformat(),
        }
        yield Problem("certificate.expired", subject=fingerprint, params=params)
    if certificate.not_before > now:
        params = {"label": certificate.label, "not_before": certificate.not_before.isoformat()}
        yield Problem("certificate.not_yet_valid", subject=fingerprint, params=params)


def _served_fingerprints(state: DesiredState) -> set[str]:
    chosen = {binding.certificate for binding in state.sni_bindings}
    chosen |= {state.certificate_for(item) for item in state.enabled_listeners if item.is_encrypted}
    return {fingerprint for item in chosen for fingerprint in state.pair_of(item)}


def _pair_rules(state: DesiredState) -> Iterator[Problem]:
    """Of two certificates with one kind of key the daemons would show only the last."""
    for fingerprint in state.used_fingerprints:
        certificate = state.certificate(fingerprint)
        companion = state.certificate(certificate.companion) if certificate else None
        if certificate is None or companion is None:
            continue
        labels: dict[str, Param] = {"label": certificate.label, "companion": companion.label}
        if companion.companion != fingerprint:
            yield Problem("pair.one_sided", subject=fingerprint, params=labels)
        elif {certificate.key_algorithm, companion.key_algorithm} != set(KeyAlgorithm):
            keys: dict[str, Param] = {
                "key": certificate.key_algorithm,
                "companion_key": companion.key_algorithm,
            }
            yield Problem("pair.same_algorithm", subject=fingerprint, params=labels | keys)


def _sharing_rules(state: DesiredState) -> Iterator[Problem]:
    """Dovecot 2.3 chooses by protocol, or by host name, but refuses both at once (measured)."""
    chosen: dict[Protocol, ListenerState] = {}
    for listener in state.enabled_listeners:
        definition = listener.definition
        if definition.daemon is not Daemon.DOVECOT or not listener.is_encrypted:
            continue
        fingerprint = state.certificate_for(listener)
        first = chosen.setdefault(definition.protocol, listener)
        if not state.is_same_pair(state.certificate_for(first), fingerprint):
            params = {"other": first.service}
            yield Problem("certificate.shared_by_protocol", subject=listener.service, params=params)
        is_default = state.is_same_pair(fingerprint, state.default_certificate)
        if state.sni_bindings and not is_default:
            yield Problem("certificate.own_with_sni", subject=listener.service)


def _sni_rules(state: DesiredState) -> Iterator[Problem]:
    for binding in state.sni_bindings:
        if len(binding.host_name) > 253 or not _HOST_NAME.fullmatch(binding.host_name):
            yield Problem("sni.name_invalid", subject=binding.host_name)
        for certificate in map(state.certificate, state.pair_of(binding.certificate)):
            if certificate and not is_covered(binding.host_name, certificate.names):
                yield Problem(
                    "sni.name_not_covered",
                    Severity.WARNING,
                    binding.host_name,
                    {"label": certificate.label},
                )


def _coverage_rules(state: DesiredState) -> Iterator[Problem]:
    """Clients verify the name they connect to; by default that is the server's host name."""
    if any(binding.host_name == state.host_name for binding in state.sni_bindings):
        return
    told: set[str] = set()
    for listener in state.enabled_listeners:
        served = state.pair_of(state.certificate_for(listener)) if listener.is_encrypted else ()
        for certificate in map(state.certificate, served):
            if certificate is None or certificate.fingerprint in told:
                continue
            told.add(certificate.fingerprint)
            if not is_covered(state.host_name, certificate.names):
                yield Problem(
                    "certificate.name_not_covered",
                    Severity.WARNING,
                    listener.service,
                    {"label": certificate.label, "host_name": state.host_name},
                )


def _reachability_rules(state: DesiredState) -> Iterator[Problem]:
    is_open = {item.service for item in state.enabled_listeners}
    known = {item.service for item in state.listeners}
    for code, services in (
        ("imap.none_left", {"imap", "imaps"}),
        ("submission.none_left", {"submission", "submissions"}),
        ("smtp.closed", {"smtp"}),
    ):
        if services & known and not services & is_open:
            yield Problem(code, Severity.WARNING, min(services))
