"""Counts of who used what, kept in bounded memory, added up and put aside to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mailadmin.mailconf.maillog.access import Access, Services
from mailadmin.mailconf.maillog.usage import AskedName, Group, Person

# People of whom a log is remembered, all groups together: some 40 MB.
MOST_PEOPLE = 100_000
# A log has a few dozen combinations of service, version and cipher suite.
MOST_GROUPS = 300
MOST_NAMES = 1_000
# What a report names, of one group and of all; its counts are about all that are remembered.
SHOWN_PEOPLE = 1_000
SHOWN_IN_ALL = 20_000
_LONGEST_NAME = 255

_Key = tuple[Services, str, str]


@dataclass(slots=True)
class _Seen:
    sessions: int = 0
    last_at: int = 0
    address: str = ""

    def add(self, at: int, address: str = "") -> None:
        self.sessions += 1
        if at >= self.last_at:
            self.last_at, self.address = at, address

    def join(self, other: _Seen) -> None:
        self.sessions += other.sessions
        if other.last_at >= self.last_at:
            self.last_at, self.address = other.last_at, other.address

    def as_row(self) -> list[Any]:
        return [self.sessions, self.last_at, self.address]


@dataclass(slots=True)
class _Crowd:
    sessions: int = 0
    is_more: bool = False
    people: dict[str, _Seen] = field(default_factory=dict)


class Tally:
    """Adds up uses, in any order. Sessions are counted exactly, whoever they are of.

    ``since``: what is older is left out. ``oldest``: when the first that was counted was, or 0.
    """

    def __init__(self, since: int, most_people: int = MOST_PEOPLE) -> None:
        self.since = since
        self.oldest = 0
        self._room = most_people
        self._crowds: dict[_Key, _Crowd] = {}
        self._names: dict[str, _Seen] = {}
        self.failures = 0

    def add(self, access: Access) -> None:
        """Count one use; what is older than the time asked for is left out."""
        if access.at < self.since:
            return
        if access.at < self.oldest or not self.oldest:
            self.oldest = access.at
        asked = self._name(access.name) if access.name else None
        if asked is not None:
            asked.add(access.at)
        if not access.is_success:
            self.failures += 1
            return
        crowd = self._crowd((access.services, access.tls, access.cipher))
        crowd.sessions += 1
        seen = self._person(crowd, access.who[:_LONGEST_NAME])
        if seen is not None:
            seen.add(access.at, access.address)

    def join(self, other: Tally) -> None:
        """Count what another one counted; of a time that lies in this one's."""
        self.failures += other.failures
        self.oldest = min(filter(None, (self.oldest, other.oldest)), default=0)
        for key, crowd in other._crowds.items():
            mine = self._crowd(key)
            mine.sessions += crowd.sessions
            mine.is_more = mine.is_more or crowd.is_more
            for who, seen in crowd.people.items():
                person = self._person(mine, who)
                if person is not None:
                    person.join(seen)
        for name, seen in other._names.items():
            known = self._name(name)
            if known is not None:
                known.join(seen)

    def _crowd(self, key: _Key) -> _Crowd:
        crowd = self._crowds.get(key)
        if crowd is None:
            if len(self._crowds) >= MOST_GROUPS:
                key = (key[0], key[1], "")
            crowd = self._crowds.setdefault(key, _Crowd())
        return crowd

    def _person(self, crowd: _Crowd, who: str) -> _Seen | None:
        seen = crowd.people.get(who)
        if seen is None:
            if self._room <= 0:
                crowd.is_more = True
                return None
            self._room -= 1
            seen = crowd.people[who] = _Seen()
        return seen

    def _name(self, name: str) -> _Seen | None:
        seen = self._names.get(name)
        if seen is None and len(self._names) < MOST_NAMES:
            seen = self._names[name] = _Seen()
        return seen

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form: everything, to go on from."""
        return {
            "since": self.since,
            "oldest": self.oldest,
            "failures": self.failures,
            "crowds": [
                [
                    *(list(services), tls, cipher, crowd.sessions, crowd.is_more),
                    {who: seen.as_row() for who, seen in crowd.people.items()},
                ]
                for (services, tls, cipher), crowd in self._crowds.items()
            ],
            "names": {name: seen.as_row() for name, seen in self._names.items()},
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        found = cls(value["since"])
        found.oldest, found.failures = value["oldest"], value["failures"]
        for services, tls, cipher, sessions, is_more, rows in value["crowds"]:
            people = {who: _Seen(*row) for who, row in rows.items()}
            found._crowds[(tuple(services), tls, cipher)] = _Crowd(sessions, is_more, people)
            found._room -= len(people)
        found._names = {name: _Seen(*row) for name, row in value["names"].items()}
        return found

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
