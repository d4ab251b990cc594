"""Ending what belongs to a private mail server, also what shows itself late or again and again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import psutil
import pytest

from mailadmin.agent.host.processes import end_all, is_alive


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    with subprocess.Popen(["sleep", "600"]) as started:
        yield psutil.Process(started.pid)
        started.kill()


def test_one_that_shows_nothing_at_the_first_look_is_ended_too(sleeper: psutil.Process) -> None:
    # As between two programs: neither its folder nor its environment can be read.
    looks = iter([[], [sleeper]])
    assert end_all(lambda: next(looks, []), 0)
    assert not is_alive(sleeper)


def test_one_that_is_found_for_ever_is_told(sleeper: psutil.Process) -> None:
    assert not end_all(lambda: [sleeper], 0)
