"""Many people and workers at once, in processes and threads as gunicorn has them.

On both databases: nothing fails with "database is locked" or a deadlock, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest

from mailadmin.mailconf.services import SERVICES
from tests.integration.databases import Rushers, make_database, run_postgresql
from tests.notification_factories import run_receiver

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
WRITERS = 8


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def rushers(request: pytest.FixtureRequest) -> Iterator[Rushers]:
    """Yield two processes that share a database, for each kind of it."""
    with ExitStack() as stack:
        url = ""
        if request.param == "postgresql":
            url = stack.enter_context(run_postgresql()).create_database("panel")
        database = stack.enter_context(make_database(request.param, url))
        yield stack.enter_context(database.rushers(2))


@pytest.fixture
def stored(rushers: Rushers) -> dict[str, Any]:
    """Return the keys of a new mail server and two certificates."""
    keys: dict[str, Any] = rushers.do_once("prepare")
    return keys


def failures(results: list[Any]) -> list[Any]:
    return [item for item in results if isinstance(item, dict) and "error" in item]


def test_everybody_moves_a_port_of_their_own_and_none_is_lost(
    rushers: Rushers, stored: dict[str, Any]
) -> None:
    last = rushers.do("move_own_port", server=stored["server"], rounds=10)
    assert not failures(last)
    found = rushers.do_once("listeners", server=stored["server"])
    assert [found[service]["port"] for service in SERVICES] == last


def test_everybody_edits_the_same_listener_and_each_edit_builds_on_the_one_before(
    rushers: Rushers, stored: dict[str, Any]
) -> None:
    before = rushers.do_once("events", object_id="submission")
    begin = rushers.do_once("listeners", server=stored["server"])["submission"]
    assert not failures(rushers.do("edit_one_listener", server=stored["server"], rounds=8))
    events = rushers.do_once("events", object_id="submission")[len(before) :]
    found = rushers.do_once("listeners", server=stored["server"])["submission"]
    for name in ("port", "is_enabled"):
        told = [event for event in events if name in event["after"]]
        values = [begin[name], *(event["after"][name] for event in told)]
        assert [event["before"][name] for event in told] == values[:-1]
        assert values[-1] == found[name]
    moves = [event for event in events if "port" in event["after"]]
    assert len(moves) == WRITERS // 2 * 8


def test_two_ways_to_choose_the_default_certificate_never_wait_for_each_other(
    rushers: Rushers, stored: dict[str, Any]
) -> None:
    assert not failures(rushers.do("choose_default", **stored, rounds=10))


def test_everybody_binds_names_and_none_is_lost(rushers: Rushers, stored: dict[str, Any]) -> None:
    assert not failures(rushers.do("bind_own_name", **stored, rounds=4))
    names = rushers.do_once("bindings", server=stored["server"])
    assert len(names) == WRITERS * 4


def test_everybody_stores_people_and_counts_in_the_cache(rushers: Rushers) -> None:
    assert rushers.do("sign_up", rounds=2) == [2] * WRITERS


def test_who_saves_while_the_database_is_held_waits_and_succeeds(
    rushers: Rushers, stored: dict[str, Any]
) -> None:
    took = rushers.do("hold_the_database", threads=2, server=stored["server"], seconds=1.5)
    assert not failures(took)
    assert all(seconds >= 1.4 for seconds in took)
    found = rushers.do_once("listeners", server=stored["server"])
    services = list(SERVICES)
    assert [found[services[number]]["port"] for number in (1, 2, 3)] == [7001, 7002, 7003]


def test_a_plan_that_all_ask_for_at_once_is_queued_once(
    rushers: Rushers, stored: dict[str, Any]
) -> None:
    numbers = []
    for _ in range(3):
        plan = rushers.do_once("plan", server=stored["server"])
        answers = rushers.do("request", plan=plan)
        queued = [item["number"] for item in answers if "number" in item]
        assert len(queued) == 1
        refused = [item for item in answers if item == {"refused": "deployment.under_way"}]
        assert len(refused) == WRITERS - 1
        numbers += queued
        assert rushers.do_once("finish", server=stored["server"]) == 1
    assert all(later == earlier + 1 for earlier, later in pairwise(numbers))
    refusals = rushers.do_once("events", verb="deployment.refused")
    assert len(refusals) == 3 * (WRITERS - 1)


def test_numbers_drawn_at_once_have_no_twins_and_no_gaps(
    rushers: Rushers, stored: dict[str, Any]
) -> None:
    drawn = rushers.do("draw_number", server=stored["server"], rounds=5)
    assert not failures(drawn)
    assert sorted(number for some in drawn for number in some) == list(range(WRITERS * 5))


def test_one_of_many_deployments_runs(rushers: Rushers, stored: dict[str, Any]) -> None:
    waiting = rushers.do_once("queue", server=stored["server"], count=WRITERS)
    claimed = rushers.do("claim", deployments=waiting)
    assert sorted(claimed) == [False] * (WRITERS - 1) + [True]
    statuses = [item["status"] for item in rushers.do_once("deployments", server=stored["server"])]
    assert sorted(statuses) == ["queued"] * (WRITERS - 1) + ["running"]


def test_one_deployment_that_many_workers_follow_is_closed_once(
    rushers: Rushers, stored: dict[str, Any]
) -> None:
    before = rushers.do_once("events", verb="deployment.succeeded")
    (waiting,) = rushers.do_once("queue", server=stored["server"], count=1)
    ended = rushers.do("run", deployment=waiting)
    assert sorted(ended) == [False] * (WRITERS - 1) + [True]
    (found,) = rushers.do_once("deployments", server=stored["server"])
    assert found == {"number": 0, "status": "succeeded", "steps": 1}
    after = rushers.do_once("events", verb="deployment.succeeded")
    assert len(after) == len(before) + 1


def test_what_many_workers_see_at_once_is_told_once(
    rushers: Rushers, stored: dict[str, Any]
) -> None:
    with run_receiver() as receiver:
        rushers.do_once("prepare_notices", url=receiver.url)
        # Each certificate is good for 60 days more: five things are to be told, and on two of
        # these days nothing is new.
        days = [31.0, 37.5, 45.0, 50.5, 57.5, 58.0, 61.0]
        # Day by day: a worker that is a day ahead rightly withdraws what is not sent yet.
        results = [told for day in days for told in rushers.do("look_and_tell", days=[day])]
        assert not failures(results)
        found = rushers.do_once("notices")
    assert found
    assert {(item["status"], item["attempts"]) for item in found} == {("sent", 1)}
    received = [item.headers["X-Mailadmin-Delivery"] for item in receiver.received]
    assert sorted(received) == sorted(item["uuid"] for item in found)
    assert sum(results) == len(found)


def test_of_many_who_order_the_same_certificate_one_orders_and_one_worker_takes_it(
    rushers: Rushers,
) -> None:
    wanted = rushers.do_once("prepare_order")
    made = rushers.do("order_the_same", wanted=wanted)
    assert not failures(made)
    assert sum(made) == 1
    taken = rushers.do("take_the_order", wanted=wanted)
    assert not failures(taken)
    assert sum(taken) == 1
