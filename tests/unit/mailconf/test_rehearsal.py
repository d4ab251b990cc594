"""The files of a server of two ports, and what those must show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailadmin.mailconf import rehearsal
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.rehearsal import Installed, Places
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import DesiredState
from tests.states import make_material

CERTIFICATE = make_material("rehearsed").certificate
ASKED = DesiredState("mail.example.test", (), CERTIFICATE.fingerprint, (CERTIFICATE,))
PORTS = {"submissions": 40465, "imaps": 40993}
PLACES = Places(
    pem_folder="/state/scratch/pem",
    queue_directory="/run/x/queue",
    data_directory="/run/x/data",
    postfix_log="/run/x/postfix.log",
    base_dir="/run/x/dovecot",
    dovecot_state="/state/scratch/dovecot/state",
    dovecot_log="/state/scratch/dovecot/log",
    users="/run/x/users",
    instance_name="rehearsal-1",
)
POSTFIX = {
    "daemon_directory": "/usr/lib/postfix/sbin",
    "command_directory": "/usr/sbin",
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
}


def installed(version: tuple[int, int] = (2, 3)) -> Installed:
    return Installed(POSTFIX, version, ("imap", "pop3", "lmtp"))


@pytest.mark.parametrize(
    ("protocols", "services"),
    [
        (("lmtp", "pop3", "imap"), ("submissions", "imaps")),
        (("pop3", "sieve"), ("submissions", "pop3s")),
        (("lmtp",), ("submissions",)),
    ],
)
def test_dovecot_shows_it_on_what_it_speaks(
    protocols: tuple[str, ...], services: tuple[str, ...]
) -> None:
    assert rehearsal.choose_services(protocols) == services


def test_nothing_but_the_two_ports_is_open() -> None:
    state = rehearsal.state_to_rehearse(ASKED, PORTS)
    assert {item.service: item.port for item in state.enabled_listeners} == PORTS
    assert {item.address for item in state.listeners} == {"127.0.0.1"}
    assert state.tls_profile == ASKED.tls_profile
    assert "sieve" not in {item.service for item in state.listeners}


def test_the_files_of_postfix() -> None:
    state = rehearsal.state_to_rehearse(ASKED, PORTS)
    files = rehearsal.render(state, PLACES, installed()).postfix
    inet = [line for line in files.master_cf.splitlines() if " inet " in line]
    assert inet == ["127.0.0.1:40465 inet n - n - - smtpd"]
    settings = files.main_cf.splitlines()
    assert "queue_directory = /run/x/queue" in settings
    assert "daemon_directory = /usr/lib/postfix/sbin" in settings
    assert "smtpd_tls_chain_files = /state/scratch/pem/default.pem" in files.main_cf
    assert "smtpd_tls_mandatory_protocols = >=TLSv1.2" in files.main_cf
    assert "rehearsal.mailadmin.invalid" in files.main_cf


def test_the_profile_is_that_of_the_real_server() -> None:
    state = rehearsal.state_to_rehearse(replace(ASKED, tls_profile="modern"), PORTS)
    files = rehearsal.render(state, PLACES, installed())
    assert "smtpd_tls_mandatory_protocols = >=TLSv1.3" in files.postfix.main_cf
    assert "ssl_min_protocol = TLSv1.3" in files.dovecot


def test_the_file_of_dovecot_2_3() -> None:
    state = rehearsal.state_to_rehearse(ASKED, PORTS)
    lines = rehearsal.render(state, PLACES, installed()).dovecot.splitlines()
    assert lines[0] == "base_dir = /run/x/dovecot"
    assert "protocols = imap" in lines
    assert "  args = /run/x/users" in lines
    assert "    user = postfix" in lines
    assert [line.strip() for line in lines if "port =" in line] == ["port = 0", "port = 40993"]


def test_the_file_of_dovecot_2_4() -> None:
    state = rehearsal.state_to_rehearse(ASKED, PORTS)
    lines = rehearsal.render(state, PLACES, installed((2, 4))).dovecot.splitlines()
    assert lines[:2] == ["dovecot_config_version = 2.4.0", "dovecot_storage_version = 2.4.0"]
    assert "passdb passwd-file {" in lines
    assert "  passwd_file_path = /run/x/users" in lines
    assert "ssl_server_cert_file = /state/scratch/pem/default.pem" in lines


def test_dovecot_without_mail_programs_still_answers_postfix() -> None:
    state = rehearsal.state_to_rehearse(ASKED, {"submissions": 40465})
    text = rehearsal.render(state, PLACES, installed()).dovecot
    assert "protocols =\n" in text
    assert "unix_listener auth-postfix" in text
    assert "inet_listener" not in text


def test_one_file_holds_key_leaf_and_chain() -> None:
    files = rehearsal.pem_files(rehearsal.state_to_rehearse(ASKED, PORTS))
    text = files["default.pem"].decode()
    assert list(files) == ["default.pem"]
    assert text.startswith("-----BEGIN PRIVATE KEY-----")
    assert text.count("BEGIN CERTIFICATE") == 2


def test_a_certificate_that_is_not_carried_has_no_file() -> None:
    state = rehearsal.state_to_rehearse(ASKED.with_certificates([]), PORTS)
    assert rehearsal.pem_files(state) == {}


def test_each_port_is_asked_with_and_without_a_name() -> None:
    state = rehearsal.state_to_rehearse(ASKED, PORTS)
    names = ("*.example.test", "192.0.2.1", "mail.example.test", "imap.example.test")
    expected = rehearsal.expectations(state, names)
    assert [(item.service, item.sni_name) for item in expected] == [
        ("submissions", ""),
        ("imaps", ""),
        ("submissions", "mail.example.test"),
        ("imaps", "mail.example.test"),
    ]
    assert {item.fingerprint for item in expected} == {CERTIFICATE.fingerprint}
    assert len(rehearsal.expectations(state, ("*.example.test",))) == 2


def test_names_that_the_certificate_is_not_for() -> None:
    own = ("mail.example.test", "*.example.org")
    assert rehearsal.uncovered_problem(("imap.example.org", "*.example.org"), own) is None
    problem = rehearsal.uncovered_problem(("a.b.example.org", "*.example.test", "x.test"), own)
    assert problem is not None
    assert problem.code == "rehearsal.name_not_covered"
    assert problem.params == {"names": "a.b.example.org, *.example.test, x.test", "count": 3}


IMAPS = Expectation("imaps", "127.0.0.1", 40993, True, TlsMode.IMPLICIT, fingerprint="aa")
SHOWN = Seen("imaps", "127.0.0.1", 40993, is_open=True, fingerprint="aa")


def with_chain(*fingerprints: str) -> Seen:
    return replace(SHOWN, chain=tuple({"fingerprint": item} for item in fingerprints))


def test_the_chain_is_sent_whole_and_in_order() -> None:
    assert rehearsal.judge(IMAPS, with_chain("bb", "cc"), ("bb", "cc")) == []
    assert rehearsal.judge(IMAPS, SHOWN, ()) == []
    for sent in (("bb",), ("cc", "bb"), ("bb", "cc", "dd"), ()):
        (problem,) = rehearsal.judge(IMAPS, with_chain(*sent), ("bb", "cc"))
        assert (problem.code, problem.subject) == ("rehearsal.other_chain", "imaps")
        assert problem.params["sent"] == len(sent)


def test_another_leaf_is_told_before_its_chain() -> None:
    (problem,) = rehearsal.judge(IMAPS, replace(SHOWN, fingerprint="dd"), ("bb",))
    assert problem.code == "probe.other_certificate"
