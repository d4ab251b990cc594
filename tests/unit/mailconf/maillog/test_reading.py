"""From real lines to who used what: Postfix, Dovecot 2.3 and 2.4, and lines that lie."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.mailconf.maillog.access import CLEAR, LOCAL, SOME_TLS, UNTOLD, Access, Naming
from mailadmin.mailconf.maillog.postfix import _MOST_OPEN
from mailadmin.mailconf.maillog.reading import LogReader

LOGS = Path(__file__).parents[3] / "golden" / "logs"
UNTIL = datetime(2026, 11, 25, tzinfo=UTC)
NAMING = Naming({"postfix/smtpd": ("smtp",)})
STAMP = "2026-11-24T15:07:44+00:00 mail "
NEW, OLD = ("TLSv1.3", "TLS_AES_256_GCM_SHA384"), ("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384")
ME = "user@example.test"


def read_file(name: str) -> list[Access]:
    reader = LogReader(NAMING, UTC, UNTIL)
    found = list(reader.read((LOGS / name).read_bytes().splitlines()))
    return [*found, *reader.finish()]


def read(*texts: str, naming: Naming = NAMING) -> list[Access]:
    reader = LogReader(naming, UTC, UNTIL)
    found = list(reader.read((STAMP + text).encode() for text in texts))
    return [*found, *reader.finish()]


def login(elements: str, program: str = "imap-login", words: str = "Login") -> Access:
    (found,) = read(f"dovecot: {program}: {words}: user=<anna@example.org>, {elements}")
    return found


# What the daemons wrote


def test_real_sessions_of_postfix() -> None:
    found = [
        (a.services, a.who, (a.tls, a.cipher), a.is_success) for a in read_file("postfix-3.7.log")
    ]
    assert found == [
        (("smtp",), "localhost", (CLEAR, ""), True),
        (("smtp",), "localhost", NEW, True),
        (("submission",), ME, NEW, True),
        (("submission",), ME, (CLEAR, ""), True),
        (("submissions",), ME, OLD, True),
        (("submissions",), "", OLD, False),
    ]


def test_real_logins_of_dovecot_23() -> None:
    found = read_file("dovecot-2.3.19.log")
    assert [(a.services, a.who, a.tls, a.is_success) for a in found] == [
        (("imap",), ME, CLEAR, True),
        (("imap", "imaps"), ME, SOME_TLS, True),
        (("imap", "imaps"), ME, SOME_TLS, True),
        (("pop3",), ME, CLEAR, True),
        (("pop3", "pop3s"), ME, SOME_TLS, True),
        (("sieve",), ME, CLEAR, True),
        (("imap", "imaps"), "", SOME_TLS, False),
        (("imap", "imaps"), "", SOME_TLS, False),
    ]
    assert {a.address for a in found} == {"127.0.0.1"}


# Dovecot


def test_a_login_of_dovecot_24_is_worded_anew() -> None:
    text = "method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, mpid=7, TLS, session=<hSaTEgdhNoN/AAAB>"
    old, new = login(text), login(text, words="Logged in")
    assert old == new
    assert (new.services, new.who, new.address) == (
        ("imap", "imaps"), "anna@example.org", "192.0.2.7",
    )  # fmt: skip


def test_a_failure_of_dovecot_24_names_nobody() -> None:
    words = "Login aborted: Connection closed (auth failed, 1 attempts in 2 secs) (auth_failed)"
    found = login("method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, TLS", words=words)
    assert (found.who, found.is_success, found.address) == ("", False, "192.0.2.7")


@pytest.mark.parametrize(
    ("program", "secured", "services"),
    [
        ("imap-login", "", ("imap",)),
        ("imap-login", "secured, ", ("imap",)),
        ("pop3-login", "TLS, ", ("pop3", "pop3s")),
        ("managesieve-login", "TLS, ", ("sieve",)),
        ("submission-login", "TLS, ", ("submissions", "submission")),
    ],
)
def test_without_a_port_a_login_may_have_come_through_either(
    program: str, secured: str, services: tuple[str, ...]
) -> None:
    assert login(f"rip=192.0.2.7, {secured}session=<x>", program).services == services


def test_a_login_without_tls_on_the_machine_itself_is_told_apart() -> None:
    assert login("rip=::1, lip=::1, secured, session=<x>").tls == LOCAL


def test_what_an_admin_added_to_the_elements_is_read() -> None:
    found = login(
        "rip=192.0.2.7, lport=993, TLS, TLSv1.2 with cipher AES128-SHA (128/128 bits), "
        "local_name=IMAP.example.org"
    )
    assert found.services == ("imaps",)
    assert (found.tls, found.cipher, found.name) == ("TLSv1.2", "AES128-SHA", "imap.example.org")
    # A port that is nobody's says nothing.
    assert login("rip=192.0.2.7, lport=1993, TLS").services == ("imap", "imaps")
    assert login("rip=192.0.2.7, lport=x, TLS with cipher ?").tls == SOME_TLS


@pytest.mark.parametrize(
    "text",
    [
        "dovecot: imap-login: Error: read(anvil) failed: EOF",
        "dovecot: imap-login: Login: nothing of what there should be",
        "dovecot: some-login: Login: user=<anna>, rip=192.0.2.7",
        "dovecot: imap(anna)<7><x>: imap-login: Login: user=<anna>, rip=192.0.2.7",
        "postfix/smtpd[17]: lost connection after imap-login: Login: user=<a>, rip=1.2.3.4",
        "imap-login",
    ],
)
def test_other_lines_are_no_login(text: str) -> None:
    assert read(text) == []


# Postfix


def smtp(*texts: str, name: str = "postfix/submission/smtpd") -> list[Access]:
    return read(*(f"{name}[17]: {text}" for text in texts))


CONNECT = "connect from client.example.net[192.0.2.7]"
CLIENT = "4F1A2: client=client.example.net[192.0.2.7]"
SASL = ", sasl_method=PLAIN, sasl_username=anna@example.org"
GONE = "disconnect from client.example.net[192.0.2.7]"


def test_the_name_asked_for_and_the_trust_in_the_client() -> None:
    for trust in ("Anonymous", "Untrusted", "Trusted", "Verified"):
        tls = (
            f"{trust} TLS connection established from client.example.net[192.0.2.7] to "
            "Smtp.Example.org: TLSv1 with cipher ECDHE-RSA-AES256-SHA (256/256 bits)"
        )
        (found,) = smtp(CONNECT, tls, CLIENT + SASL, f"{GONE} ehlo=2 starttls=1 auth=1")
        assert (found.tls, found.cipher) == ("TLSv1", "ECDHE-RSA-AES256-SHA")
        assert (found.name, found.who) == ("smtp.example.org", "anna@example.org")


@pytest.mark.parametrize(
    ("name", "counts", "tls"),
    [
        ("postfix/submission/smtpd", " ehlo=2 starttls=1 auth=1", SOME_TLS),
        ("postfix/submission/smtpd", " ehlo=1 auth=1", CLEAR),
        # Postfix before 3.0 counted nothing.
        ("postfix/submission/smtpd", "", UNTOLD),
        ("postfix/smtps/smtpd", "", SOME_TLS),
        ("postfix/submissions/smtpd", " ehlo=1 auth=1", SOME_TLS),
        ("other/smtpd", " ehlo=1 auth=1", UNTOLD),
    ],
)
def test_without_a_line_of_the_handshake_the_last_line_tells_of_tls(
    name: str, counts: str, tls: str
) -> None:
    (found,) = smtp(CONNECT, CLIENT + SASL, GONE + counts, name=name)
    assert found.tls == tls


def test_a_name_that_says_nothing_may_be_any_service() -> None:
    (found,) = smtp(CONNECT, CLIENT + SASL, GONE, name="other/smtpd")
    assert found.services == ("smtp", "submission", "submissions")


def test_a_server_without_a_name_is_known_by_its_address() -> None:
    (found,) = smtp(
        "connect from unknown[2001:db8::7]", "4F: client=unknown[2001:db8::7]",
        "disconnect from unknown[2001:db8::7] ehlo=1 mail=1", name="postfix/smtpd",
    )  # fmt: skip
    assert (found.who, found.services, found.tls) == ("2001:db8::7", ("smtp",), CLEAR)


def test_who_brought_no_mail_and_no_login_used_nothing() -> None:
    for name in ("postfix/smtpd", "postfix/submission/smtpd"):
        (found,) = smtp(CONNECT, f"{GONE} ehlo=1 auth=0/1", name=name)
        assert (found.who, found.is_success) == ("", False)


def test_a_log_that_begins_or_ends_in_the_middle() -> None:
    tls = (
        "Anonymous TLS connection established from client.example.net[192.0.2.7]: "
        "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
    )
    (begun,) = smtp(tls, CLIENT + SASL, f"{GONE} ehlo=2 starttls=1")
    assert (begun.tls, begun.who) == ("TLSv1.3", "anna@example.org")
    (late,) = smtp(CLIENT + SASL)
    assert late.who == "anna@example.org"
    first, second = smtp(CONNECT, CLIENT + SASL, CONNECT, CLIENT + SASL)
    assert first == second


def test_lines_that_do_not_fit_change_nothing() -> None:
    assert smtp("connect from", "disconnect from x", "4F: client=nobody", "warning: x") == []
    assert smtp("Anonymous TLS connection established from nobody") == []
    (found,) = smtp(
        CONNECT, "Anonymous TLS connection established to x[192.0.2.1]: odd", CLIENT + SASL
    )
    assert found.tls == UNTOLD


def test_the_sessions_that_are_open_are_a_bounded_number() -> None:
    lines = [f"postfix/smtpd[{n}]: {CONNECT}" for n in range(_MOST_OPEN + 10)]
    reader = LogReader(NAMING, UTC, UNTIL)
    assert len(list(reader.read((STAMP + line).encode() for line in lines))) == 10
    assert len(reader.finish()) == _MOST_OPEN
    names = [f"a{n}/smtpd[1]: {CONNECT}" for n in range(_MOST_OPEN + 10)]
    assert len(read(*names)) == len(names)


# Both


def test_the_journal_as_json_and_lines_that_are_none() -> None:
    line = (
        b'{"__REALTIME_TIMESTAMP":"1795532923000000","SYSLOG_IDENTIFIER":"postfix/smtpd",'
        b'"_PID":"17","MESSAGE":"connect from client.example.net[192.0.2.7]"}'
    )
    reader = LogReader(NAMING, UTC, UNTIL)
    assert list(reader.read([line, b"/smtpd[", b"imap-login", b"postfix/cleanup[1]: x"])) == []
    assert [access.at for access in reader.finish()] == [1795532923]
    assert (reader.moment(line), reader.moment(b"-- No entries --")) == (1795532923, 0)


@given(
    st.lists(st.sampled_from([CONNECT, CLIENT + SASL, GONE, "x", "Anonymous TLS "]), max_size=20)
)
def test_no_order_of_lines_breaks_the_reader(texts: list[str]) -> None:
    smtp(*texts)
