"""Whether a daemon could listen somewhere, and who listens there instead."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from mailadmin.agent.host.ports import bind_problem, find_holder, listens
from mailadmin.mailconf.state import ANY_ADDRESS

ADDRESS = "127.77.0.2"
NOT_LOCAL = "198.51.100.7"  # RFC 5737: nobody's


@pytest.fixture
def held() -> Iterator[int]:
    """Hold a port and return it."""
    with socket.socket() as holder:
        holder.bind((ADDRESS, 0))
        holder.listen()
        yield int(holder.getsockname()[1])


def test_a_free_port_is_no_problem(held: int) -> None:
    assert bind_problem("imaps", "127.77.0.3", held) is None


def test_a_held_port_names_program_and_process(held: int) -> None:
    problem = bind_problem("imaps", ADDRESS, held)
    assert problem is not None
    assert (problem.code, problem.subject) == ("port.taken", "imaps")
    assert problem.params == {
        "address": ADDRESS,
        "port": held,
        "program": psutil.Process().name(),
        "pid": os.getpid(),
    }


def test_every_address_collides_with_one(held: int) -> None:
    problem = bind_problem("imaps", ANY_ADDRESS, held)
    assert problem is not None
    assert problem.params["pid"] == os.getpid()


@pytest.mark.parametrize("any_address", ["0.0.0.0", "::"])  # noqa: S104 - what is tested
def test_one_address_collides_with_every(any_address: str) -> None:
    family = socket.AF_INET6 if ":" in any_address else socket.AF_INET
    with socket.socket(family) as holder:
        holder.bind((any_address, 0))
        holder.listen()
        port = int(holder.getsockname()[1])
        problem = bind_problem("imaps", ADDRESS, port)
    assert problem is not None
    assert (problem.code, problem.params["pid"]) == ("port.taken", os.getpid())


def test_an_address_of_another_machine_is_said() -> None:
    problem = bind_problem("imaps", NOT_LOCAL, 9993)
    assert problem is not None
    assert problem.code == "port.address_not_local"
    assert problem.params == {"address": NOT_LOCAL, "port": 9993}


def test_a_port_that_was_just_closed_is_free(held: int) -> None:
    """A connection in TIME_WAIT is no hindrance for the daemons either."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ADDRESS, 0))
        listener.listen()
        port = int(listener.getsockname()[1])
        with socket.create_connection((ADDRESS, port)):
            accepted, _ = listener.accept()
            accepted.close()
    assert bind_problem("imaps", ADDRESS, port) is None


def test_a_holder_that_cannot_be_seen_is_unknown(
    held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "net_connections", lambda kind: [])
    problem = bind_problem("imaps", ADDRESS, held)
    assert problem is not None
    assert problem.code == "port.taken_by_unknown"


def test_nobody_holds_a_free_port() -> None:
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = int(free.getsockname()[1])
        assert find_holder(ADDRESS, port) is None


def test_a_holder_that_ended_meanwhile_is_looked_for_again(
    held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The list of the machine names the youngest of those that share a socket: here one that
    # ended, as a login process does, before it could be asked for its name.
    ended = subprocess.Popen(["true"])
    ended.wait()
    look = psutil.net_connections
    looks = []

    def look_at(kind: str) -> list[Any]:
        looks.append(kind)
        rows = look(kind)
        return [row._replace(pid=ended.pid) for row in rows] if len(looks) == 1 else rows

    monkeypatch.setattr(psutil, "net_connections", look_at)
    holder = find_holder(ADDRESS, held)
    assert holder is not None
    assert holder.pid == os.getpid()
    assert len(looks) == 2


def test_of_processes_that_share_a_port_each_listens(held: int) -> None:
    ended = subprocess.Popen(["true"])
    gone = psutil.Process(ended.pid)
    ended.wait()
    assert listens([gone, psutil.Process()], held)
    assert not listens([gone], held)
    assert not listens([psutil.Process()], held + 1)
