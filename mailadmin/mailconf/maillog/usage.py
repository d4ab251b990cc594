"""Counts of who used what, kept in bounded memory; and the report of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mailadmin.mailconf.maillog.access import Access, Services
from mailadmin.pki.problems import Problem

# People of whom a log is remembered, all groups together: some 40 MB.
MOST_PEOPLE = 100_000
# A log has a few dozen combinations of service, version and cipher suite.
MOST_GROUPS = 300
MOST_NAMES = 1_000
# What a report names, of one group and of all; its counts are about all that are remembered.
SHOWN_PEOPLE = 1_000
SHOWN_IN_ALL = 20_000
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who used a service: a user, or a client's host on port 25."""

    who: str
    sessions: int
    # In seconds since 1970.
    last_at: int
    address: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "who": self.who,
            "sessions": self.sessions,
            "last_at": self.last_at,
            "address": self.address,
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Those who used one service (or one of several: ``services``) in one way.

    ``people`` is exact, or the least it can be with ``is_more``. ``shown`` are those seen last.
    """

    services: Services
    tls: str
    cipher: str
    sessions: int
    people: int
    is_more: bool
    shown: tuple[Person, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "services": list(self.services),
            "tls": self.tls,
            "cipher": self.cipher,
            "sessions": self.sessions,
            "people": self.people,
            "is_more": self.is_more,
            "shown": [item.as_dict() for item in self.shown],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back."""
        people = tuple(Person(**item) for item in value["shown"])
        return cls(**{**value, "services": tuple(value["services"]), "shown": people})


@dataclass(frozen=True, slots=True)
class AskedName:
    """A host name that clients asked for by TLS (SNI)."""

    name: str
    sessions: int
    last_at: int

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"name": self.name, "sessions": self.sessions, "last_at": self.last_at}


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A connection that is open now. ``user`` is empty where nobody can tell whose it is."""

    service: str
    address: str
    user: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"service": self.service, "address": self.address, "user": self.user}


@dataclass(frozen=True, slots=True)
class Usage:
    """Who used the mail server from ``since`` to ``until`` (seconds since 1970).

    ``reaches_to``: the oldest moment the logs tell of, or 0 without one. ``is_complete``: nothing
    of that time was left out for lack of time. ``problems``: what could not be read, and why.
    """

    since: int
    until: int
    reaches_to: int
    sources: tuple[str, ...]
    lines: int
    failures: int
    is_complete: bool
    groups: tuple[Group, ...]
    names: tuple[AskedName, ...] = ()
    live: tuple[LiveSession, ...] = ()
    problems: tuple[Problem, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "since": self.since,
            "until": self.until,
            "reaches_to": self.reaches_to,
            "sources": list(self.sources),
            "lines": self.lines,
            "failures": self.failures,
            "is_complete": self.is_complete,
            "groups": [item.as_dict() for item in self.groups],
            "names": [item.as_dict() for item in self.names],
            "live": [item.as_dict() for item in self.live],
            "problems": [item.as_dict() for item in self.problems],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        parts = {
            "sources": tuple(value["sources"]),
            "groups": tuple(Group.from_dict(item) for item in value["groups"]),
            "names": tuple(AskedName(**item) for item in value["names"]),
            "live": tuple(LiveSession(**item) for item in value["live"]),
            "problems": tuple(Problem.from_dict(item) for item in value["problems"]),
        }
        return cls(**{**value, **parts})


@dataclass(slots=True)
class _Seen:
    sessions: int = 0
    last_at: int = 0
    address: str = ""

    def add(self, at: int, address: str = "") -> None:
        self.sessions += 1
        if at >= self.last_at:
            self.last_at, self.address = at, address


@dataclass(slots=True)
class _Crowd:
    sessions: int = 0
    is_more: bool = False
    people: dict[str, _Seen] = field(default_factory=dict)


class Tally:
    """Adds up uses, in any order. Sessions are counted exactly, whoever they are of."""

    def __init__(self, since: int, most_people: int = MOST_PEOPLE) -> None:
        self._since = since
        self._room = most_people
        self._crowds: dict[tuple[Services, str, str], _Crowd] = {}
        self._names: dict[str, _Seen] = {}
        self.failures = 0

    def add(self, access: Access) -> None:
        """Count one use; what is older than the time asked for is left out."""
        if access.at < self._since:
            return
        if access.name:
            self._add_name(access)
        if not access.is_success:
            self.failures += 1
            return
        crowd = self._crowd(access)
        crowd.sessions += 1
        who = access.who[:_LONGEST_NAME]
        seen = crowd.people.get(who)
        if seen is None:
            if self._room <= 0:
                crowd.is_more = True
                return
            self._room -= 1
            seen = crowd.people[who] = _Seen()
        seen.add(access.at, access.address)

    def _crowd(self, access: Access) -> _Crowd:
        key = (access.services, access.tls, access.cipher)
        crowd = self._crowds.get(key)
        if crowd is None:
            if len(self._crowds) >= MOST_GROUPS:
                key = (access.services, access.tls, "")
            crowd = self._crowds.setdefault(key, _Crowd())
        return crowd

    def _add_name(self, access: Access) -> None:
        seen = self._names.get(access.name)
        if seen is None:
            if len(self._names) >= MOST_NAMES:
                return
            seen = self._names[access.name] = _Seen()
        seen.add(access.at)

    def groups(self) -> tuple[Group, ...]:
        """Return what was counted, by service."""
        most = min(SHOWN_PEOPLE, SHOWN_IN_ALL // max(1, len(self._crowds)))
        return tuple(
            Group(*key, crowd.sessions, len(crowd.people), crowd.is_more, _shown(crowd, most))
            for key, crowd in sorted(self._crowds.items())
        )

    def names(self) -> tuple[AskedName, ...]:
        """Return the names asked for, the most wanted first."""
        ranked = sorted(self._names.items(), key=lambda item: (-item[1].sessions, item[0]))
        return tuple(AskedName(name, seen.sessions, seen.last_at) for name, seen in ranked)


def _shown(crowd: _Crowd, most: int) -> tuple[Person, ...]:
    latest = sorted(crowd.people.items(), key=lambda item: (-item[1].last_at, item[0]))
    return tuple(
        Person(who, seen.sessions, seen.last_at, seen.address) for who, seen in latest[:most]
    )
