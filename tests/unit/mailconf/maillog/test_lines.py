"""Every format a mail log comes in gives the same three things."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.mailconf.maillog.lines import Line, LineReader

AT = int(datetime(2026, 11, 24, 15, 7, 44, tzinfo=UTC).timestamp())
SMTPD = Line(AT, b"postfix/smtpd[17]", b"connect from localhost[127.0.0.1]")
LOGIN = Line(AT, b"imap-login", b"Login: user=<anna>, rip=192.0.2.7")
NOON = datetime(2026, 11, 24, 16, 0, tzinfo=UTC)


def read(line: str, until: datetime = NOON) -> Line | None:
    return LineReader(UTC, until).read(line.encode())


@pytest.mark.parametrize(
    "stamp",
    [
        "Nov 24 15:07:44",
        "2026-11-24T15:07:44.123456+00:00",
        "2026-11-24T16:07:44.123456+01:00",
        "2026-11-24T15:07:44Z",
        "2026-11-24T15:07:44+0000",
        f"{AT}.123456",
    ],
)
def test_syslog_and_the_journal_date_lines_in_several_ways(stamp: str) -> None:
    assert read(f"{stamp} mail postfix/smtpd[17]: connect from localhost[127.0.0.1]\n") == SMTPD
    for tag in ("dovecot", "dovecot[99]"):
        assert read(f"{stamp} mail {tag}: imap-login: Login: user=<anna>, rip=192.0.2.7") == LOGIN


@pytest.mark.parametrize("stamp", ["Nov 24 15:07:44", "2026-11-24 15:07:44"])
def test_a_file_of_dovecots_own_names_no_host(stamp: str) -> None:
    assert read(f"{stamp} imap-login: Info: Login: user=<anna>, rip=192.0.2.7\r\n") == LOGIN


def test_the_journal_as_json() -> None:
    line = (
        '{"__REALTIME_TIMESTAMP":"%d123456","SYSLOG_IDENTIFIER":"postfix/smtpd","_PID":"17",'
        '"MESSAGE":%s}'
    )
    assert read(line % (AT, '"connect from localhost[127.0.0.1]"')) == SMTPD
    assert read(line % (AT, list(b"connect from localhost[127.0.0.1]"))) == SMTPD
    # Journald leaves out a message that is too large.
    assert read(line % (AT, "null")) is None


def test_a_json_line_of_dovecot() -> None:
    line = (
        '{"__REALTIME_TIMESTAMP":"%d000000","SYSLOG_IDENTIFIER":"dovecot","SYSLOG_PID":"9",'
        '"MESSAGE":"imap-login: Login: user=<anna>, rip=192.0.2.7"}'
    )
    assert read(line % AT) == LOGIN


def test_a_line_without_a_zone_is_of_the_hosts_zone() -> None:
    reader = LineReader(timezone(timedelta(hours=1)), NOON)
    line = reader.read(b"Nov 24 16:07:44 mail postfix/smtpd[17]: connect from localhost[127.0.0.1]")
    assert line == SMTPD
    own = reader.read(b"2026-11-24 16:07:44 imap-login: Info: Login: user=<anna>, rip=192.0.2.7")
    assert own == LOGIN


def test_summer_and_winter_lines_of_one_log() -> None:
    reader = LineReader(ZoneInfo("Europe/Rome"), datetime(2026, 11, 1, tzinfo=UTC))
    moments = [reader.read(f"Oct {day} 12:00:00 mail x: y".encode()) for day in ("24", "26")]
    assert [moment and moment.at % 86_400 // 3600 for moment in moments] == [10, 11]


@pytest.mark.parametrize(
    ("line", "until", "year"),
    [
        ("Dec 31 23:59:59", datetime(2027, 1, 3, tzinfo=UTC), 2026),
        ("Jan  1 00:00:01", datetime(2027, 1, 3, tzinfo=UTC), 2027),
        # The clock of the file system is behind the one of the log.
        ("Jan  1 00:00:01", datetime(2026, 12, 31, 23, 59, tzinfo=UTC), 2027),
        ("Feb 29 12:00:00", datetime(2026, 3, 1, tzinfo=UTC), 2024),
    ],
)
def test_a_line_without_a_year_is_of_the_last_one_it_fits_in(
    line: str, until: datetime, year: int
) -> None:
    found = read(f"{line} mail x: y", until)
    assert found is not None
    assert datetime.fromtimestamp(found.at, UTC).year == year


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "Feb 30 12:00:00 mail x: y",
        "Nov 24 15:07:44",
        "Nov 24 15:07:44 mail",
        "Nov 24 15:07:44 mail a message without a program: x",
        "2026-13-24T15:07:44Z mail x: y",
        "2026-11-24T15:07:44Z",
        "99999999999999999999.1 mail",
        "17",
        "{",
        "{}",
        "[1]",
    ],
)
def test_what_is_no_line_of_a_log_is_left_out(line: str) -> None:
    assert read(line) is None


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(line: bytes) -> None:
    LineReader(UTC, NOON).read(line)
