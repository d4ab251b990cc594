"""Dovecot in two instances: made, used, changed at no cost, made one again, and taken back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailadmin.agent.protocol import AgentError, Outcome
from mailadmin.deployments.services import adopt_server
from mailadmin.listeners.selectors import desired_state
from mailadmin.mailconf.profiles import KEPT
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Severity
from mailadmin.sandbox import Sandbox
from mailadmin.servers.models import MailServer
from tests.factories import make_actor
from tests.integration import mail_clients, wire
from tests.integration.mail_host import DOVECOT_SERVICES, MailHost
from tests.integration.traffic import Traffic, add_mailboxes
from tests.states import make_material, with_default, with_open

pytestmark = pytest.mark.integration
CLIENTS = 4
SLOW_LOGINS = 4


@pytest.fixture
def split(host: MailHost) -> DesiredState:
    """Return the base state with the ports in an instance of their own, and have it so."""
    state = replace(host.base, is_dovecot_split=True)
    if host.plan(state).files:
        host.apply(state)
    return state


def codes(host: MailHost) -> list[tuple[str, str]]:
    """Return the steps of the last apply which told Dovecot something."""
    told = [(step.code, step.subject) for step in host.told if "dovecot" in step.subject]
    return [item for item in dict.fromkeys(told) if item[0] != "checked"]


def test_ports_move_to_an_instance_of_their_own_and_back(host: MailHost) -> None:
    before = host.files()
    core = host.agent.host.dovecot.core.master_pid()
    reader = mail_clients.connect_imap(host)
    capabilities = greeting_of_sieve(host)
    state = replace(host.base, is_dovecot_split=True)
    plan = host.plan(state)
    assert [item["name"] for item in plan.files] == [
        "99z-mailadmin-core.conf",
        "mailadmin-front.conf",
    ]
    assert [item.code for item in plan.problems] == ["front.price"]
    host.apply(state)
    assert codes(host) == [("reloaded", "dovecot-core"), ("started", "dovecot-front")]
    dovecot = host.agent.host.dovecot
    assert dovecot.core.master_pid() == core
    assert dovecot.front.is_running()
    assert not host.plan(state).files
    # Who was logged in stays so, and everybody else comes in through the other instance.
    assert reader.noop()[0] == "OK"
    mail_clients.deliver_on_port_25(host.sandbox, host.settings.mailbox, "in two")
    mail_clients.wait_for_subject(host, "in two", service="imaps")
    assert "in two" in mail_clients.list_subjects_by_imap(host, service="imap")
    assert "in two" in mail_clients.list_subjects_by_pop3s(host)
    assert greeting_of_sieve(host) == capabilities
    assert host.settings.mailbox in dovecot.read_who()
    host.apply(host.base)
    assert codes(host) == [("stopped", "dovecot-front"), ("reloaded", "dovecot-core")]
    assert not dovecot.front.is_running()
    assert reader.noop()[0] == "OK"
    assert {name: item for name, item in host.files().items() if name != "live"} == {
        name: item for name, item in before.items() if name != "live"
    }


def greeting_of_sieve(host: MailHost) -> str:
    """Return what Dovecot says of Sieve to whoever connects."""
    return wire.converse(host.address, host.port("sieve"), greeting_ends='ready."\r\n')


def test_a_port_or_certificate_leaves_the_other_instance_alone(
    host: MailHost, split: DesiredState
) -> None:
    dovecot = host.agent.host.dovecot
    masters = dovecot.core.master_pid(), dovecot.front.master_pid()
    host.apply(with_open(split, "imap", is_open=False))
    assert codes(host) == [("reloaded", "dovecot-front")]
    assert not host.is_open("imap")
    renewed = make_material("renewed").certificate
    host.apply(with_default(with_open(split, "imap", is_open=False), renewed))
    assert codes(host) == [("reread", "dovecot")]
    assert host.leaf("imaps") == renewed.fingerprint
    host.apply(split)
    assert host.is_open("imap")
    assert (dovecot.core.master_pid(), dovecot.front.master_pid()) == masters
    assert dovecot.serving is dovecot.front


@pytest.mark.parametrize("is_split", [True, False], ids=["split", "joined"])
def test_what_cannot_be_proven_is_taken_back(
    host: MailHost, monkeypatch: pytest.MonkeyPatch, *, is_split: bool
) -> None:
    """The other instance does not come up: the ports are where they were, to the byte."""
    before_it = replace(host.base, is_dovecot_split=not is_split)
    if host.plan(before_it).files:
        host.apply(before_it)
    before, dovecot = host.files(), host.agent.host.dovecot
    fails = dovecot.front if is_split else dovecot.core

    def refuse(_instance: object) -> None:
        monkeypatch.undo()
        raise AgentError.because("dovecot.start_failed", words="refused by the test")

    deed = "start" if is_split else "reload"
    real = getattr(type(fails), deed)
    monkeypatch.setattr(
        type(fails), deed, lambda self: refuse(self) if self == fails else real(self)
    )
    report = host.apply(replace(host.base, is_dovecot_split=is_split), Outcome.ROLLED_BACK)
    assert report.problem is not None
    assert report.problem.code == "dovecot.start_failed"
    assert host.files() == before
    assert dovecot.front.is_running() is not is_split
    assert all(host.is_open(service) for service in DOVECOT_SERVICES)
    mail_clients.connect_imap(host).logout()


def kill(pid: int | None, is_gone: Callable[[], bool]) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wire.wait_until(is_gone, 60, "the process is gone")


def test_ports_whose_instance_died_are_told_and_come_back(
    host: MailHost, split: DesiredState
) -> None:
    front = host.agent.host.dovecot.front
    kill(front.master_pid(), lambda: not front.is_running())
    plan = host.plan(split)
    assert [item.code for item in plan.problems] == ["front.not_running"]
    wire.wait_until(lambda: not host.is_open("imaps"), 60, "the ports of the dead are closed")
    host.apply(split)
    assert all(host.is_open(service) for service in DOVECOT_SERVICES)
    # As after a boot of the machine, which knows nothing of the second one.
    kill(front.master_pid(), lambda: not front.is_running())
    wire.wait_until(lambda: not host.is_open("imaps"), 60, "the ports of the dead are closed")
    host.stop_agent()
    host.start_agent()
    assert all(host.is_open(service) for service in DOVECOT_SERVICES)


@pytest.mark.parametrize("is_down", [True, False], ids=["down", "still running"])
def test_files_that_dovecot_refuses_after_an_upgrade_are_written_anew(
    host: MailHost, split: DesiredState, *, is_down: bool
) -> None:
    dovecot = host.agent.host.dovecot
    before = host.files()
    for path in (host.dropin, dovecot.front.config_file):
        host.edit(path, path.read_text() + "no_such_setting = yes\n")
    if is_down:
        kill(dovecot.front.master_pid(), lambda: not dovecot.front.is_running())
    plan = host.plan(split)
    assert "dovecot.dropin_refused" in {problem.code for problem in plan.problems}
    assert not [item for item in plan.problems if item.severity is Severity.ERROR]
    host.apply(split)
    assert {name: item for name, item in host.files().items() if name != "live"} == {
        name: item for name, item in before.items() if name != "live"
    }
    assert all(host.is_open(service) for service in DOVECOT_SERVICES)
    assert not host.plan(split).files


@pytest.mark.django_db
def test_a_host_that_was_adopted_keeps_its_own_tls(make_mail_host: Callable[..., MailHost]) -> None:
    """What its files say of ports and certificates is served by the other instance as it was."""
    host = make_mail_host()
    own = host.sandbox.dovecot_config.parent / "conf.d" / "97-own.conf"
    host.edit(own, "service imap-login {\n  inet_listener inside {\n    port = 10143\n  }\n}\n")
    host.sandbox.run_doveadm("reload")
    host.start_agent()
    try:
        wire.wait_until(lambda: not wire.is_refused(host.address, 10143), 60, "its own port")
        adopt_server(
            actor=make_actor(),
            host_name=host.settings.host_name,
            agent_socket=str(host.config.socket),
        )
        adopted = replace(desired_state(MailServer.objects.get()), tls_profile=KEPT)
        before, leaves = host.files(), host.leaves()
        state = replace(adopted, is_dovecot_split=True)
        assert len(host.plan(state).files) == 2
        host.apply(state)
        core = host.agent.host.dovecot.core.master_pid()
        assert host.leaves() == leaves
        assert not wire.is_refused(host.address, 10143)
        host.apply(with_open(state, "pop3", is_open=False))
        assert not host.is_open("pop3")
        assert host.agent.host.dovecot.core.master_pid() == core
        host.apply(adopted)
        assert host.leaves() == leaves
        assert not wire.is_refused(host.address, 10143)
        after = host.files()
        after.pop("live")
        before.pop("live")
        assert after == before
    finally:
        host.stop_agent()


@pytest.fixture
def busy_host(
    make_sandbox: Callable[[], Sandbox], make_open_folder: Callable[[], Path], quick_watch: None
) -> Iterator[tuple[MailHost, list[str]]]:
    """Yield a mail server of two Dovecots with a mailbox for each client, and its agent."""
    sandbox = make_sandbox()
    mailboxes = add_mailboxes(sandbox, CLIENTS)
    sandbox.start()
    host = MailHost(sandbox, make_open_folder())
    host.start_agent()
    host.base = replace(host.full_state(), is_dovecot_split=True)
    host.apply(host.base)
    yield host, mailboxes
    host.stop_agent()
    sandbox.stop()


def test_a_port_that_is_toggled_cuts_off_nobody(busy_host: tuple[MailHost, list[str]]) -> None:
    host, mailboxes = busy_host
    traffic = Traffic(
        host.sandbox, host.certificate, mailboxes, slow_logins=SLOW_LOGINS, pause=0.02
    )
    reloads = host.count_reloads()[1]
    traffic.start()
    toggled = (("pop3",), (), ("imap", "sieve"), (), ("pop3", "pop3s"), ())
    for services in toggled:
        begun = time.monotonic()
        host.apply(with_open(host.base, *services, is_open=False))
        traffic.pass_time(begun + 1.2, at_least=CLIENTS + 1)
    tally = traffic.stop()
    assert host.count_reloads()[1] == reloads + len(toggled)
    assert tally.cut_logins == []
    assert tally.smtp_faults == []
    assert tally.unknown == []
    assert tally.lost == []
    assert tally.doubled == []
    assert tally.dropped_sessions == []
    assert sorted(tally.read) == sorted(tally.sent)
    assert len(tally.logins) > SLOW_LOGINS
    assert len(tally.sent) > CLIENTS * len(toggled)
