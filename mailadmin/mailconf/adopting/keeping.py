"""From a desired state take what the host's own files have already: that stays as it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mailadmin.mailconf.adopting.base import Base, DaemonBase, FoundListener
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState, ListenerState, SniBinding
from mailadmin.pki.problems import Problem


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left to write, a state for each daemon, and the services that stay the host's own.

    A listener without a certificate in these serves what the host's own files name.
    """

    postfix: DesiredState
    dovecot: DesiredState
    kept_services: frozenset[str]
    problems: tuple[Problem, ...] = ()

    @property
    def parts(self) -> tuple[DesiredState, DesiredState]:
        """Return both states."""
        return self.postfix, self.dovecot


def subtract(state: DesiredState, base: Base) -> Remaining:
    """Return what the host's own files do not say yet."""
    parts = {daemon: _subtract_from(state, base, daemon) for daemon in Daemon}
    written = {item.service for part in parts.values() for item in part.listeners}
    is_default_written = {daemon: bool(part.default_certificate) for daemon, part in parts.items()}
    kept = {
        item.service
        for item in state.listeners
        if item.service not in written and not is_default_written[item.definition.daemon]
    }
    return Remaining(
        parts[Daemon.POSTFIX],
        parts[Daemon.DOVECOT],
        frozenset(kept),
        tuple(_names_that_stay(state, base)),
    )


def _subtract_from(state: DesiredState, base: Base, daemon: Daemon) -> DesiredState:
    own = base.of(daemon)
    listeners = [item for item in state.listeners if item.definition.daemon is daemon]
    before = {item.state.service: item for item in own.listeners}
    common = base.leaves_in(own.files)
    default = frozenset(state.pair_of(state.default_certificate))
    is_default_written = (
        bool(default and common)
        and default != common
        and any(
            _is_served(item)
            and _wanted(state, item) == default
            and not _has_own_files(before, item)
            for item in listeners
        )
    )
    common = default if is_default_written else common
    remaining: list[ListenerState] = []
    for item in listeners:
        found = before.get(item.service)
        served = base.leaves_in(found.files) if found and found.has_own_files else common
        # What cannot be read is left alone until somebody chooses another.
        is_unread = not served and not item.certificate
        is_as_wanted = not _is_served(item) or is_unread or _wanted(state, item) == served
        if found and _is_same(found.state, item) and is_as_wanted:
            continue
        is_common = _is_served(item) and _wanted(state, item) == common
        # Said by the host's own files, or by the default that is written for all.
        remaining.append(replace(item, certificate="") if is_common else _spelled(state, item))
    return replace(
        state,
        listeners=tuple(remaining),
        default_certificate=state.default_certificate if is_default_written else "",
        sni_bindings=_remaining_names(state, base, own),
    )


def _spelled(state: DesiredState, item: ListenerState) -> ListenerState:
    """Return the listener with its certificate named, whoever else has the same."""
    return replace(item, certificate=state.certificate_for(item)) if item.is_enabled else item


def _has_own_files(before: dict[str, FoundListener], item: ListenerState) -> bool:
    found = before.get(item.service)
    return found is not None and found.has_own_files


def _is_served(item: ListenerState) -> bool:
    return item.is_enabled and item.is_encrypted


def _wanted(state: DesiredState, item: ListenerState) -> frozenset[str]:
    return frozenset(state.pair_of(state.certificate_for(item)))


def _is_same(found: ListenerState, wanted: ListenerState) -> bool:
    """Tell whether a port is as wanted; of one that is closed nothing else counts."""
    if not (found.is_enabled or wanted.is_enabled):
        return True
    return (found.is_enabled, found.address, found.port, found.tls_mode) == (
        wanted.is_enabled,
        wanted.address,
        wanted.port,
        wanted.tls_mode,
    )


def _remaining_names(state: DesiredState, base: Base, own: DaemonBase) -> tuple[SniBinding, ...]:
    """Return every name if one differs: Postfix has one table, all of it ours or the host's.

    Names that this daemon shows and the other does not are its own; the panel knows none of them.
    """
    for binding in state.sni_bindings:
        wanted = frozenset(state.pair_of(binding.certificate))
        files = own.names.get(binding.host_name)
        if files is None or base.leaves_in(files) != wanted:
            return state.sni_bindings
    return ()


def _names_that_stay(state: DesiredState, base: Base) -> Iterable[Problem]:
    """Return the names that both daemons' own files bind and the state does not want any more."""
    wanted = {item.host_name for item in state.sni_bindings}
    for name in sorted(shared_names(base).keys() - wanted):
        yield Problem("kept.name_in_files", subject=name)


def shared_names(base: Base) -> dict[str, frozenset[str]]:
    """Return the names for which both daemons show the same certificate of their own."""
    found: dict[str, frozenset[str]] = {}
    for name in base.postfix.names.keys() & base.dovecot.names.keys():
        one, other = (base.leaves_in(daemon.names[name]) for daemon in (base.postfix, base.dovecot))
        if one and one == other:
            found[name] = one
    return found
