"""What a change would break for those who used the server lately: codes with people behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from mailadmin.mailconf.maillog.access import CLEAR, LOCAL, SOME_TLS, UNTOLD
from mailadmin.mailconf.maillog.usage import AskedName, Group, LiveSession, Person, Usage
from mailadmin.mailconf.profiles import PROFILES, TlsProfile
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import DesiredState, ListenerState
from mailadmin.pki.names import is_covered

# What a finding names of its people; it counts all of them.
MOST_NAMED = 500
# What the daemons' logs call the versions, the oldest first.
_VERSIONS = ("SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One thing that would change for people.

    ``port`` is the one before the change, or 0. ``people`` is the least number, exact unless
    ``is_more``; ``sessions`` is exact. ``is_certain``: the log says that it was this service;
    otherwise it may have been ``others`` as well.
    """

    code: str
    service: str
    people: int
    is_more: bool
    sessions: int
    shown: tuple[Person, ...] = ()
    others: tuple[str, ...] = ()
    live: tuple[LiveSession, ...] = ()
    versions: tuple[str, ...] = ()
    names: tuple[AskedName, ...] = ()
    port: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; of many people only those seen last."""
        return {
            "code": self.code,
            "service": self.service,
            "people": self.people,
            "is_more": self.is_more,
            "sessions": self.sessions,
            "shown": [item.as_dict() for item in self.shown[:MOST_NAMED]],
            "others": list(self.others),
            "live": [item.as_dict() for item in self.live[:MOST_NAMED]],
            "versions": list(self.versions),
            "names": [item.as_dict() for item in self.names],
            "port": self.port,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back. Raises ``KeyError`` or ``TypeError`` on another shape."""
        parts = {
            "shown": tuple(Person(**item) for item in value["shown"]),
            "others": tuple(value["others"]),
            "live": tuple(LiveSession(**item) for item in value["live"]),
            "versions": tuple(value["versions"]),
            "names": tuple(AskedName(**item) for item in value["names"]),
        }
        return cls(**{**value, **parts})

    @property
    def is_certain(self) -> bool:
        """Tell whether it is known to have been this service."""
        return not self.others

    @property
    def is_surely_noticed(self) -> bool:
        """Tell whether somebody would certainly notice, as far as the log tells."""
        if self.code == "usage.ports_go":
            return True
        return self.is_certain and self.code not in {"usage.version_untold", "usage.name_missing"}

    @property
    def is_empty(self) -> bool:
        """Tell whether nobody would notice, as far as can be known."""
        return not (self.sessions or self.live or self.names)


@dataclass(slots=True)
class _Gathered:
    """Several groups as one crowd: somebody who is in two of them is one person."""

    sessions: int = 0
    is_more: bool = False
    largest: int = 0
    people: dict[str, Person] = field(default_factory=dict)

    def add(self, group: Group) -> None:
        self.sessions += group.sessions
        self.is_more = self.is_more or group.is_more or group.people > len(group.shown)
        self.largest = max(self.largest, group.people)
        for person in group.shown:
            self.people[person.who] = _joined(self.people.get(person.who), person)


def foresee(before: DesiredState, after: DesiredState, usage: Usage) -> tuple[Foreseen, ...]:
    """Return what the change would break, by service; nothing for what nobody used."""
    found = (
        *_closed(before, after, usage),
        *_encrypted(before, after, usage),
        *_stricter(before, after, usage),
        *_unnamed(before, after, usage),
    )
    return tuple(item for item in found if not item.is_empty)


@dataclass(frozen=True, slots=True)
class Taking:
    """What a change takes away: a port, clear text, a TLS version, or (service "") a name."""

    code: str
    service: str = ""
    port: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"code": self.code, "service": self.service, "port": self.port}


def takings(before: DesiredState, after: DesiredState) -> Iterator[Taking]:
    """Yield all that the change takes away, whoever used it."""
    for was in _gone(before, after):
        yield Taking("usage.port_goes", was.service, was.port)
    for was in _newly_encrypted(before, after):
        if was.definition.is_for_clients:
            yield Taking("usage.clear_goes", was.service, was.port)
    if _is_stricter(before, after):
        for was in _kept(before, after):
            yield Taking("usage.version_goes", was.service, was.port)
    if _names(before) - _names(after):
        yield Taking("usage.name_goes")


def is_anything_taken(before: DesiredState, after: DesiredState) -> bool:
    """Tell whether the change takes something away, so that it is worth asking who used it."""
    return any(True for _ in takings(before, after))


def _gone(before: DesiredState, after: DesiredState) -> Iterator[ListenerState]:
    for was in before.enabled_listeners:
        now = after.listener(was.service)
        if now is None or not now.is_enabled or now.port != was.port:
            yield was


def _closed(before: DesiredState, after: DesiredState, usage: Usage) -> Iterator[Foreseen]:
    """Yield who uses what closes. Who used one of several that all close is told of once, and
    certainly notices.
    """
    gone = {item.service: item for item in _gone(before, after)}
    together = [item for item in usage.groups if _is_one_of_several(item, gone)]
    rest = [item for item in usage.groups if item not in together]
    for was in gone.values():
        yield from _used("usage.port_goes", was, rest, usage.live)
    for services in sorted({item.services for item in together}):
        same = [item for item in together if item.services == services]
        yield from _used("usage.ports_go", gone[services[0]], same)


def _is_one_of_several(group: Group, gone: Mapping[str, ListenerState]) -> bool:
    return len(group.services) > 1 and all(name in gone for name in group.services)


def newly_open(before: DesiredState, after: DesiredState) -> frozenset[str]:
    """Return the services that can be reached where nothing could be reached before."""
    were = {(item.service, item.address, item.port) for item in before.enabled_listeners}
    return frozenset(
        item.service
        for item in after.enabled_listeners
        if (item.service, item.address, item.port) not in were
    )


def _newly_encrypted(before: DesiredState, after: DesiredState) -> Iterator[ListenerState]:
    for was in before.enabled_listeners:
        now = after.listener(was.service)
        is_open = now is not None and now.is_enabled and now.port == was.port
        if is_open and now and was.tls_mode is TlsMode.NONE and now.tls_mode is not TlsMode.NONE:
            yield was


def _encrypted(before: DesiredState, after: DesiredState, usage: Usage) -> Iterator[Foreseen]:
    in_clear = [group for group in usage.groups if group.tls in {CLEAR, UNTOLD}]
    for was in _newly_encrypted(before, after):
        # Servers that cannot encrypt still deliver on port 25 (RFC 3207, section 4).
        if was.definition.is_for_clients:
            yield from _used("usage.clear_goes", was, in_clear)


def _is_stricter(before: DesiredState, after: DesiredState) -> bool:
    names = list(PROFILES)
    if not {before.tls_profile, after.tls_profile} <= set(names):
        return before.tls_profile != after.tls_profile
    return names.index(after.tls_profile) > names.index(before.tls_profile)


def _stricter(before: DesiredState, after: DesiredState, usage: Usage) -> Iterator[Foreseen]:
    profile = PROFILES.get(after.tls_profile)
    if profile is None or not _is_stricter(before, after):
        return
    too_old = [group for group in usage.groups if is_refused(profile, group.tls, group.cipher)]
    unknown = [group for group in usage.groups if group.tls == SOME_TLS]
    for listener in _kept(before, after):
        yield from _used("usage.version_goes", listener, too_old)
        yield from _used("usage.version_untold", listener, unknown)


def is_refused(profile: TlsProfile, version: str, cipher: str) -> bool:
    """Tell whether a handshake of the past would fail with this profile.

    A suite of TLS 1.2 that the profile lacks counts: a client that had a better one would have
    used it, since the server prefers those (false if the server let the client choose).
    """
    if version not in _VERSIONS:
        return False
    if _VERSIONS.index(version) < _VERSIONS.index(profile.minimum_version):
        return True
    return version == "TLSv1.2" and bool(cipher) and cipher not in profile.ciphers


def _kept(before: DesiredState, after: DesiredState) -> Iterator[ListenerState]:
    """Yield what stays open where it is: who uses another is told that it goes."""
    gone = {item.service for item in _gone(before, after)}
    yield from (item for item in before.enabled_listeners if item.service not in gone)


def _unnamed(before: DesiredState, after: DesiredState, usage: Usage) -> Iterator[Foreseen]:
    was, now = _names(before), _names(after)
    missing = [asked for asked in usage.names if not is_covered(asked.name, now)]
    yield _asked("usage.name_goes", [item for item in missing if is_covered(item.name, was)])
    yield _asked("usage.name_missing", [item for item in missing if not is_covered(item.name, was)])


def _asked(code: str, names: Sequence[AskedName]) -> Foreseen:
    sessions = sum(item.sessions for item in names)
    return Foreseen(code, "", 0, False, sessions, names=tuple(names))


def _names(state: DesiredState) -> frozenset[str]:
    used = (state.certificate(fingerprint) for fingerprint in state.used_fingerprints)
    return frozenset(name for item in used if item for name in item.names)


def _used(
    code: str, listener: ListenerState, groups: Iterable[Group], live: Sequence[LiveSession] = ()
) -> Iterator[Foreseen]:
    """Yield those who certainly used the service, and apart from them those who may have."""
    service = listener.service
    gathered: dict[tuple[str, ...], _Gathered] = {}
    versions: dict[tuple[str, ...], set[str]] = {}
    for group in groups:
        if service in group.services:
            others = tuple(name for name in group.services if name != service)
            gathered.setdefault(others, _Gathered()).add(group)
            versions.setdefault(others, set()).add(group.tls)
    here = tuple(item for item in live if item.service == service)
    if here:
        gathered.setdefault((), _Gathered())
    for others, crowd in sorted(gathered.items()):
        yield Foreseen(
            code,
            service,
            max(len(crowd.people), crowd.largest),
            crowd.is_more,
            crowd.sessions,
            tuple(sorted(crowd.people.values(), key=lambda item: (-item.last_at, item.who))),
            others,
            () if others else here,
            tuple(sorted(versions.get(others, set()) - {CLEAR, LOCAL, SOME_TLS, UNTOLD})),
            port=listener.port,
        )


def _joined(known: Person | None, person: Person) -> Person:
    if known is None:
        return person
    latest = max(known, person, key=lambda item: item.last_at)
    return Person(person.who, known.sessions + person.sessions, latest.last_at, latest.address)
