"""An agent killed at any point of an apply: the next one finds the old state, or the proven new."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mailadmin.agent.protocol import AgentError, Outcome, StepEvent, StepStatus
from mailadmin.mailconf.state import DesiredState
from tests.integration import mail_clients
from tests.integration.killed_agent import DONE, POINTS, UNTOUCHED
from tests.integration.mail_host import PROJECT, SERVICES, MailHost
from tests.states import make_material, with_default, with_open

pytestmark = pytest.mark.integration


def apply_and_die(host: MailHost, state: DesiredState, point: str) -> None:
    """Apply in a process of its own which kills itself at this point."""
    state_file = host.folder / "state.json"
    state_file.write_text(json.dumps(state.as_dict(with_pem=True, with_key=True)))
    command = [sys.executable, "-m", "tests.integration.killed_agent"]
    done = subprocess.run(
        [*command, str(host.config_file), str(state_file), point],
        cwd=PROJECT,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def both_changed(host: MailHost) -> DesiredState:
    """Return a state with another certificate, and a port closed in each daemon."""
    state = with_default(host.base, make_material("unfinished").certificate)
    return with_open(state, "pop3", "submission", is_open=False)


@pytest.mark.parametrize("point", POINTS)
def test_the_next_agent_makes_it_whole(idle_host: MailHost, point: str) -> None:
    host = idle_host
    files, generations, leaves = host.files(), host.generations(), host.leaves()
    wanted = both_changed(host)
    apply_and_die(host, wanted, point)
    assert host.has_journal == (point not in (*UNTOUCHED, POINTS[-1]))

    host.start_agent()
    try:
        result = host.agent.host.store.read_result("killed")
        assert not host.has_journal
        if point in DONE:
            assert result is not None
            assert result.outcome is Outcome.SUCCEEDED
            closed = {"pop3", "submission"}
            expected = {
                name: "" if name in closed else wanted.default_certificate for name in SERVICES
            }
            assert host.leaves() == expected
            return
        assert host.files() == files
        assert host.generations() == generations
        assert host.leaves() == leaves
        assert (result is None) == (point in UNTOUCHED)
        if result is not None:
            assert result.outcome is Outcome.ROLLED_BACK
            assert result.problem is not None
            assert result.problem.code == "agent.interrupted"
    finally:
        host.stop_agent()


def test_a_certificate_change_is_undone_by_a_re_read(idle_host: MailHost) -> None:
    host = idle_host
    state = with_default(host.base, make_material("unfinished").certificate)
    files, leaves, reloads = host.files(), host.leaves(), host.count_reloads()
    apply_and_die(host, state, "before telling Postfix")
    session = mail_clients.connect_imap(host)
    host.start_agent()
    try:
        assert host.files() == files
        assert host.leaves() == leaves
        assert host.count_reloads()[1] == reloads[1]
        assert session.noop()[0] == "OK"
    finally:
        host.stop_agent()
    session.logout()


# The agent as it is started on a mail host


@pytest.fixture
def process_host(idle_host: MailHost) -> Iterator[MailHost]:
    """Yield the mail server with an agent in a process of its own."""
    idle_host.agent_log.unlink(missing_ok=True)
    idle_host.start_agent_process()
    yield idle_host
    if idle_host.process is not None:
        idle_host.end_agent_process()


def test_the_agents_process_killed_in_mid_watch_is_undone_when_it_starts_again(
    process_host: MailHost,
) -> None:
    host = process_host
    host.end_agent_process()
    # However late we hear of the proof.
    host.start_agent_process(watch=60)
    files, leaves = host.files(), host.leaves()
    wanted = both_changed(host)
    digest = host.plan(wanted).digest

    def kill_after_proof(event: StepEvent) -> None:
        if event.code == "proved" and event.status is StepStatus.DONE:
            host.end_agent_process(signal.SIGKILL)

    with pytest.raises(AgentError) as raised:
        host.client.apply(wanted, digest=digest, deployment_id="killed", on_step=kill_after_proof)
    assert raised.value.problem.code in {"agent.hung_up", "agent.unreachable"}
    assert host.files() != files
    assert host.has_journal

    host.start_agent_process()
    assert host.files() == files
    assert host.leaves() == leaves
    told: list[StepEvent] = []
    report = host.client.apply(wanted, digest=digest, deployment_id="killed", on_step=told.append)
    assert report.outcome is Outcome.ROLLED_BACK
    assert told[-1].code == "proved_as_before"
    assert "an interrupted apply was ended: rolled_back" in host.agent_log.read_text()


def test_a_polite_end_lets_the_apply_end_first(process_host: MailHost) -> None:
    host = process_host
    wanted = both_changed(host)

    def end_after_proof(event: StepEvent) -> None:
        if event.code == "proved" and event.status is StepStatus.DONE:
            assert host.process is not None
            host.process.send_signal(signal.SIGTERM)

    # The conversation may end first; the apply must not.
    with contextlib.suppress(AgentError):
        host.apply(wanted, deployment_id="killed", on_step=end_after_proof)
    assert host.process is not None
    assert host.process.wait(60) == 0
    host.process = None
    host.start_agent_process()
    report = host.client.apply(wanted, digest="", deployment_id="killed", on_step=lambda _: None)
    assert report.outcome is Outcome.SUCCEEDED
    assert host.leaf("imaps") == wanted.default_certificate


def test_the_log_of_the_agent_tells_what_was_asked_and_no_key(process_host: MailHost) -> None:
    host = process_host
    wanted = both_changed(host)
    host.apply(wanted)
    host.client.observe()
    assert host.end_agent_process() == 0
    log = host.agent_log.read_text()
    for word in ("listening on", "apply [test]", "observe [test]", "plan [test]"):
        assert word in log
    assert "PRIVATE KEY" not in log
    for certificate in wanted.certificates:
        for line in certificate.key_pem.splitlines()[1:-1]:
            assert line not in log


def test_two_agents_do_not_share_a_folder(process_host: MailHost) -> None:
    command = [sys.executable, "-m", "mailadmin.agent", "--config", str(process_host.config_file)]
    second = subprocess.run(command, cwd=PROJECT, capture_output=True, timeout=60)
    assert second.returncode == 1
    assert b"agent.already_running" in second.stderr
    assert process_host.client.observe()
