"""Counts that are put aside and gone on from are those of one reading."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.mailconf.maillog import tally as counting
from mailadmin.mailconf.maillog.access import Access, Naming
from mailadmin.mailconf.maillog.reading import LogReader
from mailadmin.mailconf.maillog.tally import Tally
from tests.maillogs import write_lines

UNTIL = datetime(2026, 11, 24, tzinfo=UTC)
ACCESSES = st.lists(
    st.builds(
        Access,
        at=st.integers(0, 300),
        services=st.sampled_from([("imap",), ("imap", "imaps")]),
        who=st.sampled_from(["anna", "bert", "carl"]),
        address=st.just("192.0.2.7"),
        tls=st.sampled_from(["clear", "TLSv1.3"]),
        name=st.sampled_from(["", "mail.example.org"]),
        is_success=st.booleans(),
    ),
    max_size=30,
)


def counted(accesses: list[Access], since: int = 100) -> Tally:
    tally = Tally(since)
    for access in accesses:
        tally.add(access)
    return tally


def stored(tally: Tally) -> Tally:
    return Tally.from_dict(json.loads(json.dumps(tally.as_dict())))


@given(ACCESSES, ACCESSES)
def test_two_halves_are_the_whole(one: list[Access], other: list[Access]) -> None:
    joined = Tally(100)
    for half in (one, other):
        joined.join(stored(counted(half)))
    whole = counted([*one, *other])
    assert joined.groups() == whole.groups()
    assert joined.names() == whole.names()
    assert (joined.failures, joined.oldest) == (whole.failures, whole.oldest)


@given(ACCESSES, ACCESSES)
def test_counting_goes_on_after_being_put_aside(one: list[Access], other: list[Access]) -> None:
    tally = stored(counted(one))
    for access in other:
        tally.add(access)
    assert tally.as_dict() == counted([*one, *other]).as_dict()


def test_joining_keeps_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST_NAMES", 1)
    few = Tally(0, most_people=1)
    many = Tally(0)
    for who, name in (("anna", "a.example"), ("bert", "b.example")):
        many.add(Access(1, ("imap",), who, "192.0.2.7", name=name))
    few.join(many)
    (group,) = few.groups()
    assert (group.sessions, group.people, group.is_more) == (2, 1, True)
    few.join(counted([Access(200, ("imap",), "carl", "x", name="b.example")]))
    assert [item.name for item in few.names()] == ["a.example"]


@given(st.integers(0, 400))
def test_a_log_may_be_cut_anywhere(cut: int) -> None:
    lines = [line.rstrip(b"\n") for line in write_lines(400, users=9, until=UNTIL)]

    def read(reader: LogReader, part: list[bytes]) -> list[Access]:
        return list(reader.read(part))

    whole = LogReader(Naming(), UTC, UNTIL)
    wanted = [*read(whole, lines), *whole.finish()]
    first, second = LogReader(Naming(), UTC, UNTIL), LogReader(Naming(), UTC, UNTIL)
    found = read(first, lines[:cut])
    second.resume(json.loads(json.dumps(first.open_sessions())))
    found += [*read(second, lines[cut:]), *second.finish()]
    assert found == wanted
