"""What a port must show to be proven, what it showed, and how the two differ.

Whoever looks (the agent's probe) and whoever judges are apart: this module is the judge, and the
same for a deployment, for *Check now* and for the overview.

============================  ==================================================================
code                          when
============================  ==================================================================
probe.closed                  nothing answers where a port should be open
probe.timeout                 something accepts the connection but does not speak in time
probe.still_open              a port that should be closed answers
probe.wrong_greeting          what answers does not speak the protocol
probe.too_many                Postfix takes no more connections from us for now (its own limits)
probe.tls_failed              the TLS handshake fails
probe.starttls_missing        the upgrade to TLS is not offered (mail would go on in clear)
probe.other_certificate       another leaf than the wanted one is presented
probe.mail_without_login      465 or 587 takes mail from somebody who has not logged in
probe.login_in_clear          a password would be accepted before TLS
probe.tls_required            port 25 refuses servers that cannot speak TLS (RFC 3207 4)
probe.tls_not_required        587 goes on without TLS
probe.not_as_before           after a rollback, a port shows something else than before
============================  ==================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from mailadmin.mailconf.services import SERVICES, Daemon, Protocol, TlsMode
from mailadmin.mailconf.state import ANY_ADDRESS, DesiredState, ListenerState
from mailadmin.pki.problems import Param, Problem, Severity

# Service, address, port, host name asked for, kind of key asked for.
Key = tuple[str, str, int, str, str]

# Up to so many handshakes take a fraction of a second: eight ports and a handful of names.
MANY = 64


@dataclass(frozen=True, slots=True)
class Expectation:
    """One port, asked for one host name (SNI) or for none, and what it should show."""

    service: str
    address: str
    port: int
    is_open: bool
    tls_mode: TlsMode
    sni_name: str = ""
    fingerprint: str = ""
    is_login_required: bool = True
    # Of two certificates side by side, the one shown to a client that knows only this algorithm.
    key_algorithm: str = ""
    # The host's own listener, not written by the panel: whom it lets in is its admin's word.
    is_kept: bool = False

    @property
    def protocol(self) -> Protocol:
        """Return the conversation spoken here."""
        return SERVICES[self.service].protocol

    @property
    def target(self) -> tuple[str, int]:
        """Return where to connect: a listener on every address is asked on the loopback."""
        return ("127.0.0.1" if self.address == ANY_ADDRESS else self.address), self.port

    @property
    def key(self) -> Key:
        """Return what tells one expectation from another."""
        return self.service, self.address, self.port, self.sni_name, self.key_algorithm

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        return cls(**{**value, "tls_mode": TlsMode(value["tls_mode"])})


@dataclass(frozen=True, slots=True)
class Seen:
    """What one connection showed. ``dialogue`` holds what was said, by ``client`` or ``server``."""

    service: str
    address: str
    port: int
    sni_name: str = ""
    is_open: bool = False
    error: str = ""
    error_text: str = ""
    tls_version: str = ""
    cipher: str = ""
    fingerprint: str = ""
    certificate: Mapping[str, Any] = field(default_factory=dict)
    chain: tuple[Mapping[str, Any], ...] = ()
    is_starttls_offered: bool | None = None
    is_clear_login_offered: bool | None = None
    reply_without_tls: str = ""
    reply_without_login: str = ""
    dialogue: tuple[tuple[str, str], ...] = ()
    elapsed_ms: int = 0
    key_algorithm: str = ""

    @property
    def key(self) -> Key:
        """Return which expectation this answers (:attr:`Expectation.key`)."""
        return self.service, self.address, self.port, self.sni_name, self.key_algorithm

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back; unknown fields of a newer agent are left out."""
        known = {name: value[name] for name in cls.__slots__ if name in value}
        known["chain"] = tuple(known.get("chain", ()))
        known["dialogue"] = tuple((who, text) for who, text in known.get("dialogue", ()))
        return cls(**known)


def _plain(value: object) -> object:
    """Return what JSON can carry."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    return str(value) if isinstance(value, StrEnum) else value


def expectations(state: DesiredState) -> tuple[Expectation, ...]:
    """Return what every port of the state must show, without SNI and for every bound name.

    Where two certificates are served side by side each is asked for, by a client that knows only
    its kind of key.
    """
    return tuple(
        expectation for listener in state.listeners for expectation in _expected(state, listener)
    )


def on_fewer_ports(expected: Sequence[Expectation]) -> tuple[Expectation, ...]:
    """Return the same, with many host names asked for on one open port of each daemon alone.

    All ports of a daemon serve from one table of names. Enough to watch a host by, or to compare
    it with before; not to prove an apply.
    """
    if len(expected) <= MANY:
        return tuple(expected)
    asked: dict[Daemon, tuple[str, int]] = {}
    for item in expected:
        if item.is_open and item.tls_mode is not TlsMode.NONE:
            asked.setdefault(SERVICES[item.service].daemon, item.target)
    return tuple(
        item
        for item in expected
        if not item.sni_name or asked.get(SERVICES[item.service].daemon) == item.target
    )


def _expected(state: DesiredState, listener: ListenerState) -> Iterator[Expectation]:
    is_encrypted = listener.is_enabled and listener.is_encrypted
    plain = Expectation(
        service=listener.service,
        address=listener.address,
        port=listener.port,
        is_open=listener.is_enabled,
        tls_mode=listener.tls_mode,
        is_login_required=listener.is_login_required,
    )
    if not is_encrypted:
        yield plain
        return
    yield from _each_of_pair(state, replace(plain, fingerprint=state.certificate_for(listener)))
    for binding in state.sni_bindings:
        named = replace(plain, sni_name=binding.host_name, fingerprint=binding.certificate)
        yield from _each_of_pair(state, named)


def _each_of_pair(state: DesiredState, wanted: Expectation) -> Iterator[Expectation]:
    pair = state.pair_of(wanted.fingerprint)
    if len(pair) < 2:
        yield wanted
        return
    for certificate in map(state.certificate, pair):
        # A companion that the state does not carry is the rules' to refuse.
        if certificate:
            yield replace(
                wanted,
                fingerprint=certificate.fingerprint,
                key_algorithm=certificate.key_algorithm,
            )


def judge(expected: Expectation, seen: Seen) -> list[Problem]:
    """Return how what was seen differs from what should be; empty when it is proven."""
    return list(_differences(expected, seen))


def _differences(expected: Expectation, seen: Seen) -> Iterator[Problem]:
    if not expected.is_open:
        if seen.is_open:
            yield _problem(expected, "probe.still_open")
        return
    if not seen.is_open:
        yield _problem(expected, "probe.closed", detail=seen.error_text)
        return
    if seen.error:
        yield _problem(expected, seen.error, detail=seen.error_text)
    elif expected.fingerprint and seen.fingerprint != expected.fingerprint:
        found = str(seen.certificate.get("label", ""))
        yield _problem(
            expected,
            "probe.other_certificate",
            wanted=expected.fingerprint,
            found=seen.fingerprint,
            label=found,
        )
    if not expected.is_kept:
        yield from _policy_differences(expected, seen)


def _policy_differences(expected: Expectation, seen: Seen) -> Iterator[Problem]:
    if expected.tls_mode is TlsMode.STARTTLS and seen.is_clear_login_offered:
        yield _problem(expected, "probe.login_in_clear")
    if expected.protocol is not Protocol.SMTP:
        return
    if expected.service == "smtp":
        if seen.reply_without_tls.startswith("530"):
            yield _problem(expected, "probe.tls_required", reply=seen.reply_without_tls)
        return
    if seen.reply_without_login and not seen.reply_without_login.startswith("5"):
        yield _problem(expected, "probe.mail_without_login", reply=seen.reply_without_login)
    if seen.reply_without_tls and not seen.reply_without_tls.startswith("5"):
        yield _problem(expected, "probe.tls_not_required", reply=seen.reply_without_tls)


def _problem(about: Expectation, code: str, **params: str) -> Problem:
    where: dict[str, Param] = {"address": about.address, "port": about.port}
    if about.sni_name:
        where["sni_name"] = about.sni_name
    if about.key_algorithm:
        where["key_algorithm"] = about.key_algorithm
    return Problem(code, Severity.ERROR, about.service, where | params)


def turned_away(seen: Seen) -> Problem:
    """Return that the mail server takes no more connections from us, in its own words."""
    where: dict[str, Param] = {"address": seen.address, "port": seen.port}
    return Problem(
        "probe.too_many", Severity.ERROR, seen.service, where | {"detail": seen.error_text}
    )


def compare(before: Seen, now: Seen) -> Problem | None:
    """Return how a port differs from what it showed before; the proof of a rollback."""
    was = (before.is_open, before.fingerprint, before.error)
    if (now.is_open, now.fingerprint, now.error) == was:
        return None
    where: dict[str, Param] = {
        "address": now.address,
        "port": now.port,
        "was_open": before.is_open,
        "is_open": now.is_open,
        "was": before.fingerprint,
        "found": now.fingerprint,
        "detail": now.error_text,
    }
    if now.sni_name:
        where["sni_name"] = now.sni_name
    return Problem("probe.not_as_before", Severity.ERROR, now.service, where)
