"""Dovecot 2.4 prints its settings in parts: the defaults of listeners apart, TLS in a section."""

from __future__ import annotations

from mailadmin.mailconf.dovecot_settings import read_listeners, read_settings
from mailadmin.mailconf.state import ListenerState

# As printed by 2.4.1: `doveconf -d`, then `doveconf -a` of a configuration as Debian ships it.
DEFAULTS = """\
listen = * ::
ssl_server_cert_file =
service imap-login {
  inet_listener imap {
    port = 143
  }
  inet_listener imaps {
    port = 993
    ssl = yes
  }
}
"""
ALL = """\
listen = 127.9.8.7
ssl_server_cert_file =
ssl_server {
  cert_file = /etc/dovecot/private/dovecot.pem
  key_file = /etc/dovecot/private/dovecot.key
}
service imap-login {
  inet_listener imap {
  }
  inet_listener imaps {
    port = 0
  }
}
"""


def read_imap_listeners(text: str) -> dict[str, ListenerState]:
    listeners = read_listeners(read_settings(text + "protocols {\n  imap = yes\n}\n"))
    return {listener.service: listener for listener in listeners}


def test_a_listener_that_is_not_mentioned_has_its_default_port() -> None:
    imap = read_imap_listeners(DEFAULTS + ALL)["imap"]
    assert imap.is_enabled
    assert (imap.address, imap.port) == ("127.9.8.7", 143)


def test_a_listener_that_is_closed_in_the_files_is_closed() -> None:
    assert not read_imap_listeners(DEFAULTS + ALL)["imaps"].is_enabled


def test_the_certificate_is_read_from_the_tls_section() -> None:
    assert read_settings(DEFAULTS + ALL).certificate_files() == [
        ("/etc/dovecot/private/dovecot.pem", "/etc/dovecot/private/dovecot.key")
    ]


def test_the_certificate_of_2_3_is_read_as_before() -> None:
    text = "ssl_cert = </etc/dovecot/private/dovecot.pem\nssl_key = # hidden, use -P to show it\n"
    assert read_settings(text).certificate_files()[0][0] == "/etc/dovecot/private/dovecot.pem"
