"""An agent killed at any point of a trial: the next finds the old state, or the new one, proven."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mailadmin.agent.protocol import Outcome
from mailadmin.mailconf.state import DesiredState
from tests.integration.killed_trial import BACK, INTO, NOT_NOTED, NOT_TOLD
from tests.integration.mail_host import PROJECT, MailHost
from tests.states import make_material, with_default, with_open

pytestmark = pytest.mark.integration


def trial_file(host: MailHost) -> Path:
    return host.config.state_dir / "trial.json"


def both_changed(host: MailHost) -> DesiredState:
    """Return a state with another certificate, and a port closed in each daemon."""
    state = with_default(host.base, make_material("unfinished").certificate)
    return with_open(state, "pop3", "submission", is_open=False)


def die(host: MailHost, point: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "tests.integration.killed_trial", str(host.config_file), point]
    done = subprocess.run([*command, *arguments], cwd=PROJECT, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def outcome_of(host: MailHost) -> Outcome | None:
    report = host.agent.host.store.read_result("killed")
    return report.outcome if report else None


@pytest.mark.parametrize("point", INTO)
def test_killed_on_the_way_in(idle_host: MailHost, point: str) -> None:
    host = idle_host
    before, leaves, wanted = host.files(), host.leaves(), both_changed(host)
    state_file = host.folder / "state.json"
    state_file.write_text(json.dumps(wanted.as_dict(with_pem=True, with_key=True)))
    die(host, point, str(state_file))
    host.start_agent()
    try:
        assert not host.has_journal
        if point in NOT_TOLD:
            assert (host.files(), host.leaves()) == (before, leaves)
            assert not trial_file(host).exists()
            assert outcome_of(host) is Outcome.ROLLED_BACK
        else:
            assert host.leaf("imaps") == host.leaf("submissions") == wanted.default_certificate
            assert host.client.standing("killed").seconds_left
            # And the way back is whole.
            host.client.take_back("killed", lambda _: None)
            assert (host.files(), host.leaves()) == (before, leaves)
    finally:
        host.stop_agent()


@pytest.mark.parametrize("point", BACK)
def test_killed_on_the_way_back(idle_host: MailHost, point: str) -> None:
    host = idle_host
    before, leaves, wanted = host.files(), host.leaves(), both_changed(host)
    host.start_agent()
    host.client.apply(
        wanted,
        digest=host.plan(wanted).digest,
        deployment_id="killed",
        on_step=lambda _: None,
        confirm_within=300,
    )
    host.stop_agent()
    on_trial = host.files()
    assert on_trial != before
    die(host, point)
    host.start_agent()
    try:
        if point in NOT_NOTED:
            assert host.files() == on_trial
            assert host.client.standing("killed").seconds_left
            assert host.leaf("imaps") == wanted.default_certificate
            return
        assert (host.files(), host.leaves()) == (before, leaves)
        assert not trial_file(host).exists()
        assert not host.has_journal
        assert outcome_of(host) is Outcome.ROLLED_BACK
    finally:
        host.stop_agent()
