"""A deadline that neither a clock set by hand nor a reboot moves."""

from __future__ import annotations

import time

import pytest

from mailadmin.agent import deadline as deadline_module
from mailadmin.agent.deadline import Clock, Deadline
from tests.unit.agent.machine import FakeClock


def test_within_a_boot_a_clock_that_is_set_changes_nothing() -> None:
    clocks = FakeClock()
    deadline = Deadline.after(300, clocks.clock)
    clocks.pass_by(100)
    for wall in (0.0, 4_000_000_000.0):
        clocks.wall = wall
        assert deadline.left(clocks.clock) == 200
        assert deadline.anchored(clocks.clock) == deadline


def test_after_a_reboot_the_wall_clock_counts() -> None:
    clocks = FakeClock()
    deadline = Deadline.after(300, clocks.clock)
    clocks.pass_by(60)
    clocks.reboot(wall=clocks.wall + 90)
    assert deadline.left(clocks.clock) == 150
    anchored = deadline.anchored(clocks.clock)
    clocks.wall = 0.0
    assert anchored.left(clocks.clock) == 150
    clocks.pass_by(151)
    assert anchored.left(clocks.clock) == -1


def test_a_clock_set_back_by_a_reboot_grants_no_more_than_there_was() -> None:
    clocks = FakeClock()
    deadline = Deadline.after(300, clocks.clock)
    clocks.reboot(wall=0.0)
    anchored = deadline.anchored(clocks.clock)
    assert anchored.left(clocks.clock) == 300
    clocks.pass_by(100)
    clocks.reboot(wall=clocks.wall + 50)
    again = anchored.anchored(clocks.clock)
    assert again.left(clocks.clock) == 150
    clocks.reboot(wall=0.0)
    assert again.left(clocks.clock) == 150


def test_a_boot_without_a_name_is_never_the_same() -> None:
    clocks = FakeClock(boot="")
    deadline = Deadline.after(300, clocks.clock)
    clocks.since_boot += 1_000
    assert deadline.left(clocks.clock) == 300
    clocks.wall += 400
    assert deadline.left(clocks.clock) == -100


def test_it_is_the_same_after_a_round_trip() -> None:
    deadline = Deadline.after(300, FakeClock().clock)
    assert Deadline.from_dict(deadline.as_dict()) == deadline
    assert deadline.shown == "2027-01-15T08:05:00+00:00"


def test_the_clocks_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    assert clock.boot_id() == clock.boot_id() != ""
    assert clock.since_boot() >= time.clock_gettime(time.CLOCK_MONOTONIC) - 1
    monkeypatch.setattr(deadline_module, "_BOOT_ID", deadline_module._BOOT_ID / "none")
    assert clock.boot_id() == ""
