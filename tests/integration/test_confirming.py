"""A deployment nobody confirms: the agent alone takes it back, with real daemons on the wire."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome
from mailadmin.mailconf.state import DesiredState
from tests.integration import wire
from tests.integration.mail_host import MailHost
from tests.states import make_material, with_default, with_open

pytestmark = pytest.mark.integration

Picture = tuple[Any, ...]


@pytest.fixture(scope="module")
def bare_host(make_mail_host: Callable[..., MailHost], quick_watch: None) -> MailHost:
    """Return a mail server in its base state. There is no panel, no worker and no database."""
    host = make_mail_host(shortest_trial=1)
    host.start_agent()
    host.base = host.full_state()
    host.apply(host.base)
    host.stop_agent()
    return host


@pytest.fixture
def host(bare_host: MailHost) -> Iterator[MailHost]:
    """Yield it with an agent in a process of its own, which knows nothing of an earlier trial."""
    for name in ("trial", "other", "third"):
        (bare_host.config.state_dir / "results" / f"{name}.json").unlink(missing_ok=True)
    bare_host.start_agent_process()
    if not bare_host.is_in_base_state():
        bare_host.apply(bare_host.base)
    yield bare_host
    if bare_host.process is not None:
        bare_host.end_agent_process()


def picture(host: MailHost) -> Picture:
    return host.files(), host.leaves()


def both_changed(host: MailHost) -> DesiredState:
    """Return a state with another certificate, and a port closed in each daemon."""
    state = with_default(host.base, make_material("unfinished").certificate)
    return with_open(state, "pop3", "submission", is_open=False)


def put_on_trial(
    host: MailHost,
    seconds: int,
    deployment_id: str = "trial",
    wanted: DesiredState | None = None,
) -> ApplyReport:
    wanted = wanted or both_changed(host)
    return host.client.apply(
        wanted,
        digest=host.plan(wanted).digest,
        deployment_id=deployment_id,
        on_step=lambda _: None,
        confirm_within=seconds,
    )


def has_trial(host: MailHost) -> bool:
    return (host.config.state_dir / "trial.json").exists()


def refused(host: MailHost, deed: str) -> str:
    deeds: dict[str, Callable[[], object]] = {
        "confirm": lambda: host.client.confirm("trial"),
        "take_back": lambda: host.client.take_back("trial", lambda _: None),
    }
    with pytest.raises(AgentError) as raised:
        deeds[deed]()
    return raised.value.problem.code


def assert_taken_back(host: MailHost, before: Picture, code: str) -> None:
    assert picture(host) == before
    report = host.client.standing("trial").report
    assert report is not None
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.problem is not None
    assert report.problem.code == code
    assert report.steps[-1].code == "proved_as_before"


def test_not_confirmed_the_agent_alone_takes_it_back(host: MailHost) -> None:
    before, wanted = picture(host), both_changed(host)
    report = put_on_trial(host, 8, wanted=wanted)
    assert report.outcome is Outcome.SUCCEEDED
    assert host.leaf("imaps") == host.leaf("submissions") == wanted.default_certificate
    assert not host.is_open("pop3")
    wire.wait_until(lambda: not has_trial(host), 60, "the agent takes it back")
    assert_taken_back(host, before, "confirm.expired")
    assert refused(host, "confirm") == "confirm.too_late"


def test_confirmed_it_stays_beyond_the_deadline_and_beyond_a_restart(host: MailHost) -> None:
    put_on_trial(host, 6)
    host.client.confirm("trial")
    host.client.confirm("trial")
    after = picture(host)
    host.end_agent_process(signal.SIGKILL)
    host.start_agent_process()
    # Longer than the deadline was away.
    looked_until = time.monotonic() + 7
    while time.monotonic() < looked_until:
        assert picture(host) == after
    assert refused(host, "take_back") == "confirm.kept"


def test_the_agent_killed_meanwhile_keeps_the_time(host: MailHost) -> None:
    before = picture(host)
    put_on_trial(host, 15)
    host.end_agent_process(signal.SIGKILL)
    host.start_agent_process()
    assert host.client.standing("trial").seconds_left is not None
    assert picture(host) != before
    wire.wait_until(lambda: not has_trial(host), 60, "the next agent takes it back")
    assert_taken_back(host, before, "confirm.expired")


def test_what_ran_out_without_an_agent_is_taken_back_before_it_answers(host: MailHost) -> None:
    before = picture(host)
    put_on_trial(host, 300)
    host.end_agent_process(signal.SIGKILL)
    record = host.config.state_dir / "trial.json"
    noted = json.loads(record.read_text())
    # As after a reboot that took longer than there was time: another boot, and a later wall clock.
    noted["deadline"] |= {"boot_id": "another", "wall": noted["deadline"]["wall"] - 301}
    record.write_text(json.dumps(noted))
    host.start_agent_process()
    assert not has_trial(host)
    assert_taken_back(host, before, "confirm.expired")


def test_a_second_apply_waits_for_a_decision(host: MailHost) -> None:
    before = picture(host)
    put_on_trial(host, 300)
    on_trial = picture(host)
    second = put_on_trial(host, 300, "other", wanted=host.base)
    assert second.outcome is Outcome.REFUSED
    assert second.problem is not None
    assert second.problem.code == "confirm.awaiting"
    assert picture(host) == on_trial
    report = host.client.take_back("trial", lambda _: None)
    assert report.outcome is Outcome.ROLLED_BACK
    assert_taken_back(host, before, "confirm.declined")
    assert put_on_trial(host, 300, "third").outcome is Outcome.SUCCEEDED
    host.client.confirm("third")
