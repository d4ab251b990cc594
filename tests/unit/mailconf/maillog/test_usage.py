"""Counts are exact, memory is bounded, and the report crosses the wire."""

from __future__ import annotations

import json

from mailadmin.mailconf.maillog import tally as counting
from mailadmin.mailconf.maillog.access import CLEAR, Access
from mailadmin.mailconf.maillog.tally import Tally
from mailadmin.mailconf.maillog.usage import AskedName, LiveSession, Person, Usage
from mailadmin.pki.problems import Problem


def access(who: str, at: int = 100, **others: object) -> Access:
    return Access(at, ("imap",), who, "192.0.2.7", CLEAR)._replace(**others)


def test_sessions_and_people_are_counted_and_the_latest_comes_first() -> None:
    tally = Tally(since=50)
    for one in (
        access("anna", 100),
        access("anna", 90, address="192.0.2.8"),
        access("bert", 200),
        access("old", 49),
        access("nobody", is_success=False),
    ):
        tally.add(one)
    (group,) = tally.groups()
    assert (group.sessions, group.people, group.is_more, tally.failures) == (3, 2, False, 1)
    assert group.shown == (
        Person("bert", 1, 200, "192.0.2.7"),
        Person("anna", 2, 100, "192.0.2.7"),
    )


def test_more_people_than_there_is_room_for_are_said_to_be_more() -> None:
    tally = Tally(since=0, most_people=2)
    for who in ("a", "b", "c", "a"):
        tally.add(access(who))
    (group,) = tally.groups()
    assert (group.sessions, group.people, group.is_more) == (4, 2, True)


def test_an_endless_name_is_cut_and_stays_one_person() -> None:
    tally = Tally(since=0)
    for _ in range(3):
        tally.add(access("x" * 1000))
    (group,) = tally.groups()
    assert [(len(person.who), person.sessions) for person in group.shown] == [(255, 3)]


def test_groups_and_names_are_a_bounded_number() -> None:
    tally = Tally(since=0)
    for number in range(counting.MOST_NAMES + 20):
        tally.add(access("anna", cipher=f"C{number}", name=f"n{number}.example.org"))
    groups = tally.groups()
    assert len(groups) == counting.MOST_GROUPS + 1
    assert sum(group.sessions for group in groups) == counting.MOST_NAMES + 20
    assert len(tally.names()) == counting.MOST_NAMES


def test_a_report_names_a_bounded_number_of_people() -> None:
    tally = Tally(since=0)
    for number in range(counting.SHOWN_PEOPLE + 5):
        tally.add(access(f"u{number}"))
    (group,) = tally.groups()
    assert (group.people, len(group.shown)) == (counting.SHOWN_PEOPLE + 5, counting.SHOWN_PEOPLE)


def test_the_name_asked_for_most_comes_first() -> None:
    tally = Tally(since=0)
    for name in ("a.example.org", "b.example.org", "b.example.org"):
        tally.add(access("anna", name=name))
    assert tally.names() == (
        AskedName("b.example.org", 2, 100),
        AskedName("a.example.org", 1, 100),
    )


def test_the_json_form_is_read_back_as_it_was() -> None:
    tally = Tally(since=0)
    tally.add(access("anna", name="imap.example.org"))
    report = Usage(
        0, 200, 50, ("/var/log/mail.log",), 7, 1, True, tally.groups(), tally.names(),
        (LiveSession("imap", "192.0.2.7", "anna"),), (Problem("usage.no_log"),),
    )  # fmt: skip
    assert Usage.from_dict(json.loads(json.dumps(report.as_dict()))) == report
