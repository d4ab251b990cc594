"""The sandbox is a real mail server, as plain as Debian ships it, and leaves nothing behind."""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from imaplib import IMAP4_SSL
from pathlib import Path
from typing import Any

import psutil
import pytest

from mailadmin.agent.host.processes import is_alive
from mailadmin.sandbox import Sandbox, SandboxError
from mailadmin.sandbox.addresses import STANDARD_PORTS, can_listen, pick_ports
from tests.integration import mail_clients
from tests.integration.mail_host import MailHost
from tests.integration.processes import find_masters, find_named
from tests.stacks import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def plain(make_sandbox: Callable[[], Sandbox]) -> Iterator[Sandbox]:
    """Yield one running sandbox, which the tests below only read from or send mail to."""
    server = make_sandbox()
    server.start()
    yield server
    server.stop()


def open_submission(sandbox: Sandbox) -> None:
    """Uncomment 587 in master.cf by hand, as an administrator would, and reload."""
    master_cf = sandbox.postfix_config_directory / "master.cf"
    settings = sandbox.settings
    service = f"#{settings.address}:{settings.ports['submission']} inet"
    lines = master_cf.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(service))
    lines[start] = lines[start].removeprefix("#")
    for number in range(start + 1, len(lines)):
        if not lines[number].startswith("#  "):
            break
        if lines[number].startswith("#  -o "):
            lines[number] = lines[number].removeprefix("#")
    MailHost.edit(master_cf, "\n".join(lines) + "\n")
    assert sandbox.run_postfix("reload").returncode == 0
    # The master reads its files when it gets to it, not before the command returns.
    wait_until(
        lambda: mail_clients.is_open(settings.address, settings.ports["submission"]),
        what="Postfix to open the port",
    )


def test_debian_ports_are_open_and_submission_is_closed(plain: Sandbox) -> None:
    settings = plain.settings
    open_services = {
        service
        for service, port in settings.ports.items()
        if mail_clients.is_open(settings.address, port)
    }
    assert open_services == set(STANDARD_PORTS) - {"submission", "submissions"}


def test_every_listener_is_on_the_sandboxs_own_address(plain: Sandbox) -> None:
    # Each process is asked for its own: of a socket that several share, the list of the whole
    # machine names the youngest, which may have been started since they were looked for.
    listening = {
        connection.laddr.ip
        for process in plain.find_processes()
        for connection in connections_of(process)
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {plain.settings.address}


def connections_of(process: psutil.Process) -> list[Any]:
    """Return what the process has open; nothing if it ended since it was found."""
    try:
        return list(process.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return []


def test_mail_from_outside_is_read_over_imap_and_pop3(plain: Sandbox) -> None:
    mail_clients.deliver_on_port_25(plain, plain.settings.mailbox, "from outside")
    mail_clients.wait_for_subject(plain, "from outside", service="imaps")
    assert "from outside" in mail_clients.list_subjects_by_imap(plain, service="imap")
    assert "from outside" in mail_clients.list_subjects_by_pop3s(plain)


def test_port_25_refuses_to_relay(plain: Sandbox) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        mail_clients.deliver_on_port_25(plain, "someone@example.org", "elsewhere")
    code, words = refused.value.recipients["someone@example.org"]
    assert code == 554
    assert b"Relay access denied" in words


def test_port_25_refuses_unknown_mailboxes(plain: Sandbox) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        mail_clients.deliver_on_port_25(plain, "nobody@example.test", "unknown")
    assert refused.value.recipients["nobody@example.test"][0] == 550


def test_a_wrong_password_is_refused(sandbox: Sandbox) -> None:
    # Not on the shared server: Dovecot makes an address wait after a wrong password.
    context = mail_clients.trust(sandbox.certificate)
    context.check_hostname = False
    client = IMAP4_SSL(
        sandbox.settings.address, sandbox.settings.ports["imaps"], ssl_context=context, timeout=60
    )
    with pytest.raises(IMAP4_SSL.error, match="AUTHENTICATIONFAILED"):
        client.login(sandbox.settings.mailbox, "wrong")
    client.shutdown()


@pytest.mark.parametrize("service", ["imaps", "pop3s"])
def test_the_snakeoil_certificate_is_served(plain: Sandbox, service: str) -> None:
    served = mail_clients.read_served_certificate(
        plain.settings.address, plain.settings.ports[service]
    )
    assert served == ssl.PEM_cert_to_DER_cert(plain.certificate.read_text())


def test_the_snakeoil_certificate_is_served_after_starttls(plain: Sandbox) -> None:
    settings = plain.settings
    context = mail_clients.trust(plain.certificate)
    context.check_hostname = False
    with smtplib.SMTP(settings.address, settings.ports["smtp"], timeout=60) as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        served = client.sock.getpeercert(binary_form=True)
    assert served == ssl.PEM_cert_to_DER_cert(plain.certificate.read_text())


def test_secrets_are_not_readable_by_others(plain: Sandbox) -> None:
    for secret in (plain.certificate_key, plain.settings.root / "sandbox.json"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert plain.settings.mailbox_password not in repr(plain.settings)


def test_submission_with_login_works_once_it_is_opened(sandbox: Sandbox) -> None:
    open_submission(sandbox)
    settings = sandbox.settings
    with mail_clients.connect_submission(sandbox, "submission") as client:
        client.ehlo()
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail(settings.mailbox, [settings.mailbox], "without login")
    mail_clients.submit(sandbox, "with login")
    mail_clients.wait_for_subject(sandbox, "with login")


def test_mail_for_other_domains_does_not_leave_the_machine(sandbox: Sandbox) -> None:
    open_submission(sandbox)
    settings = sandbox.settings
    with mail_clients.connect_submission(sandbox, "submission") as client:
        client.login(settings.mailbox, settings.mailbox_password)
        client.send_message(
            mail_clients.compose_message(settings.mailbox, "someone@example.org", "away")
        )
    mail_clients.wait_for_subject(sandbox, "Undelivered Mail Returned to Sender")


def test_two_sandboxes_run_at_once(make_sandbox: Callable[[], Sandbox], plain: Sandbox) -> None:
    second = make_sandbox()
    second.start()
    assert second.settings.address != plain.settings.address
    mail_clients.deliver_on_port_25(second, second.settings.mailbox, "only in the second")
    mail_clients.wait_for_subject(second, "only in the second")
    assert "only in the second" not in mail_clients.list_subjects_by_imap(plain)
    second.stop()
    assert plain.is_postfix_running()
    assert plain.is_dovecot_running()


def test_mail_settings_and_hand_edits_survive_a_restart(sandbox: Sandbox) -> None:
    mail_clients.deliver_on_port_25(sandbox, sandbox.settings.mailbox, "kept")
    mail_clients.wait_for_subject(sandbox, "kept")
    open_submission(sandbox)
    sandbox.stop()

    again = Sandbox.create(sandbox.settings.root)
    again.start()
    assert again.settings == sandbox.settings
    assert "kept" in mail_clients.list_subjects_by_imap(again)
    assert mail_clients.is_open(again.settings.address, again.settings.ports["submission"])


def test_stopping_leaves_no_process_behind(sandbox: Sandbox) -> None:
    # A session that is logged in is what Dovecot, as configured here, would leave behind.
    client = mail_clients.connect_imap(sandbox)
    client.select("INBOX")
    processes = sandbox.find_processes()
    assert len(find_masters(sandbox)) == 2
    assert find_named(sandbox, "imap")

    sandbox.stop()

    assert not [process for process in processes if is_alive(process)]
    assert not sandbox.find_processes()
    settings = sandbox.settings
    assert all(can_listen(settings.address, port) for port in settings.ports.values())
    client.shutdown()


def test_starting_twice_does_no_harm(sandbox: Sandbox) -> None:
    before = find_masters(sandbox)
    assert len(before) == 2
    sandbox.start()
    assert find_masters(sandbox) == before


def test_a_folder_with_a_long_path_works(make_open_folder: Callable[[], Path]) -> None:
    root = make_open_folder() / ("a-long-name-" * 8) / ("another-long-name-" * 4)
    root.parent.mkdir()
    server = Sandbox.create(root)
    try:
        server.start()
        mail_clients.deliver_on_port_25(server, server.settings.mailbox, "far down")
        mail_clients.wait_for_subject(server, "far down")
        runtime = server.dovecot_base_dir.parent
        assert runtime.parent == Path("/run")
        assert (runtime / "home").readlink() == root
    finally:
        server.remove()
    assert not root.exists()
    assert not runtime.exists()


def test_a_folder_closed_to_others_is_refused_with_the_reason(
    make_open_folder: Callable[[], Path],
) -> None:
    closed = make_open_folder()
    closed.chmod(0o700)
    with pytest.raises(SandboxError, match=rf"cannot enter {closed}.*chmod a\+x"):
        Sandbox.create(closed / "mail")


def test_a_busy_port_names_its_holder(make_sandbox: Callable[[], Sandbox], plain: Sandbox) -> None:
    late = make_sandbox()
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((late.settings.address, late.settings.ports["smtp"]))
        holder.listen()
        with pytest.raises(SandboxError, match=rf"held by .+ \(process {os.getpid()}\)"):
            late.start()
    late.stop()
    late.start()
    late.stop()


def test_high_ports_are_used_when_the_standard_ones_are_taken(
    plain: Sandbox, make_open_folder: Callable[[], Path]
) -> None:
    ports = pick_ports(plain.settings.address)
    # 465 and 587 are closed on a plain installation, so they are free to take.
    assert ports["submissions"] == 465
    taken = {service: port for service, port in ports.items() if port > 1023 and service != "sieve"}
    assert set(taken) == {"smtp", "imap", "imaps", "pop3", "pop3s"}

    beside = Sandbox.create(make_open_folder() / "mail", address=plain.settings.address)
    try:
        beside.start()
        mail_clients.deliver_on_port_25(beside, beside.settings.mailbox, "on high ports")
        mail_clients.wait_for_subject(beside, "on high ports")
    finally:
        beside.stop()


def test_a_kept_sandbox_ends_with_its_parent_without_any_signal(
    make_sandbox: Callable[[], Sandbox],
) -> None:
    sandbox = make_sandbox()
    keeper = [sys.executable, "-m", "mailadmin.sandbox", str(sandbox.settings.root)]
    start = (
        "import os, subprocess, sys; "
        "subprocess.Popen([*sys.argv[1:], '--end-with', str(os.getpid())]); "
        "sys.stdin.read()"
    )
    parent = subprocess.Popen([sys.executable, "-c", start, *keeper], stdin=subprocess.PIPE)
    try:
        wait_until(sandbox.is_postfix_running, what="the sandbox to start")
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not sandbox.find_processes(), what="the sandbox to end")
