"""Nobody who sends or reads mail notices an apply: nothing lost, doubled, failed or cut off.

The long version, beside a reload and a restart by hand: ``python -m tests.bench.load``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailadmin.mailconf.state import DesiredState
from mailadmin.sandbox import Sandbox
from tests.bench.load import Change, Run
from tests.integration.mail_host import MailHost
from tests.integration.traffic import Client, Tally, Traffic, add_mailboxes
from tests.states import make_material, with_default, with_open

pytestmark = pytest.mark.integration
CLIENTS = 5
SLOW_LOGINS = 3
APART = 1.2  # seconds from one apply to the next; the agent's own distance is 5


@pytest.fixture(scope="module")
def busy_host(
    make_sandbox: Callable[[], Sandbox], make_open_folder: Callable[[], Path], quick_watch: None
) -> Iterator[tuple[MailHost, list[str]]]:
    """Yield a mail server with a mailbox for each client, and its agent."""
    sandbox = make_sandbox()
    mailboxes = add_mailboxes(sandbox, CLIENTS)
    sandbox.start()
    host = MailHost(sandbox, make_open_folder())
    host.start_agent()
    host.base = host.full_state()
    host.apply(host.base)
    yield host, mailboxes
    host.stop_agent()
    sandbox.stop()


def certificates(base: DesiredState) -> list[DesiredState]:
    """Return states with another certificate each, and another lowest TLS version each second."""
    fresh = [make_material(f"load {number}").certificate for number in range(4)]
    profiles = ("intermediate", "modern", "modern", "intermediate")
    return [
        replace(with_default(base, certificate), tls_profile=profile)
        for certificate, profile in zip(fresh, profiles, strict=True)
    ]


def test_an_apply_costs_nobody_anything(busy_host: tuple[MailHost, list[str]]) -> None:
    host, mailboxes = busy_host
    traffic = Traffic(
        host.sandbox, host.certificate, mailboxes, slow_logins=SLOW_LOGINS, pause=0.02
    )
    reloads = host.count_reloads()[1]
    traffic.start()
    for state in certificates(host.base):
        begun = time.monotonic()
        host.apply(state)
        traffic.pass_time(begun + APART, at_least=CLIENTS + 1)
    assert host.count_reloads()[1] == reloads
    cut_before_ports = list(traffic.tally.cut_logins)
    # Others' ports, in turn of either daemon.
    for services in (("pop3",), ("smtp",), (), ("smtp", "pop3")):
        begun = time.monotonic()
        host.apply(with_open(host.base, *services, is_open=False))
        traffic.pass_time(begun + APART, at_least=CLIENTS + 1)
    tally = traffic.stop()

    assert tally.smtp_faults == []
    assert tally.refused == []
    assert tally.unknown == []
    assert len(tally.sent) > 8 * CLIENTS
    assert tally.lost == []
    assert tally.doubled == []
    assert tally.dropped_sessions == []
    assert sorted(tally.read) == sorted(tally.sent)
    assert len(tally.logins) > SLOW_LOGINS
    assert cut_before_ports == []
    # One instance of Dovecot that moves a port cuts off whoever is just logging in.
    assert len(tally.cut_logins) <= SLOW_LOGINS * 3


# How the comparison counts: neither the panel nor what is done by hand may be charged wrongly


def test_a_closed_door_is_one_fault_however_often_somebody_knocks() -> None:
    tally = Tally()
    client = Client(tally)
    for _ in range(3):
        client.note(tally.smtp_faults, "connect", ConnectionRefusedError())
    client.come_in()
    assert (len(tally.refused), len(tally.kept_out)) == (1, 1)
    client.come_in()
    client.note(tally.smtp_faults, "login", ConnectionResetError())
    client.note(tally.smtp_faults, "connect", ConnectionRefusedError())
    assert [fault.stage for fault in tally.smtp_faults] == ["login"]
    assert (len(tally.refused), len(tally.kept_out)) == (2, 1)


def test_each_fault_is_charged_to_the_change_that_began_last_before_it() -> None:
    changes = [Change(kind, begun, begun + 2, True) for kind, begun in (("a", 10), ("b", 20))]
    run = Run("", Tally(), 30.0, changes)
    assert [run.count([9, 10, 19.9, 20, 99], kind) for kind in ("a", "b")] == [3, 2]
    assert run.moments() == [0, 10]


def test_a_copy_that_came_in_just_before_a_change_was_doubled_by_it() -> None:
    now = time.monotonic()
    changes = [Change(kind, now + at, now + at, True) for kind, at in (("a", -20), ("b", -10))]
    arrived = time.time() - 10.1
    tally = Tally(
        sent={"one": now - 10.2, "two": now - 11},
        delivered={"one": [arrived, arrived + 30], "three": [arrived - 5]},
    )
    run = Run("", tally, 30.0, changes)
    assert [run.count(run.doubled(), kind) for kind in ("a", "b")] == [0, 1]
    assert [run.count(run.lost(), kind) for kind in ("a", "b")] == [1, 0]
