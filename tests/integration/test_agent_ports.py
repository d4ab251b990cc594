"""Ports are opened, closed, moved and guarded as asked, and nothing else in the files changes."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mailadmin.agent.protocol import Outcome
from mailadmin.demo.authority.ports import find_free_port
from mailadmin.mailconf.services import SERVICES as REGISTRY
from mailadmin.mailconf.services import TlsMode
from mailadmin.sandbox.addresses import can_listen
from tests.integration import mail_clients, wire
from tests.integration.mail_host import DOVECOT_SERVICES, POSTFIX_SERVICES, SERVICES, MailHost
from tests.states import make_material, with_default, with_listener, with_name, with_open

pytestmark = pytest.mark.integration

NOT_LOCAL = "198.51.100.7"  # RFC 5737: nobody's
ASK_FOR_LOGIN = "530 5.7.0"


@pytest.mark.parametrize("service", SERVICES)
def test_a_port_is_closed_and_opened_again(host: MailHost, service: str) -> None:
    masters, reloads = host.masters(), host.count_reloads()
    host.apply(with_open(host.base, service, is_open=False))
    assert {name for name in SERVICES if not host.is_open(name)} == {service}
    host.apply(host.base)
    assert all(host.is_open(name) for name in SERVICES)
    assert host.leaf(service) == host.base.default_certificate
    # Neither daemon is ever restarted, and the one that has nothing to do with it not even told.
    assert host.masters() == masters
    postfix, dovecot = host.count_reloads()
    told = (postfix - reloads[0], dovecot - reloads[1])
    assert told == ((2, 0) if service in POSTFIX_SERVICES else (0, 2))


def test_all_ports_are_closed_and_opened_at_once(host: MailHost) -> None:
    host.apply(with_open(host.base, *SERVICES, is_open=False))
    assert not any(host.is_open(service) for service in SERVICES)
    host.apply(host.base)
    assert all(host.is_open(service) for service in SERVICES)


def free_port(host: MailHost) -> int:
    return next(port for port in range(20_000, 21_000) if can_listen(host.address, port))


@pytest.mark.parametrize("service", ["submissions", "imaps", "sieve"])
def test_a_port_is_moved_and_moved_back(host: MailHost, service: str) -> None:
    port = free_port(host)
    host.apply(with_listener(host.base, service, port=port))
    assert not host.is_open(service)
    assert wire.shown_leaf(host.address, port, service) == host.base.default_certificate
    host.apply(host.base)
    assert host.is_open(service)
    assert wire.is_refused(host.address, port)


def test_a_moved_port_is_found_where_it_is(host: MailHost) -> None:
    port = free_port(host)
    host.apply(with_listener(host.base, "submissions", port=port))
    ports = {item.service: item.port for item in host.state_now().listeners}
    assert ports["submissions"] == port


def test_an_address_is_changed(host: MailHost) -> None:
    other = f"{host.address.rpartition('.')[0]}.{(int(host.address.rpartition('.')[2]) % 254) + 1}"
    state = with_listener(host.base, "imaps", address=other)
    state = with_listener(state, "submission", address=other)
    host.apply(state)
    for service in ("imaps", "submission"):
        assert not host.is_open(service)
        leaf = wire.shown_leaf(other, host.port(service), service)
        assert leaf == host.base.default_certificate


@contextlib.contextmanager
def another_program(address: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Let another program listen on a port."""
    script = (
        "import socket, sys\n"
        "s = socket.socket()\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "s.bind((sys.argv[1], int(sys.argv[2])))\n"
        "s.listen()\n"
        "print('listening', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, address, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"listening\n"
        yield process
        process.kill()


@pytest.mark.parametrize("service", ["submissions", "imaps"])
def test_a_port_that_another_program_holds_is_refused_by_its_name(
    host: MailHost, service: str
) -> None:
    host.apply(with_open(host.base, service, is_open=False))
    files, moments, masters = host.files(), host.moments(), host.masters()
    with another_program(host.address, host.port(service)) as program:
        report = host.apply(host.base, Outcome.REFUSED)
        assert report.problem is not None
        assert (report.problem.code, report.problem.subject) == ("port.taken", service)
        assert report.problem.params["pid"] == program.pid
        assert str(report.problem.params["program"]).startswith("python")
    assert (host.files(), host.moments(), host.masters()) == (files, moments, masters)


@pytest.mark.parametrize("service", ["submissions", "imaps"])
def test_an_address_of_another_machine_is_refused(host: MailHost, service: str) -> None:
    """Either daemon's master would die of it, and report success."""
    files, masters = host.files(), host.masters()
    report = host.apply(with_listener(host.base, service, address=NOT_LOCAL), Outcome.REFUSED)
    assert report.problem is not None
    assert report.problem.code == "port.address_not_local"
    assert report.problem.params["address"] == NOT_LOCAL
    assert (host.files(), host.masters()) == (files, masters)
    assert host.is_open(service)


# What is asked of clients


@pytest.mark.parametrize("service", ["submission", "submissions"])
def test_mail_without_login_is_answered_with_530(host: MailHost, service: str) -> None:
    for sender in ("", "someone@example.org", host.settings.mailbox):
        with mail_clients.connect_submission(host, service) as client:
            client.ehlo()
            code, words = client.mail(sender)
            assert (code, words[:5]) == (530, b"5.7.0"), words
            assert words.endswith(b"Authentication required")


def test_587_wants_tls_before_anything_else(host: MailHost) -> None:
    with smtplib.SMTP(host.address, host.port("submission"), timeout=60) as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features
        code, words = client.mail("someone@example.org")
        assert (code, words) == (530, b"5.7.0 Must issue a STARTTLS command first")
        code, words = client.docmd("AUTH PLAIN AGEAYg==")
        assert code == 530


@pytest.mark.parametrize("service", ["submission", "submissions"])
def test_mail_sent_with_login_arrives_and_is_read(host: MailHost, service: str) -> None:
    mail_clients.submit(host, f"by {service}", service=service)
    mail_clients.wait_for_subject(host, f"by {service}", service="imaps")
    assert f"by {service}" in mail_clients.list_subjects_by_imap(host, service="imap")
    assert f"by {service}" in mail_clients.list_subjects_by_pop3s(host)


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_port_25_takes_mail_for_the_mailbox_and_relays_none(
    host: MailHost, is_encrypted: bool
) -> None:
    subject = f"port 25, encrypted: {is_encrypted}"
    with smtplib.SMTP(host.address, host.port("smtp"), timeout=60) as client:
        if is_encrypted:
            context = mail_clients.trust(host.certificate)
            context.check_hostname = False
            client.starttls(context=context)
        client.ehlo()
        assert "auth" not in client.esmtp_features
        client.mail("someone@example.org")
        code, words = client.rcpt("someone@example.net")
        assert (code, words[:5]) == (554, b"5.7.1")
        client.rset()
        message = mail_clients.compose_message("a@example.org", host.settings.mailbox, subject)
        client.send_message(message)
    mail_clients.wait_for_subject(host, subject)


# TLS asked for, or not


def capabilities(host: MailHost, service: str) -> str:
    """Return what the service offers to somebody who has not encrypted yet."""
    question = {
        "smtp": "EHLO test.invalid",
        "imap": "a1 CAPABILITY",
        "pop3": "CAPA",
        "sieve": "CAPABILITY",
    }[service]
    if service == "pop3":
        with socket.create_connection((host.address, host.port(service)), timeout=60) as raw:
            talk = raw.makefile("rw", newline="\r\n")
            heard = talk.readline()
            talk.write(f"{question}\n")
            talk.flush()
            while (line := talk.readline()).strip() not in {".", ""}:
                heard += line
        return heard.upper()
    return wire.converse(host.address, host.port(service), question).upper()


def test_without_tls_25_offers_none_and_takes_mail(host: MailHost) -> None:
    assert "STARTTLS" in capabilities(host, "smtp")
    host.apply(with_listener(host.base, "smtp", tls_mode=TlsMode.NONE))
    assert "STARTTLS" not in capabilities(host, "smtp")
    mail_clients.deliver_on_port_25(host, host.settings.mailbox, "in clear")
    mail_clients.wait_for_subject(host, "in clear")
    # 587 and 465 are not 25.
    assert host.leaf("submission") == host.leaf("submissions") == host.base.default_certificate


@pytest.mark.parametrize(
    ("service", "refusing", "allowing"),
    [
        ("imap", "LOGINDISABLED", "AUTH=PLAIN"),
        ("pop3", "STLS", "USER"),
        ("sieve", '"SASL" ""', '"SASL" "PLAIN'),
    ],
)
def test_a_password_in_clear_is_taken_only_where_that_was_asked_for(
    host: MailHost, service: str, refusing: str, allowing: str
) -> None:
    offered = capabilities(host, service)
    assert refusing in offered
    assert allowing not in offered
    host.apply(with_listener(host.base, service, tls_mode=TlsMode.NONE))
    assert allowing in capabilities(host, service)
    others = {"imap", "pop3", "sieve"} - {service}
    assert all(allowing not in capabilities(host, other) for other in others)
    host.apply(host.base)
    assert allowing not in capabilities(host, service)


# The rest of the files is the administrator's


def test_what_an_administrator_wrote_survives(host: MailHost) -> None:
    host.apply(with_open(host.base, "submission", is_open=False))
    main_cf, master_cf = host.main_cf.read_text(), host.master_cf.read_text()
    by_hand_main = (
        "# a comment of mine\nmessage_size_limit = 12345678\nsmtpd_banner = mine\n  two\n"
    )
    by_hand_master = (
        "# my own service\n"
        f"{host.address}:{free_port(host)} inet n - n - - smtpd\n"
        "  -o message_size_limit=1000\n"
        "  # why this one is small\n"
        "  -o { smtpd_banner = with white space }\n"
    )
    host.edit(host.main_cf, by_hand_main + main_cf)
    host.edit(host.master_cf, by_hand_master + master_cf)
    host.apply(host.base)
    assert host.main_cf.read_text() == by_hand_main + main_cf
    assert host.master_cf.read_text().startswith(by_hand_master)
    assert host.is_open("submission")
    shown = host.sandbox.run_postconf("-h", "message_size_limit").stdout.strip()
    assert shown == "12345678"
    host.apply(with_open(host.base, "submission", is_open=False))
    assert host.master_cf.read_text() == by_hand_master + master_cf
    host.edit(host.main_cf, main_cf)
    host.edit(host.master_cf, master_cf)
    host.apply(host.base)


def test_options_of_an_administrator_survive_closing_and_opening(host: MailHost) -> None:
    name = f"{host.address}:{host.port('submission')}"
    text = host.master_cf.read_text()
    line_end = text.index("\n", text.rindex(f"\n{name} inet") + 1) + 1
    mine = "  -o smtpd_banner=mine\n"
    host.edit(host.master_cf, text[:line_end] + mine + text[line_end:])
    host.apply(with_open(host.base, "submission", is_open=False))
    assert not host.is_open("submission")
    host.apply(host.base)
    assert "220 mine" in wire.converse(host.address, host.port("submission"))
    host.edit(host.master_cf, host.master_cf.read_text().replace(mine, ""))


def test_a_hand_edit_between_review_and_apply_is_not_overwritten(host: MailHost) -> None:
    state = with_default(host.base, make_material("stale").certificate)
    digest = host.plan(state).digest
    before = host.main_cf.read_text()
    edited = before + "# edited meanwhile\n"
    host.edit(host.main_cf, edited)
    report = host.client.apply(state, digest=digest, deployment_id="stale", on_step=lambda _: None)
    assert report.outcome is Outcome.REFUSED
    assert report.problem is not None
    assert report.problem.code == "plan.stale"
    assert host.main_cf.read_text() == edited
    host.edit(host.main_cf, before)


def test_names_and_ports_can_change_in_one_go(host: MailHost) -> None:
    named = make_material("named", ("mail.one.test",)).certificate
    state = with_name(host.base, "mail.one.test", named)
    state = with_default(state, make_material("default").certificate)
    state = with_open(state, "pop3", "smtp", is_open=False)
    host.apply(state)
    for service in DOVECOT_SERVICES + POSTFIX_SERVICES:
        if service in {"pop3", "smtp"}:
            assert not host.is_open(service)
        else:
            assert host.leaf(service, "mail.one.test") == named.fingerprint
            assert host.leaf(service) == state.default_certificate


def test_the_registry_and_these_tests_speak_of_the_same_services() -> None:
    assert set(SERVICES) == set(REGISTRY)


def test_an_ipv6_address_is_refused_while_postfix_uses_ipv4_only(host: MailHost) -> None:
    """Measured: its master dies of it, and all mail with it."""
    masters, files = host.masters(), host.files()
    wanted = with_listener(host.base, "submission", address="::1")
    codes = [item.code for item in host.plan(wanted).problems]
    assert codes == ["postfix.address_family_off"]
    report = host.apply(wanted, Outcome.REFUSED)
    assert report.problem is not None
    assert report.problem.code == "postfix.address_family_off"
    assert (host.masters(), host.files()) == (masters, files)


def test_dovecot_listens_on_ipv6_and_on_every_address(host: MailHost) -> None:
    # Free on every address: the usual one is held by the other tests' servers, each on its own.
    port = find_free_port()
    host.apply(with_listener(host.base, "imaps", address="::1", port=port))
    assert not wire.is_refused("::1", port)
    assert wire.is_refused(host.address, port)
    host.apply(with_listener(host.base, "imaps", address=host.address, port=port))
    wide = with_listener(host.base, "imaps", address="*", port=port)
    assert {item.code for item in host.plan(wide).problems} == {"port.held_by_listener"}
    host.apply(with_open(host.base, "imaps", is_open=False))
    host.apply(wide)
    for address in ("127.0.0.1", host.address, "::1"):
        assert not wire.is_refused(address, port)
    host.apply(with_open(host.base, "imaps", is_open=False))
    host.apply(host.base)
