"""The main job from the command line, through Redis, worker and agent, to the open port."""

from __future__ import annotations

import contextlib
import hashlib
import imaplib
import json
import os
import re
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mailadmin.demo.authority.ports import find_free_port
from tests.integration import mail_clients
from tests.stacks import RunningStack, run_stack, wait_until
from tests.throwaway_pki import ThrowawayCa

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("stack"),
]


@pytest.fixture(scope="module")
def panel() -> Iterator[RunningStack]:
    with run_stack() as running:
        yield running


@pytest.fixture(scope="module")
def authority() -> ThrowawayCa:
    return ThrowawayCa("Main Job Root")


def _as_bytes(pem: str | bytes) -> bytes:
    return pem if isinstance(pem, bytes) else pem.encode()


@pytest.fixture(scope="module")
def root(authority: ThrowawayCa, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root certificate as a file, for clients that verify."""
    path = tmp_path_factory.mktemp("authority") / "root.pem"
    path.write_bytes(_as_bytes(authority.root_pem))
    return path


def _import(panel: RunningStack, authority: ThrowawayCa, folder: Path, *names: str) -> str:
    """Upload a certificate for the names; returns its fingerprint."""
    issued = authority.issue(list(names))
    (folder / "chain.pem").write_bytes(_as_bytes(issued.fullchain_pem))
    (folder / "key.pem").write_bytes(_as_bytes(issued.key_pem))
    done = panel.manage(
        "certificate_import", str(folder / "chain.pem"), "--key", str(folder / "key.pem")
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"\b[0-9a-f]{64}\b", done.stdout)
    assert found, done.stdout
    return found[0]


def _served(panel: RunningStack, service: str, name: str | None = None) -> str:
    """Return the fingerprint that a port really shows, asked without any of our own code."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = (panel.sandbox.settings.address, panel.sandbox.settings.ports[service])
    with (
        socket.create_connection(address, timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()


def _number(panel: RunningStack) -> int:
    code = (
        "from mailadmin.deployments.models import Deployment as D; "
        "print(D.objects.order_by('-number').first().number)"
    )
    return int(panel.shell(code))


def _deployment_status(panel: RunningStack, number: int) -> str:
    code = (
        "from mailadmin.deployments.models import Deployment as D; "
        f"print(D.objects.get(number={number}).status)"
    )
    return panel.shell(code)


def _applied(done: object) -> str:
    assert getattr(done, "returncode", None) == 0, done
    return str(getattr(done, "stdout", ""))


def test_a_notice_goes_through_redis_and_worker_into_the_mailbox(panel: RunningStack) -> None:
    asked = panel.shell(
        "from django.utils import timezone\n"
        "from mailadmin.audit.actors import Actor\n"
        "from mailadmin.notifications.services import add_destination, request_test\n"
        "actor = Actor.command_line()\n"
        "row = add_destination(actor=actor, kind='email', title='Admins',\n"
        f"    address='{panel.sandbox.settings.mailbox}', minimum_severity='info')\n"
        "print(request_test(actor=actor, destination=row, now=timezone.now()).uuid)"
    )
    mail_clients.wait_for_subject(panel.sandbox, "Test from mailadmin")

    def last() -> dict[str, str]:
        told = json.loads(panel.manage("notifications", "--json").stdout)
        found: dict[str, str] = told["deliveries"][0]
        return found

    wait_until(lambda: last()["status"] == "sent", what="the delivery to be closed")
    assert last()["id"] == asked
    assert "queued as" in last()["result"]


def test_the_host_is_registered_as_it_was_found(panel: RunningStack) -> None:
    served = {row["service"]: row for row in panel.status()["listeners"]}
    assert [name for name, row in served.items() if row["served"]["is_open"]] == [
        "smtp", "imap", "imaps", "pop3", "pop3s", "sieve",
    ]  # fmt: skip
    assert all(row["is_as_wanted"] for row in served.values())
    assert "Nothing is pending" in panel.manage("listeners").stdout


def test_a_certificate_and_two_ports_are_brought_onto_the_server_and_proven(
    panel: RunningStack, authority: ThrowawayCa, tmp_path: Path
) -> None:
    fingerprint = _import(panel, authority, tmp_path, "mail.example.test")
    assert panel.manage("certificate_assign", fingerprint, "--default").returncode == 0
    for service in ("submissions", "submission"):
        assert panel.manage("listener", service, "--enable").returncode == 0
    plan = panel.manage("plan")
    assert "Submission with TLS (465) will be opened" in plan.stdout
    assert "+smtpd_tls_chain_files = " in plan.stdout
    assert "PRIVATE KEY" not in plan.stdout
    assert "Proven" in _applied(panel.manage("apply", "--wait"))
    for service in ("submissions", "imaps", "pop3s"):
        assert _served(panel, service) == fingerprint
    status = panel.status()
    assert status["is_as_wanted"]
    submission = next(row for row in status["listeners"] if row["service"] == "submission")
    assert submission["served"]["reply_without_login"].startswith("530 5.7.0")
    assert "Authentication required" in submission["served"]["reply_without_login"]


def test_mail_sent_with_a_login_arrives_and_is_read(panel: RunningStack, root: Path) -> None:
    for service in ("submission", "submissions"):
        subject = f"sent by {service}"
        mail_clients.submit(panel.sandbox, subject, service=service, trusted=root)
        mail_clients.wait_for_subject(panel.sandbox, subject, trusted=root)
    assert "sent by submission" in mail_clients.list_subjects_by_pop3s(panel.sandbox, root)


def test_who_read_mail_by_pop3s_is_named_before_it_closes(panel: RunningStack) -> None:
    user = panel.sandbox.settings.mailbox
    assert panel.manage("listener", "pop3s", "--disable").returncode == 0
    shown = json.loads(panel.manage("plan", "--json").stdout)["foresight"]
    users = {
        person["who"]
        for found in shown["findings"]
        for person in found["shown"]
        if (found["code"], found["service"]) == ("usage.port_goes", "pop3s")
    }
    assert users == {user}
    # The logs of this server begin today.
    assert [problem["code"] for problem in shown["problems"]] == ["usage.log_short"]
    plan = panel.manage("plan").stdout
    assert f"    {user}\t" in plan
    assert user not in panel.manage("plan", "--without-usage").stdout
    assert panel.manage("listener", "pop3s", "--enable").returncode == 0


def test_what_cannot_be_applied_ends_with_exit_code_1_and_the_reason(panel: RunningStack) -> None:
    port = panel.sandbox.settings.ports["pop3s"]
    assert panel.manage("listener", "submissions", "--port", str(port)).returncode == 0
    done = panel.manage("apply", "--wait")
    assert done.returncode == 1
    assert str(port) in done.stderr
    usual = panel.sandbox.settings.ports["submissions"]
    assert panel.manage("listener", "submissions", "--port", str(usual)).returncode == 0


def test_a_taken_port_names_the_program_that_holds_it(panel: RunningStack) -> None:
    address = panel.sandbox.settings.address
    with socket.create_server((address, 0)) as holder:
        port = holder.getsockname()[1]
        assert panel.manage("listener", "submissions", "--port", str(port)).returncode == 0
        done = panel.manage("apply", "--wait")
    usual = panel.sandbox.settings.ports["submissions"]
    assert panel.manage("listener", "submissions", "--port", str(usual)).returncode == 0
    assert done.returncode == 1
    assert f"process {os.getpid()}" in done.stderr
    assert psutil.Process().name() in done.stderr


def test_a_port_is_moved_and_the_old_one_is_proven_closed(panel: RunningStack) -> None:
    settings = panel.sandbox.settings
    old, new = settings.ports["pop3"], find_free_port()
    assert panel.manage("listener", "pop3", "--port", str(new)).returncode == 0
    assert "Proven" in _applied(panel.manage("apply", "--wait"))
    assert mail_clients.is_open(settings.address, new)
    assert not mail_clients.is_open(settings.address, old)
    assert panel.status()["is_as_wanted"]
    assert panel.manage("listener", "pop3", "--port", str(old)).returncode == 0
    assert "Proven" in _applied(panel.manage("apply", "--wait"))
    assert mail_clients.is_open(settings.address, old)
    assert not mail_clients.is_open(settings.address, new)


def test_going_back_is_proven_too_and_a_session_survives_it(
    panel: RunningStack, authority: ThrowawayCa, root: Path, tmp_path: Path
) -> None:
    before = _served(panel, "imaps")
    number = _number(panel)
    session = mail_clients.connect_imap(panel.sandbox, trusted=root)
    fingerprint = _import(panel, authority, tmp_path, "mail.example.test")
    assert panel.manage("certificate_assign", fingerprint, "--default").returncode == 0
    _applied(panel.manage("apply", "--wait"))
    assert _served(panel, "imaps") == fingerprint
    assert "Proven" in _applied(panel.manage("rollback", str(number)))
    assert _served(panel, "imaps") == before
    assert session.noop()[0] == "OK"
    session.logout()


def test_a_worker_killed_in_mid_deployment_is_replaced_and_the_deployment_ends(
    panel: RunningStack,
) -> None:
    assert panel.manage("listener", "pop3", "--disable").returncode == 0
    command = panel.start_command("apply", "--wait")
    wait_until(
        lambda: "apply [" in panel.log().rpartition("plan [")[2], what="the agent to be asked"
    )
    worker = panel.stack.programs["worker"]
    assert worker.pid is not None
    for process in [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(True)]:
        process.send_signal(signal.SIGKILL)
    said, _ = command.communicate(timeout=120)
    assert command.returncode == 0, said
    assert not mail_clients.is_open(
        panel.sandbox.settings.address, panel.sandbox.settings.ports["pop3"]
    )
    assert _deployment_status(panel, _number(panel)) == "succeeded"
    verbs = panel.shell(
        "from mailadmin.audit.models import AuditEvent as A; "
        f"print(A.objects.filter(object_type='deployment', object_id='{_number(panel)}',"
        " verb='deployment.succeeded').count())"
    )
    assert verbs == "1"


def test_an_agent_killed_in_mid_deployment_leaves_the_old_state_or_the_new(
    panel: RunningStack,
) -> None:
    address, port = panel.sandbox.settings.address, panel.sandbox.settings.ports["sieve"]
    assert panel.manage("listener", "sieve", "--disable").returncode == 0
    command = panel.start_command("apply", "--wait")
    journal = panel.stack.var / "agent" / "state" / "journal.json"
    # It is there for two seconds only; whoever sees it too late finds the new state.
    wait_until(lambda: journal.exists() or command.poll() is not None, what="the journal")
    agent = panel.stack.programs["agent"]
    assert agent.pid is not None
    os.kill(agent.pid, signal.SIGKILL)
    said, _ = command.communicate(timeout=120)
    number = _number(panel)
    status = _deployment_status(panel, number)
    assert status in {"rolled_back", "succeeded"}, said
    assert (command.returncode == 0) == (status == "succeeded")
    assert mail_clients.is_open(address, port) == (status == "rolled_back")
    assert not journal.exists()
    # Whatever it was, the way on is open.
    _applied(panel.manage("apply", "--wait"))
    assert not mail_clients.is_open(address, port)


def test_the_log_and_the_queue_hold_no_key(panel: RunningStack) -> None:
    assert "PRIVATE KEY" not in panel.log()
    for path in (panel.stack.var / "redis").rglob("*"):
        # Redis writes its files anew, by a rename.
        with contextlib.suppress(FileNotFoundError):
            assert not path.is_file() or b"PRIVATE KEY" not in path.read_bytes()
    database = (panel.stack.var / "db.sqlite3").read_bytes()
    assert b"PRIVATE KEY" not in database


def test_imap_needs_tls_before_a_login(panel: RunningStack) -> None:
    settings = panel.sandbox.settings
    with imaplib.IMAP4(settings.address, settings.ports["imap"]) as client:
        assert "LOGINDISABLED" in client.capabilities
