"""What differs between two desired states, as codes a person can be told in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import DesiredState, ListenerState


class Effect(StrEnum):
    """What a change does to the people who use the server; changes are grouped by it."""

    OPENS = "opens"
    CLOSES = "closes"
    CERTIFICATE = "certificate"
    STRICTER = "stricter"
    LOOSER = "looser"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``subject`` is a service, a host name, a fingerprint, or ``server``."""

    code: str
    effect: Effect
    subject: str
    params: Mapping[str, str | int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form, as kept with a deployment."""
        return {
            "code": self.code,
            "effect": str(self.effect),
            "subject": self.subject,
            "params": dict(self.params),
        }


SERVER = "server"


def describe_changes(before: DesiredState, after: DesiredState) -> tuple[Change, ...]:
    """Return what applying ``after`` changes against ``before``, in the order of the registry."""
    return (
        *_server_changes(before, after),
        *(
            change
            for listener in after.listeners
            for change in _listener_changes(before, after, listener)
        ),
        *_sni_changes(before, after),
        *_pair_changes(before, after),
        *_chain_changes(before, after),
    )


def _server_changes(before: DesiredState, after: DesiredState) -> Iterator[Change]:
    if before.host_name != after.host_name:
        yield Change(
            "host_name.changed",
            Effect.OTHER,
            SERVER,
            {"before": before.host_name, "after": after.host_name},
        )
    if before.tls_profile != after.tls_profile:
        effect = Effect.STRICTER if after.tls_profile == "modern" else Effect.LOOSER
        yield Change(
            "tls_profile.changed",
            effect,
            SERVER,
            {"before": before.tls_profile, "after": after.tls_profile},
        )
    if before.is_dovecot_split != after.is_dovecot_split:
        code = "dovecot.split" if after.is_dovecot_split else "dovecot.joined"
        yield Change(code, Effect.OTHER, SERVER)
    if before.default_certificate != after.default_certificate:
        yield Change(
            "default_certificate.changed",
            Effect.CERTIFICATE,
            SERVER,
            _labels(before, before.default_certificate, after, after.default_certificate),
        )


def _listener_changes(
    before: DesiredState, after: DesiredState, now: ListenerState
) -> Iterator[Change]:
    was = before.listener(now.service)
    where: dict[str, str | int] = {"address": now.address, "port": now.port}
    if now.is_enabled and (was is None or not was.is_enabled):
        yield Change("listener.opened", Effect.OPENS, now.service, where)
    if was is None:
        return
    if was.is_enabled and not now.is_enabled:
        closed: dict[str, str | int] = {"address": was.address, "port": was.port}
        yield Change("listener.closed", Effect.CLOSES, now.service, closed)
    if (was.address, was.port) != (now.address, now.port):
        moved = where | {"old_address": was.address, "old_port": was.port}
        yield Change("listener.moved", Effect.OTHER, now.service, moved)
    yield from _policy_changes(was, now)
    # Only a certificate of its own is news here; the default's change is told once for all.
    if was.certificate != now.certificate:
        yield Change(
            "listener.certificate_changed",
            Effect.CERTIFICATE,
            now.service,
            _labels(before, before.certificate_for(was), after, after.certificate_for(now))
            | {"is_default": int(not now.certificate)},
        )


def _policy_changes(was: ListenerState, now: ListenerState) -> Iterator[Change]:
    if was.tls_mode is not now.tls_mode:
        effect = Effect.LOOSER if now.tls_mode is TlsMode.NONE else Effect.STRICTER
        modes = {"before": str(was.tls_mode), "after": str(now.tls_mode)}
        yield Change("listener.tls_mode_changed", effect, now.service, modes)
    if was.is_login_required and not now.is_login_required:
        yield Change("listener.login_dropped", Effect.LOOSER, now.service)
    if now.is_login_required and not was.is_login_required:
        yield Change("listener.login_required", Effect.STRICTER, now.service)


def _sni_changes(before: DesiredState, after: DesiredState) -> Iterator[Change]:
    was = {binding.host_name: binding.certificate for binding in before.sni_bindings}
    now = {binding.host_name: binding.certificate for binding in after.sni_bindings}
    for host_name in sorted(was.keys() | now.keys()):
        old, new = was.get(host_name, ""), now.get(host_name, "")
        if old == new:
            continue
        code = "sni.bound" if not old else "sni.unbound" if not new else "sni.changed"
        labels = _labels(before, old, after, new)
        yield Change(code, Effect.CERTIFICATE, host_name, labels)


def _pair_changes(before: DesiredState, after: DesiredState) -> Iterator[Change]:
    """Two certificates come to be served side by side, or no longer are.

    Which of the two is the wanted one makes no difference to anybody.
    """
    was, now = _pairs(before), _pairs(after)
    kept = set(map(frozenset, was.items())) & set(map(frozenset, now.items()))
    used = after.used_fingerprints
    for chosen in sorted(was.keys() | now.keys()):
        old, new = was.get(chosen, ""), now.get(chosen, "")
        if old == new or not kept.isdisjoint({frozenset((chosen, old)), frozenset((chosen, new))}):
            continue
        code = "pair.made" if not old else "pair.changed" if new else "pair.dissolved"
        if not new and chosen not in used:
            # That the wanted one itself goes is told elsewhere; its companion may go as well.
            if old in used:
                continue
            code = "pair.gone"
        label = _label(after, chosen) or _label(before, chosen)
        named = _labels(before, old, after, new) | {"label": label}
        companion = after.certificate(new) if new else before.certificate(old)
        key = {"key": companion.key_algorithm if companion else ""}
        yield Change(code, Effect.CERTIFICATE, chosen, named | key)


def _pairs(state: DesiredState) -> dict[str, str]:
    """Return the companion of every certificate that is wanted somewhere and has one."""
    pairs = (state.pair_of(chosen) for chosen in state.chosen_fingerprints)
    return {pair[0]: pair[1] for pair in pairs if len(pair) > 1}


def _chain_changes(before: DesiredState, after: DesiredState) -> Iterator[Change]:
    """The leaf stays and its intermediates change: the usual repair of an incomplete chain."""
    # Once: with hundreds of host names, asking again for each one takes half a second.
    used_before = set(before.used_fingerprints)
    for fingerprint in after.used_fingerprints:
        old, new = before.certificate(fingerprint), after.certificate(fingerprint)
        if fingerprint not in used_before or not old or not new:
            continue
        if old.chain_digest != new.chain_digest:
            yield Change(
                "certificate.chain_changed",
                Effect.CERTIFICATE,
                fingerprint,
                {"label": new.label, "has_chain": int(bool(new.chain_digest))},
            )


def _labels(before: DesiredState, old: str, after: DesiredState, new: str) -> dict[str, str | int]:
    return {
        "before": _label(before, old),
        "before_fingerprint": old,
        "after": _label(after, new),
        "after_fingerprint": new,
    }


def _label(state: DesiredState, fingerprint: str) -> str:
    certificate = state.certificate(fingerprint)
    return certificate.label if certificate else ""
