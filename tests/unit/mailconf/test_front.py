"""What the two instances of Dovecot are told, from what a host's own files say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailadmin.mailconf.dovecot_settings import read_settings
from mailadmin.mailconf.front import (
    HostSettings,
    Places,
    find_open_listener,
    find_problems,
    listeners_to_close,
    render_core,
    render_front,
)
from tests.unit.mailconf.golden import FOLDER, read_text, write_text
from tests.unit.mailconf.test_golden import IS_UPDATE

PLACES = Places("/run/dovecot", "/run/dovecot-front", "conf.d/99-mailadmin.conf")
# As ``doveconf -n -P`` of 2.3.19 prints them, shortened.
OLD = """\
auth_mechanisms = plain login
doveadm_password = not-told-anybody
haproxy_trusted_networks = 192.0.2.0/24
instance_name = office
listen = 192.0.2.25
login_greeting = Ready.
login_trusted_networks = 192.0.2.0/24
mail_location = maildir:~/Maildir
mail_max_userip_connections = 100
managesieve_sieve_capability = fileinto comparator-i;ascii-numeric
info_log_path = /var/log/dovecot.log
log_path = /var/log/dovecot.log
namespace inbox {
  inbox = yes
  location =
}
passdb {
  args = /etc/dovecot/users
  driver = passwd-file
}
protocols = " imap lmtp sieve pop3"
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0660
  }
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps-proxied {
    haproxy = yes
    port = 10993
    ssl = yes
  }
  process_min_avail = 2
  unix_listener imap-proxied {
    mode = 0600
  }
}
service imap {
  process_limit = 2000
}
ssl_cert = </etc/ssl/mail.pem
ssl_client_ca_dir = /etc/ssl/certs
ssl_dh = </usr/share/dovecot/dh.pem
ssl_key = </etc/ssl/mail.key
userdb {
  driver = passwd
}
protocol imap {
  mail_max_userip_connections = 20
  ssl_cert = </etc/ssl/imap.pem
  ssl_key = </etc/ssl/imap.key
}
local_name mail.example.org {
  ssl_cert = </etc/ssl/org.pem
  ssl_key = </etc/ssl/org.key
}
protocol lmtp {
  ssl_cert = </etc/ssl/not-for-clients.pem
}
"""
# As ``doveconf -n -P`` of 2.4.1 prints them.
NEW = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
mail_driver = maildir
protocols {
  imap = yes
  lmtp = yes
}
passdb pam {
}
service imap-login {
  inet_listener imap {
  }
  inet_listener imaps {
    port = 994
  }
}
ssl_server {
  cert_file = /etc/dovecot/private/dovecot.pem
  key_file = /etc/dovecot/private/dovecot.key
}
ssl_client {
  cert_file = /etc/ssl/client.pem
}
local_name mail.example.org {
  ssl_server {
    cert_file = /etc/ssl/org.pem
    key_file = /etc/ssl/org.key
  }
}
protocol lmtp {
  auth_username_format = %{user | username | lower}
  ssl_server {
    cert_file = /etc/ssl/not-for-clients.pem
  }
}
"""


def host(text: str, more: str = "") -> HostSettings:
    """Return a host whose files say this, and nothing by default but more."""
    changed = read_settings(text)
    every = read_settings(f"{more}\n{text}")
    return HostSettings(every, changed)


def assert_golden(name: str, text: str) -> None:
    """Compare with the golden file; see ``tests/golden/README.md``."""
    path = FOLDER / "front" / name
    if IS_UPDATE:
        write_text(path, text)
    assert text == read_text(path)


@pytest.mark.parametrize(("text", "name"), [(OLD, "2.3"), (NEW, "2.4")])
def test_the_front_is_told_what_concerns_those_who_come_in(text: str, name: str) -> None:
    assert_golden(f"{name}-front.conf", render_front(host(text), PLACES))


@pytest.mark.parametrize(("text", "name"), [(OLD, "2.3"), (NEW, "2.4")])
def test_the_core_loses_every_port(text: str, name: str) -> None:
    assert_golden(f"{name}-core.conf", render_core(host(text)))


def test_what_is_rendered_reads_back_as_the_same_listeners_and_certificates() -> None:
    read = read_settings(render_front(host(OLD), PLACES))
    wanted = read_settings(OLD)
    for section in ((), ("protocol imap",), ("local_name mail.example.org",)):
        assert read.certificate_files(*section) == wanted.certificate_files(*section)
    proxied = ("service imap-login", "inet_listener imaps-proxied", "port")
    assert read.get(*proxied) == wanted.get(*proxied) == "10993"


@pytest.mark.parametrize("secret", ["not-told-anybody", "passwd", "not-for-clients", "ssl_client"])
def test_what_concerns_nobody_who_comes_in_is_not_copied(secret: str) -> None:
    for text in (OLD, NEW):
        front = render_front(host(text), PLACES)
        settings = [line for line in front.splitlines() if not line.startswith("#")]
        assert secret not in "\n".join(settings)


def test_listeners_that_only_the_host_knows_are_closed_as_well() -> None:
    assert listeners_to_close(host(OLD)) == [
        ("imap-login", "imap"),
        ("imap-login", "imaps"),
        ("imap-login", "imaps-proxied"),
        ("pop3-login", "pop3"),
        ("pop3-login", "pop3s"),
        ("managesieve-login", "sieve"),
    ]


def test_a_port_that_stays_open_is_found() -> None:
    closed = f"{OLD}\n{render_core(host(OLD))}"
    assert find_open_listener(read_settings(closed)) is None
    again = "service imap-login {\n  inet_listener imaps {\n    port = 993\n  }\n}\n"
    assert find_open_listener(read_settings(closed + again)) == ("imaps", "993")


def test_what_belongs_to_no_installed_protocol_is_no_open_port() -> None:
    text = (
        "protocols = imap\nservice pop3-login {\n  inet_listener pop3 {\n    port = 110\n  }\n}\n"
    )
    assert find_open_listener(read_settings(text)) is None


def test_a_usual_host_is_no_problem() -> None:
    assert find_problems(host(OLD)) == []
    assert find_problems(host(NEW)) == []


@pytest.mark.parametrize(
    "line",
    [
        "ssl_key_password = secret",
        "ssl_server_key_password = secret",
        "ssl_server {\n  key_password = secret\n}",
        "local_name a.example {\n  ssl_key_password = secret\n}",
    ],
)
def test_the_password_of_a_key_is_not_copied(line: str) -> None:
    asked = host(f"{OLD}\n{line}")
    (problem,) = find_problems(asked)
    assert problem.code == "front.key_password"
    assert "secret" not in str(problem.as_dict())
    assert "secret" not in render_front(asked, PLACES)


def test_an_empty_password_of_a_key_is_none() -> None:
    assert find_problems(host(f"{OLD}\nssl_key_password =")) == []


@pytest.mark.parametrize("setting", ["executable", "chroot"])
def test_a_login_process_of_the_hosts_own_making_is_not_replaced(setting: str) -> None:
    (problem,) = find_problems(host(f"{OLD}\nservice pop3-login {{\n  {setting} = own\n}}"))
    assert problem.code == "front.login_service_changed"
    assert problem.params == {"service": "pop3-login", "setting": setting}


def test_a_value_where_a_section_is_said_gives_way_to_it() -> None:
    odd = host("protocols = imap\nssl_server = odd\n" + NEW.partition("}\n")[2])
    assert "cert_file = /etc/dovecot/private/dovecot.pem" in render_front(odd, PLACES)


def test_an_instance_without_a_name_is_called_dovecot() -> None:
    assert "instance_name = dovecot-front\n" in render_front(host(NEW), PLACES)
    named = replace(host(NEW), every=read_settings('protocols = imap\ninstance_name = "a b"'))
    assert 'instance_name = "a b-front"\n' in render_front(named, PLACES)
