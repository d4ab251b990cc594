"""The sandbox's files are Debian's own with a few settings changed: nothing else moves."""

from __future__ import annotations

from pathlib import Path

from mailadmin.sandbox.addresses import STANDARD_PORTS
from mailadmin.sandbox.dovecot_files import comment_out, set_setting
from mailadmin.sandbox.postfix_files import (
    MailPeers,
    PostfixLayout,
    render_main_cf,
    render_master_cf,
    set_parameter,
)
from mailadmin.sandbox.settings import SandboxSettings

SETTINGS = SandboxSettings(root=Path("/srv/box"), address="127.9.8.7", ports=STANDARD_PORTS)
LAYOUT = PostfixLayout(
    config_directory=Path("/srv/box/postfix/etc"),
    queue_directory=Path("/srv/box/postfix/queue"),
    data_directory=Path("/srv/box/postfix/data"),
    log=Path("/srv/box/log/postfix.log"),
    mailboxes=Path("/srv/box/postfix/etc/mailboxes"),
    aliases=Path("/srv/box/postfix/etc/virtual"),
)
PEERS = MailPeers(
    certificate=Path("/srv/box/ssl/snakeoil.pem"),
    certificate_key=Path("/srv/box/ssl/snakeoil.key"),
    auth_socket=Path("/srv/box/dovecot/run/auth-postfix"),
    lmtp_socket=Path("/srv/box/dovecot/run/lmtp"),
)
SHIPPED_MASTER = """\
# service type  private unpriv  chroot  wakeup  maxproc command + args
smtp      inet  n       -       y       -       -       smtpd
#smtp      inet  n       -       y       -       1       postscreen
#submission inet n       -       y       -       -       smtpd
#  -o syslog_name=postfix/submission
#127.0.0.1:submissions inet n  -       y       -       -       smtpd
#submissions     inet  n       -       y       -       -       smtpd
pickup    unix  n       -       y       60      1       pickup
qmgr      unix  n       -       n       300     1       qmgr
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
"""


def test_master_cf_gets_the_address_and_no_chroot_and_keeps_the_rest() -> None:
    assert (
        render_master_cf(SHIPPED_MASTER, SETTINGS)
        == """\
# service type  private unpriv  chroot  wakeup  maxproc command + args
127.9.8.7:25      inet  n       -       n       -       -       smtpd
#127.9.8.7:25      inet  n       -       n       -       1       postscreen
#127.9.8.7:587 inet n       -       n       -       -       smtpd
#  -o syslog_name=postfix/submission
#127.0.0.1:submissions inet n  -       n       -       -       smtpd
#127.9.8.7:465     inet  n       -       n       -       -       smtpd
pickup    unix  n       -       n       60      1       pickup
qmgr      unix  n       -       n       300     1       qmgr
relay     unix  -       -       n       -       -       smtp
        -o syslog_name=postfix/$service_name
"""
    )


def test_main_cf_changes_what_debian_ships_in_place_and_adds_the_rest() -> None:
    shipped = (
        "# a comment\nbiff = no\nmydestination = a,\n  b\nsmtpd_tls_cert_file=/etc/ssl/x.pem\n"
    )
    text = render_main_cf(shipped, SETTINGS, LAYOUT, PEERS)
    assert text.startswith(
        "# a comment\nbiff = no\nmydestination =\nsmtpd_tls_cert_file = /srv/box/ssl/snakeoil.pem\n"
    )
    assert text.count("mydestination") == 1
    assert "\nsmtpd_tls_key_file = /srv/box/ssl/snakeoil.key\n" in text
    assert "\nvirtual_transport = lmtp:unix:/srv/box/dovecot/run/lmtp\n" in text
    assert "\nmynetworks =\n" in text


def test_a_parameter_is_replaced_with_its_continuation_lines() -> None:
    text = "a = 1\n  2\n\t3\nab = 4\n"
    assert set_parameter(text, "a", "9") == "a = 9\nab = 4\n"
    assert set_parameter(text, "c", "5") == "a = 1\n  2\n\t3\nab = 4\nc = 5\n"


def test_a_dovecot_setting_goes_where_debian_mentions_it() -> None:
    assert set_setting("x\n#listen = *, ::\ny\n", "listen", "127.9.8.7") == (
        "x\n#listen = *, ::\nlisten = 127.9.8.7\ny\n"
    )
    assert set_setting("ssl = yes\n", "ssl", "no") == "ssl = no\n"
    assert set_setting("# nothing\n", "ssl", "no") == "# nothing\nssl = no\n"


def test_a_line_is_commented_out_once() -> None:
    text = "protocol lmtp {\n  auth_username_format = %{user}\n  # auth_username_format\n}\n"
    assert comment_out(text, r"auth_username_format\b") == (
        "protocol lmtp {\n  #auth_username_format = %{user}\n  # auth_username_format\n}\n"
    )


def test_no_repr_tells_the_mailboxs_password() -> None:
    settings = SandboxSettings(
        root=Path("/srv/box"), address="127.9.8.7", ports={}, mailbox_password="tell nobody"
    )
    assert "tell nobody" not in repr(settings)
