"""Many names: in which order they are asked for, and how what was turned away is asked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mailadmin.agent.batches import count_names, look, look_again, split
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import TlsMode

PORTS = {"imaps": 993, "pop3s": 995, "submissions": 465}


def questions(names: int) -> list[Expectation]:
    return [
        Expectation(service, "192.0.2.1", port, True, TlsMode.IMPLICIT, name)
        for service, port in PORTS.items()
        for name in ("", *(f"n{number:03}.example.test" for number in range(names)))
    ]


def answer(item: Expectation) -> Seen:
    return Seen(item.service, item.address, item.port, item.sni_name, is_open=True)


class Counted:
    """A probe that notes how much it was asked at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, expected: Sequence[Expectation], is_thorough: bool) -> list[Seen]:
        assert not is_thorough
        self.sizes.append(len(expected))
        return [answer(item) for item in expected]


def test_the_ports_come_first_and_those_of_a_name_stand_side_by_side() -> None:
    asked = questions(40)
    first, *others = split(asked)
    assert [asked[place].port for place in first] == list(PORTS.values())
    names = [asked[place].sni_name for batch in others for place in batch]
    assert names == sorted(names)
    assert max(map(len, others)) <= 64
    assert sorted(place for batch in (first, *others) for place in batch) == list(range(len(asked)))


def test_names_alone_have_no_batch_of_ports() -> None:
    asked = [item for item in questions(1) if item.sni_name]
    assert list(split(asked)) == [[0, 1, 2]]


def test_a_look_answers_in_the_order_of_the_questions_and_tells_how_far_it_is() -> None:
    asked, told = questions(60), list[tuple[int, int]]()
    seen = look(Counted(), asked, lambda done, of: told.append((done, of)))
    assert [item.key for item in seen] == [item.key for item in asked]
    assert told[0] == (0, 60)
    assert told[-1] == (60, 60)
    assert told == sorted(told)
    assert len(told) == 4


def test_a_name_is_done_when_every_port_has_shown_it() -> None:
    asked = questions(2)
    done = {place: answer(item) for place, item in enumerate(asked) if item.service != "imaps"}
    assert count_names(asked, done) == (0, 2)
    done |= {1: answer(asked[1])}
    assert count_names(asked, done) == (1, 2)


def test_what_was_turned_away_is_asked_by_fewer_and_fewer_at_once() -> None:
    asked = questions(4)
    for attempt, sizes in enumerate(([4, 4, 2], [2] * 5, [1] * 10, [1] * 10)):
        probe = Counted()
        again = list(look_again(probe, asked, range(10), attempt))
        assert probe.sizes == sizes
        assert again == [(place, answer(asked[place])) for place in range(10)]


def test_a_look_that_was_turned_away_is_repeated_by_fewer_at_once() -> None:
    sizes: list[int] = []

    def probe(expected: Sequence[Expectation], _: bool) -> list[Seen]:
        sizes.append(len(expected))
        error = "probe.too_many" if len(expected) > 2 else ""
        return [replace(answer(item), error=error) for item in expected]

    asked = [item for item in questions(2) if item.sni_name]
    assert not any(item.error for item in look(probe, asked, lambda _, __: None))
    assert sizes == [6, 4, 2, 2, 2]
