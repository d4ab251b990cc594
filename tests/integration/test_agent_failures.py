"""Whatever goes wrong with real daemons, the host ends up as it was: files, ports, certificates."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mailadmin.agent import probe, proving, recovering
from mailadmin.agent.host import Found, Rendered, programs
from mailadmin.agent.host import dovecot as dovecot_host
from mailadmin.agent.host.store import Journal
from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome
from mailadmin.mailconf import dovecot
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem, Severity
from tests.integration import mail_clients, wire
from tests.integration.mail_host import SERVICES, MailHost
from tests.states import make_material, with_default, with_name, with_open

pytestmark = pytest.mark.integration
NAME = "imap.example.test"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the new state less time to show than a real host gets: here it never will."""
    monkeypatch.setattr(proving, "_PATIENCE", 2.5)
    monkeypatch.setattr(probe, "_TIMEOUT", 1.5)


@pytest.fixture
def unchanged(host: MailHost) -> Iterator[None]:
    """Check after the test that the host is byte for byte what it was, and serves it."""
    files, generations, leaves = host.files(), host.generations(), host.leaves()
    yield
    assert host.files() == files
    assert host.generations() == generations
    assert host.leaves() == leaves
    assert not host.has_journal


def renewed(state: DesiredState) -> DesiredState:
    return with_default(state, make_material("renewed").certificate)


def is_dovecot_2_4(host: MailHost) -> bool:
    return host.agent.host.read().dovecot_numbers >= (2, 4)


def reason_of(report: ApplyReport) -> Problem:
    assert report.problem is not None
    return report.problem


# What the daemons' parsers refuse


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("this line has no equals sign\n", "postfix.config_broken"),
        ("default_process_limit = abc\n", "postfix.check_failed"),
        # One that every program reads, and that Debian does not set again further down.
        ("mail_name = $mail_name\n", "postfix.config_broken"),
    ],
)
@pytest.mark.parametrize("is_port_change", [False, True], ids=["certificate", "port"])
@pytest.mark.usefixtures("unchanged")
def test_main_cf_broken_by_hand_is_refused(
    host: MailHost, line: str, code: str, is_port_change: bool
) -> None:
    state = with_open(host.base, "pop3", "smtp", is_open=False) if is_port_change else None
    state = state or renewed(host.base)
    before, reloads = host.main_cf.read_text(), host.count_reloads()
    host.edit(host.main_cf, line + before)
    try:
        assert problem_with(host, state).code == code
        assert host.main_cf.read_text() == line + before
        assert host.count_reloads() == reloads
    finally:
        host.edit(host.main_cf, before)


def problem_with(host: MailHost, state: DesiredState) -> Problem:
    """Return why the state is refused, be it as soon as it is planned."""
    try:
        digest = host.plan(state).digest
    except AgentError as error:
        digest = error.problem.code
    report = host.client.apply(
        state, digest=digest, deployment_id=f"refused-{os.urandom(4).hex()}", on_step=lambda _: None
    )
    assert report.outcome is Outcome.REFUSED
    return reason_of(report)


@pytest.mark.usefixtures("unchanged")
def test_the_words_of_postfix_say_which_line(host: MailHost) -> None:
    before = host.master_cf.read_text()
    host.edit(host.master_cf, f"{before}too short a line\n")
    try:
        problem = problem_with(host, renewed(host.base))
        assert problem.code == "postfix.config_broken"
        assert "bad field count" in str(problem.params["words"])
        assert str(host.config.state_dir) not in str(problem.params["words"])
    finally:
        host.edit(host.master_cf, before)


@pytest.mark.parametrize("is_port_change", [False, True], ids=["certificate", "port"])
def test_the_words_of_postfix_say_which_parameter(host: MailHost, is_port_change: bool) -> None:
    state = with_open(host.base, "smtp", is_open=False) if is_port_change else renewed(host.base)
    before = host.main_cf.read_text()
    host.edit(host.main_cf, f"default_process_limit = abc\n{before}")
    try:
        words = str(problem_with(host, state).params["words"])
        assert "bad numerical configuration: default_process_limit = abc" in words
    finally:
        host.edit(host.main_cf, before)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("service imap-login {\n", "dovecot.config_broken"),
        ("no_such_setting = yes\n", "dovecot.config_broken"),
        ("local_name a.test {\n  CERTIFICATE/missing.pem\n}\n", "dovecot.check_failed"),
        ("CERTIFICATE/etc/hostname\n", "dovecot.dropin_overridden"),
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_a_dovecot_file_broken_by_hand_is_refused(host: MailHost, content: str, code: str) -> None:
    setting = "ssl_server_cert_file = " if is_dovecot_2_4(host) else "ssl_cert = <"
    content = content.replace("CERTIFICATE", setting)
    by_hand = host.dropin.with_name("zz-by-hand.conf")
    reloads = host.count_reloads()
    host.edit(by_hand, content)
    try:
        assert problem_with(host, renewed(host.base)).code == code
        assert host.count_reloads() == reloads
    finally:
        by_hand.unlink()


def test_a_later_file_that_undoes_a_port_is_found_out_by_the_proof(host: MailHost) -> None:
    """No parser minds; only looking at the port shows it."""
    host.apply(with_open(host.base, "pop3s", is_open=False))
    by_hand = host.dropin.with_name("zz-by-hand.conf")
    host.edit(by_hand, "service pop3-login {\n  inet_listener pop3s {\n    port = 0\n  }\n}\n")
    files = host.files()
    try:
        report = host.apply(host.base, Outcome.ROLLED_BACK)
        assert (reason_of(report).code, reason_of(report).subject) == ("probe.closed", "pop3s")
        assert host.files() == files
    finally:
        by_hand.unlink()


# Daemons that are not there, or die


def kill(pid: int | None) -> None:
    assert pid is not None
    process = psutil.Process(pid)
    process.send_signal(signal.SIGKILL)
    gone = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    wire.wait_until(lambda: not process.is_running() or process.status() in gone)


def master_pid(host: MailHost, daemon: Daemon) -> int | None:
    return host.masters()[0 if daemon is Daemon.POSTFIX else 1]


@pytest.mark.parametrize("daemon", list(Daemon))
def test_a_daemon_that_is_down_before_is_named_and_nothing_is_done(
    host: MailHost, daemon: Daemon
) -> None:
    files = host.files()
    kill(master_pid(host, daemon))
    report = host.apply(renewed(host.base), Outcome.REFUSED)
    assert (reason_of(report).code, reason_of(report).subject) == ("daemon.down", str(daemon))
    assert host.files() == files
    assert not host.agent.host.running_daemons()[daemon]
    host.sandbox.start()
    wire.wait_until(lambda: set(host.leaves().values()) == {host.base.default_certificate})


@pytest.mark.parametrize("is_down", [True, False], ids=["down", "still running"])
def test_a_file_of_another_version_of_dovecot_is_written_anew(
    host: MailHost, is_down: bool
) -> None:
    """As an upgrade of Debian leaves it: what the panel wrote is not understood any more."""
    host.apply(host.base)
    before = host.dropin.read_bytes()
    other = (2, 3) if is_dovecot_2_4(host) else (2, 4)
    live = str(host.config.state_dir / "live")
    host.edit(host.dropin, dovecot.render(host.base, version=other, live=live))
    if is_down:
        kill(master_pid(host, Daemon.DOVECOT))
    try:
        plan = host.plan(host.base)
        assert "dovecot.dropin_refused" in {problem.code for problem in plan.problems}
        assert not [item for item in plan.problems if item.severity is Severity.ERROR]
        assert [file["name"] for file in plan.files] == [host.dropin.name]
        host.apply(host.base)
        assert host.dropin.read_bytes() == before
        assert set(host.leaves().values()) == {host.base.default_certificate}
        assert not host.plan(host.base).files
    finally:
        host.edit(host.dropin, before.decode())
        host.sandbox.start()


@pytest.mark.parametrize("is_port_change", [False, True], ids=["certificate", "port"])
@pytest.mark.parametrize("daemon", list(Daemon))
@pytest.mark.usefixtures("unchanged")
def test_a_daemon_that_dies_of_the_change_is_started_again(
    host: MailHost, monkeypatch: pytest.MonkeyPatch, daemon: Daemon, is_port_change: bool
) -> None:
    both = with_open(host.base, "pop3", "submission", is_open=False)
    before = host.masters()
    with monkeypatch.context() as patch:
        # Postfix is told last: whoever dies then dies between the reload and the proof.
        reload = host.agent.host.postfix.reload

        def reload_and_kill() -> None:
            reload()
            patch.undo()
            kill(master_pid(host, daemon))

        patch.setattr(host.agent.host.postfix, "reload", reload_and_kill)
        patch.setattr(proving, "_PATIENCE", 8.0)
        report = host.apply(both if is_port_change else renewed(host.base), Outcome.ROLLED_BACK)
    assert reason_of(report) == Problem("daemon.died", subject=str(daemon))
    started = [step for step in report.steps if step.evidence.get("started")]
    assert [(step.code, step.subject) for step in started] == [("reloaded", str(daemon))]
    assert report.steps[-1].code == "proved_as_before"
    assert master_pid(host, daemon) not in before
    mail_clients.submit(host, f"after {daemon} {is_port_change}")
    mail_clients.wait_for_subject(host, f"after {daemon} {is_port_change}")


@pytest.mark.parametrize("daemon", list(Daemon))
def test_the_agent_goes_on_by_itself_once_a_halted_daemon_is_no_more(
    host: MailHost, monkeypatch: pytest.MonkeyPatch, daemon: Daemon
) -> None:
    """The kernel keeps its ports open, and what its processes still answer proves nothing."""
    monkeypatch.setattr(recovering, "_PAUSES", (0.5,))
    files, leaves = host.files(), host.leaves()
    both = with_open(host.base, "pop3", "submission", is_open=False)
    pid = master_pid(host, daemon)
    assert pid is not None
    with monkeypatch.context() as patch:
        service = getattr(host.agent.host, str(daemon))
        reload = service.reload

        def reload_and_halt() -> None:
            reload()
            os.kill(pid, signal.SIGSTOP)

        patch.setattr(service, "reload", reload_and_halt)
        report = apply_anyhow(host, both, f"halted-{daemon}")
    try:
        problem = reason_of(report)
        assert (report.outcome, problem.code) == (Outcome.FAILED, "rollback.not_proven")
        assert problem.params["problem"] == "daemon.halted"
        assert problem.params["problem.subject"] == str(daemon)
        assert problem.params["problem.pid"] == pid
        assert host.files() == files
        refused = apply_anyhow(host, both, f"too-early-{daemon}")
        assert reason_of(refused).code == "agent.recovery_pending"
        assert host.client.standing(f"halted-{daemon}").retry_in is not None
    finally:
        # What is logged while its master is halted can hang Postfix for good (its postlogd waits
        # for the master, and the master then for that). Ending it always helps.
        os.kill(pid, signal.SIGKILL if daemon is Daemon.POSTFIX else signal.SIGCONT)
    wait_until_taken_back(host, f"halted-{daemon}")
    assert (host.files(), host.leaves()) == (files, leaves)


def wait_until_taken_back(host: MailHost, name: str) -> None:
    """Wait until the agent has proven by itself that all is as before."""
    wire.wait_until(lambda: not host.has_journal, 60, "the way back is proven")
    report = host.client.standing(name).report
    assert report is not None
    assert report.outcome is Outcome.ROLLED_BACK


def test_a_postfix_whose_log_hangs_ends_no_apply_and_leaves_no_program_behind(
    host: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``postfix reload`` is a shell script: its postlog waits, and after it would come the HUP."""
    monkeypatch.setattr(recovering, "_PAUSES", (0.5,))
    files, leaves = host.files(), host.leaves()
    queue = Path(host.agent.host.postfix.read_parameters()["queue_directory"])
    halted: list[psutil.Process] = []
    postfix = host.agent.host.postfix
    monkeypatch.setattr(postfix, "reload_timeout", 2.0)
    reload = postfix.reload

    def hang_the_log_and_reload() -> None:
        if not halted:
            halted.append(log_daemon(host))
            halted[0].suspend()
        fill(queue / "public" / "postlog")
        reload()

    try:
        with monkeypatch.context() as patch:
            patch.setattr(postfix, "reload", hang_the_log_and_reload)
            closed = with_open(host.base, "pop3", "submission", is_open=False)
            report = apply_anyhow(host, closed, "hanging-log")
        problem = reason_of(report)
        assert (report.outcome, problem.code) == (Outcome.FAILED, "rollback.not_proven")
        assert problem.params["reason"] == "postfix.reload_hangs"
        assert problem.params["problem"] == "postfix.reload_hangs"
        assert problem.params["problem.pid"] == master_pid(host, Daemon.POSTFIX)
        assert host.files() == files
        assert not any(item.name() in {"postlog", "postfix-script"} for item in tools_of(host))
    finally:
        for process in halted:
            process.resume()
    wait_until_taken_back(host, "hanging-log")
    assert (host.files(), host.leaves()) == (files, leaves)


def log_daemon(host: MailHost) -> psutil.Process:
    """Return Postfix's postlogd; whoever has just looked at the ports has made it log."""
    master = psutil.Process(master_pid(host, Daemon.POSTFIX) or 0)

    def find() -> list[psutil.Process]:
        return [item for item in master.children() if item.name() == "postlogd"]

    wire.wait_until(lambda: bool(find()), 10, "postlogd")
    return find()[0]


def fill(path: Path) -> None:
    """Send to a datagram socket that nobody reads, until it takes no more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.connect(str(path))
        with contextlib.suppress(BlockingIOError):
            while True:
                sender.send(b"filler")


def tools_of(host: MailHost) -> list[psutil.Process]:
    """Return the programs that were started for this Postfix and still run."""
    found = []
    for item in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if item.environ().get("MAIL_CONFIG") == str(host.sandbox.postfix_config_directory):
                found.append(item)
    return found


def apply_anyhow(host: MailHost, state: DesiredState, name: str) -> ApplyReport:
    """Apply it, however that ends."""
    return host.client.apply(
        state,
        digest=host.plan(state).digest,
        deployment_id=name,
        on_step=lambda _: None,
    )


def test_a_reload_that_does_not_return_once_is_given_up_and_taken_back(
    host: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, leaves = host.files(), host.leaves()
    with monkeypatch.context() as patch:

        def reload_for_too_long() -> None:
            patch.undo()
            programs.run(["/usr/bin/sleep", "60"], timeout=1.0)

        patch.setattr(host.agent.host.dovecot, "reload", reload_for_too_long)
        closed = with_open(host.base, "pop3", "submission", is_open=False)
        report = apply_anyhow(host, closed, "too-long")
    assert (report.outcome, reason_of(report).code) == (Outcome.ROLLED_BACK, "program.timeout")
    assert not host.has_journal
    assert (host.files(), host.leaves()) == (files, leaves)


def spoil_smtpd(host: MailHost) -> None:
    """Make each smtpd die of a setting of its own, at its first client."""
    services = re.compile(r"^([^#\s]\S*\s+inet\s.*\ssmtpd)$", re.MULTILINE)
    spoiled = services.sub(r"\1\n  -o line_length_limit=many", host.master_cf.read_text())
    host.edit(host.master_cf, spoiled)


def spoil_imap_login(host: MailHost) -> None:
    """Give each login process too little memory to begin."""
    limit = "service imap-login {\n  vsz_limit = 4M\n}\n"
    host.edit(host.dropin, host.dropin.read_text() + limit)


@pytest.mark.parametrize("spoil", [spoil_smtpd, spoil_imap_login])
@pytest.mark.usefixtures("unchanged")
def test_a_daemon_that_crashes_at_its_first_connection_gets_its_old_files_back(
    host: MailHost, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[MailHost], None]
) -> None:
    """No parser finds it: the daemon takes the reload, and dies when somebody comes."""
    put_files = host.agent.host.put_files

    def put_and_spoil(found: Found, rendered: Rendered) -> None:
        put_files(found, rendered)
        spoil(host)

    monkeypatch.setattr(host.agent.host, "put_files", put_and_spoil)
    monkeypatch.setattr(proving, "_PATIENCE", 4.0)
    both = with_open(renewed(host.base), "pop3", "submission", is_open=False)
    report = host.apply(both, Outcome.ROLLED_BACK)
    assert reason_of(report).code.startswith("probe.")
    assert report.steps[-1].code == "proved_as_before"
    logs = (host.sandbox.postfix_log, host.sandbox.dovecot_log)
    words = "".join(log.read_text(errors="replace") for log in logs)
    assert ("line_length_limit = many" if spoil is spoil_smtpd else "startup failed") in words
    subject = f"after {spoil.__name__}"
    mail_clients.submit(host, subject)
    mail_clients.wait_for_subject(host, subject)


@pytest.mark.parametrize("service", ["submission", "pop3s"])
def test_a_port_that_is_taken_at_the_last_moment_is_survived(
    host: MailHost, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    """Postfix' master dies of it, and Dovecot goes on without the port; both say 0."""
    host.apply(with_open(host.base, service, is_open=False))
    files, generations = host.files(), host.generations()
    with socket.socket() as squatter, monkeypatch.context() as patch:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        put = host.agent.host.put_files

        def put_and_squat(*arguments: Any) -> None:
            put(*arguments)
            squatter.bind((host.address, host.port(service)))
            squatter.listen()

        patch.setattr(host.agent.host, "put_files", put_and_squat)
        report = host.apply(host.base, Outcome.ROLLED_BACK)
    assert reason_of(report).code in {"daemon.died", "probe.timeout"}
    assert host.files() == files
    assert host.generations() == generations
    assert host.leaves() == dict.fromkeys(SERVICES, host.base.default_certificate) | {service: ""}
    host.apply(host.base)


# A reload after which a handshake fails


def wrong_pair(folder: Path) -> None:
    (folder / "default.pem").write_text(
        make_material("one").certificate.key_pem + make_material("two").certificate.leaf_pem
    )


def garbage(folder: Path) -> None:
    (folder / "default.pem").write_bytes(b"\x00\xff" * 100)


def nothing(folder: Path) -> None:
    (folder / "default.pem").write_bytes(b"")


def other_certificate(folder: Path) -> None:
    (folder / "default.pem").write_text(make_material("quite another").bundle)


def test_host_names_are_proven_after_a_rollback_too(
    host: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = make_material("own").certificate
    named = with_name(host.base, NAME, own)
    host.apply(named)
    store = host.agent.host.store
    kept = store.folder / str(store.live_before())
    pem = (kept / f"sni-{NAME}.pem").read_bytes()

    def spoil_when_switched(patch: pytest.MonkeyPatch) -> None:
        switch = store.switch_live

        def spoil_and_switch(target: str | None) -> None:
            patch.setattr(store, "switch_live", switch)
            other_certificate(store.folder / str(target))
            switch(target)

        patch.setattr(store, "switch_live", spoil_and_switch)

    with monkeypatch.context() as patch:
        spoil_when_switched(patch)
        report = host.apply(renewed(named), Outcome.ROLLED_BACK)
    shown = {seen.service: seen.fingerprint for seen in report.evidence if seen.sni_name == NAME}
    assert shown == dict.fromkeys(SERVICES, own.fingerprint)
    assert set(host.leaves(NAME).values()) == {own.fingerprint}

    # The old file of the name is spoiled as well: without asking for it nobody would notice.
    with monkeypatch.context() as patch:
        spoil_when_switched(patch)
        undo = store.undo_files

        def spoil_and_undo(journal: Journal) -> None:
            (kept / f"sni-{NAME}.pem").write_text(make_material("third").bundle)
            undo(journal)

        patch.setattr(store, "undo_files", spoil_and_undo)
        report = host.apply(renewed(named), Outcome.FAILED)
    assert reason_of(report).params["problem"] == "probe.not_as_before"
    (kept / f"sni-{NAME}.pem").write_bytes(pem)
    host.apply(host.base)


@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (wrong_pair, {"probe.tls_failed", "probe.starttls_missing"}),
        (garbage, {"probe.tls_failed", "probe.starttls_missing"}),
        (nothing, {"probe.tls_failed", "probe.starttls_missing"}),
        (other_certificate, {"probe.other_certificate"}),
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_a_file_that_cannot_be_served_after_all_is_taken_back(
    host: MailHost,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], None],
    codes: set[str],
) -> None:
    """Spoiled behind the back of every check, as a full disk or a hand would."""
    masters = host.masters()
    store = host.agent.host.store
    with monkeypatch.context() as patch:
        switch = store.switch_live

        def spoil_and_switch(target: str | None) -> None:
            patch.undo()
            assert target is not None
            spoil(store.folder / target)
            switch(target)

        patch.setattr(store, "switch_live", spoil_and_switch)
        patch.setattr(proving, "_PATIENCE", 2.5)
        report = host.apply(renewed(host.base), Outcome.ROLLED_BACK)
    if spoil is garbage and is_dovecot_2_4(host):
        # 2.4 reads the file itself and refuses it before any client could meet it.
        codes = {"dovecot.reread_refused"}
    assert reason_of(report).code in codes
    assert host.masters() == masters
    before = {seen.service: seen.fingerprint for seen in report.evidence}
    assert before == dict.fromkeys(SERVICES, host.base.default_certificate)


@pytest.mark.usefixtures("unchanged")
def test_a_failed_certificate_change_ends_no_session(
    host: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = mail_clients.connect_imap(host)
    reloads = host.count_reloads()
    with monkeypatch.context() as patch:

        def refuse() -> None:
            patch.undo()
            raise AgentError.because("postfix.reload_failed", words="no")

        patch.setattr(host.agent.host.postfix, "reload", refuse)
        report = host.apply(renewed(host.base), Outcome.ROLLED_BACK)
    assert reason_of(report).code == "postfix.reload_failed"
    assert [step.code for step in report.steps].count("reread") == 2
    assert host.count_reloads()[1] == reloads[1]
    assert session.noop()[0] == "OK"
    session.logout()


@pytest.mark.usefixtures("unchanged")
def test_a_re_read_that_dovecot_refuses_is_taken_back(
    host: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conf file that breaks after the check: the re-read is validated, the old goes on."""
    by_hand = host.dropin.with_name("zz-by-hand.conf")
    put = host.agent.host.put_files
    with monkeypatch.context() as patch:

        def put_and_break(*arguments: Any) -> None:
            put(*arguments)
            by_hand.write_text("service imap-login {\n")

        undo = host.agent.host.store.undo_files

        def repair_and_undo(*arguments: Any) -> None:
            by_hand.unlink()
            undo(*arguments)

        patch.setattr(host.agent.host, "put_files", put_and_break)
        patch.setattr(host.agent.host.store, "undo_files", repair_and_undo)
        report = host.apply(renewed(host.base), Outcome.ROLLED_BACK)
    assert reason_of(report).code == "dovecot.reread_refused"
    assert "zz-by-hand.conf" in str(reason_of(report).params["words"])


def refuse_connection(_: socket.socket) -> str | None:
    raise ConnectionRefusedError(111, "Connection refused")


def change_nothing(_: socket.socket) -> str | None:
    return None


@pytest.mark.parametrize("answer", [refuse_connection, change_nothing])
def test_a_re_read_that_does_not_work_becomes_a_reload(
    host: MailHost, monkeypatch: pytest.MonkeyPatch, answer: Callable[[socket.socket], str | None]
) -> None:
    state, reloads = renewed(host.base), host.count_reloads()
    with monkeypatch.context() as patch:
        patch.setattr(dovecot_host, "_reread_old", answer)
        patch.setattr(dovecot_host, "_reread_new", answer)
        host.apply(state)
    assert host.count_reloads()[1] == reloads[1] + 1
    assert set(host.leaves().values()) == {state.default_certificate}
