"""The report of who used what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from mailadmin.mailconf.maillog.access import Services
from mailadmin.pki.problems import Problem


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
