"""Which service logs as what, by master.cf."""

from __future__ import annotations

from mailadmin.mailconf.maillog.naming import read_naming
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import ListenerState

MASTER_CF = """\
smtp inet n - y - 1 postscreen
smtpd pass - - y - - smtpd
submission inet n - y - - smtpd
  -o syslog_name=postfix/$service_name
smtps inet n - y - - smtpd
  -o syslog_name=postfix/mua
2587 inet n - y - - smtpd
  -o syslog_name=postfix/mua
127.0.0.1:10025 inet n - n - - smtpd
993 inet n - n - - smtpd
odd inet n - n - - smtpd
qmgr unix n - n 300 1 qmgr
"""


def test_names_come_from_master_cf_and_ports_from_the_listeners() -> None:
    moved = ListenerState("submission", True, "*", 2587, TlsMode.STARTTLS, True)
    closed = ListenerState("submissions", False, "*", 1465, TlsMode.IMPLICIT, True)
    naming = read_naming(MASTER_CF, "postfix", [moved, closed])
    assert naming.postfix == {
        "postfix/smtpd": ("smtp",),
        "postfix/submission/smtpd": ("submission",),
        "postfix/mua/smtpd": ("submissions", "submission"),
    }
    assert (naming.ports[2587], naming.ports[993]) == ("submission", "imaps")
    assert 1465 not in naming.ports
    assert naming.of_smtpd("postfix/mua/smtpd") == ("submissions", "submission")
