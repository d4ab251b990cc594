"""What doveconf prints, read back to listeners and certificates."""

from __future__ import annotations

import pytest

from mailadmin.mailconf.dovecot_settings import read_listeners, read_settings
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import ListenerState

ALL = frozenset({"imap", "pop3", "sieve"})
# As printed by 2.3.19 for a configuration as Debian ships it, in parts.
PRINTED = """\
auth_policy_request_attributes = login=%{requested_username} pwhash=%{hashed_password}
disable_plaintext_auth = yes
listen = *, ::
mail_log_prefix = "%s(%u)<%{pid}><%{session}>: "
protocols = imap pop3
service imap-login {
  chroot = login
  inet_listener imap {
    address =
    port = 143
    ssl = no
  }
  inet_listener imaps {
    port = 993
    ssl = yes
  }
}
service managesieve-login {
  inet_listener sieve {
    port = 4190
  }
}
service pop3-login {
  inet_listener pop3 {
    address = 127.0.0.1
    port = 0
  }
  inet_listener pop3s {
    port = 995
  }
}
ssl = yes
ssl_cert = </etc/dovecot/private/dovecot.pem
ssl_key = </etc/dovecot/private/dovecot.key
"""


def read(text: str, protocols: frozenset[str] = ALL) -> dict[str, ListenerState]:
    text = f"{text}\nprotocols = {' '.join(sorted(protocols))}\n"
    return {item.service: item for item in read_listeners(read_settings(text))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('protocols = " imap lmtp sieve pop3"', ("imap", "lmtp", "sieve", "pop3")),
        ("protocols = ", ()),
        # Dovecot 2.4: the defaults come first, then a section; what is off there is off.
        (
            "protocols = \nprotocols {\n  imap = yes\n  sieve = yes\n  pop3 = no\n}",
            ("imap", "sieve"),
        ),
    ],
)
def test_the_protocols_are_those_switched_on(text: str, expected: tuple[str, ...]) -> None:
    assert read_settings(text).protocols == expected


@pytest.mark.parametrize(("value", "is_gentle"), [("no", True), ("yes", False), ("", False)])
def test_a_reload_is_gentle_where_clients_are_not_shut_down(value: str, is_gentle: bool) -> None:
    assert read_settings(f"shutdown_clients = {value}").is_reload_gentle is is_gentle


def test_settings_are_known_by_their_path() -> None:
    settings = read_settings(PRINTED)
    assert settings.get("ssl") == "yes"
    assert settings.get("service imap-login", "inet_listener imap", "port") == "143"
    assert settings.get("service imap-login", "chroot") == "login"
    assert settings.get("nothing") == ""


def test_a_value_with_an_equals_sign_or_a_brace_at_its_end_is_a_value() -> None:
    settings = read_settings("a = b=c {\nd = {\nlast = 1\n# e = 2\n\n")
    assert settings.values == {("a",): "b=c {", ("d",): "{", ("last",): "1"}


def test_ports_and_addresses_are_read() -> None:
    found = read(PRINTED)
    assert [name for name, item in found.items() if item.is_enabled] == [
        "imap",
        "imaps",
        "pop3s",
        "sieve",
    ]
    assert (found["imap"].address, found["imap"].port) == ("*", 143)
    assert (found["pop3"].address, found["pop3"].port) == ("127.0.0.1", 110)


def test_a_protocol_that_is_not_switched_on_is_closed() -> None:
    found = read(PRINTED, frozenset({"imap"}))
    assert found["imaps"].is_enabled
    assert not found["pop3s"].is_enabled
    assert not found["sieve"].is_enabled


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("*", "*"),
        ("*, ::", "*"),
        ("::", "*"),
        ("", "*"),
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 192.0.2.2", "*"),
        ("192.0.2.1,192.0.2.2", "*"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_general_address_counts_where_a_listener_has_none(listen: str, address: str) -> None:
    found = read(PRINTED.replace("listen = *, ::", f"listen = {listen}"))
    assert found["imap"].address == address


def test_a_line_that_is_no_setting_closes_no_section() -> None:
    settings = read_settings("service a {\n  odd words\n  b = 1\n}\nc = 2\n")
    assert settings.values == {("service a", "b"): "1", ("c",): "2"}


def test_a_listener_without_a_port_is_closed_and_has_its_usual_one() -> None:
    found = read("service imap-login {\n  inet_listener imap {\n  }\n}\n")
    assert (found["imap"].is_enabled, found["imap"].port) == (False, 143)


def test_nobody_reads_mail_without_a_login() -> None:
    assert all(item.is_login_required for item in read(PRINTED).values())


def test_2_4_says_listen_for_the_address_of_a_listener() -> None:
    assert read(PRINTED.replace("address = 127", "listen = 127"))["pop3"].address == "127.0.0.1"


@pytest.mark.parametrize(
    ("lines", "mode"),
    [
        ("", TlsMode.STARTTLS),
        ("disable_plaintext_auth = no", TlsMode.NONE),
        ("auth_allow_cleartext = yes", TlsMode.NONE),
        ("ssl = no", TlsMode.NONE),
        ("ssl = required\ndisable_plaintext_auth = no", TlsMode.STARTTLS),
        ("ssl = required\nauth_allow_cleartext = yes", TlsMode.STARTTLS),
        ("protocol imap {\n  disable_plaintext_auth = no\n}", TlsMode.NONE),
        ("protocol pop3 {\n  disable_plaintext_auth = no\n}", TlsMode.STARTTLS),
        ("ssl = required\nprotocol imap {\n ssl = yes\n auth_allow_cleartext = yes\n}", "none"),
        (
            "disable_plaintext_auth = no\nprotocol imap {\n  disable_plaintext_auth = yes\n}",
            TlsMode.STARTTLS,
        ),
    ],
)
def test_whether_passwords_may_come_in_clear_is_read(lines: str, mode: TlsMode) -> None:
    found = read(f"{PRINTED}{lines}\n")
    assert found["imap"].tls_mode == mode
    assert found["imaps"].tls_mode is TlsMode.IMPLICIT


def test_the_pair_of_files_is_read_without_the_sign_of_2_3() -> None:
    pair = ("/etc/dovecot/private/dovecot.pem", "/etc/dovecot/private/dovecot.key")
    assert read_settings(PRINTED).certificate_files() == [pair]


@pytest.mark.parametrize(
    "text",
    [
        "ssl_server_cert_file = /a\nssl_server_key_file = /b\n",
        "ssl_server_cert_file =\nssl_server {\n  cert_file = /a\n  key_file = /b\n}\n",
    ],
)
def test_the_pair_of_2_4_is_read(text: str) -> None:
    assert read_settings(text).certificate_files() == [("/a", "/b")]


def test_without_a_certificate_there_is_no_pair() -> None:
    assert read_settings("ssl = no\nssl_cert =\n").certificate_files() == []
