"""The agent reads the logs: rotated, packed, damaged, endless or missing; and ends when told to."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from mailadmin.agent import protocol
from mailadmin.agent.host import mail_logs, sessions, usage
from mailadmin.agent.protocol import AgentError, Request, Verb
from mailadmin.agent.server import Agent, AgentServer
from mailadmin.mailconf.maillog.usage import LiveSession, Usage
from tests.maillogs import write_lines
from tests.unit.agent.machine import Machine

LOGIN = "{at} mail dovecot: imap-login: Login: user=<{who}>, rip=192.0.2.7, session=<x>\n"


def login(who: str, *, days_ago: float = 0.1) -> bytes:
    at = datetime.fromtimestamp(time.time() - days_ago * 86_400, UTC)
    return LOGIN.format(at=at.isoformat(), who=who).encode()


def write(path: Path, content: bytes, *, days_ago: float = 0) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    moment = time.time() - days_ago * 86_400
    os.utime(path, (moment, moment))


def ignore(_: Mapping[str, Any]) -> None:
    """Progress is of no interest here."""


def read(machine: Machine, is_wanted: Callable[[], bool] = lambda: True) -> Usage:
    return usage.read_usage(machine.host, 30, ignore, is_wanted)


def people(found: Usage) -> set[str]:
    return {person.who for group in found.groups for person in group.shown}


def codes(found: Usage) -> list[str]:
    return [problem.code for problem in found.problems]


def test_rotated_and_packed_files_of_the_time_are_read(machine: Machine) -> None:
    log = machine.mail_log
    write(log, login("now"))
    write(log.with_name("mail.log.1"), login("one", days_ago=2), days_ago=1)
    write(log.with_name("mail.log.2.gz"), gzip.compress(login("two", days_ago=9)), days_ago=8)
    write(
        log.with_name("mail.log-20261101.xz"),
        lzma.compress(login("three", days_ago=20)),
        days_ago=19,
    )
    write(log.with_name("mail.log.9.gz"), gzip.compress(login("old", days_ago=50)), days_ago=49)
    write(log.with_name("mail.log.old"), login("not a log"))
    found = read(machine)
    assert people(found) == {"now", "one", "two", "three"}
    assert found.lines == 4
    assert (found.is_complete, codes(found)) == (True, [])
    assert abs(time.time() - 20 * 86_400 - found.reaches_to) < 3600
    assert found.sources[0] == str(log)


def test_what_a_file_holds_of_earlier_is_left_out(machine: Machine) -> None:
    write(machine.mail_log, login("old", days_ago=31) + login("now"))
    assert people(read(machine)) == {"now"}


def test_a_damaged_file_is_told_and_the_others_are_read(machine: Machine) -> None:
    log = machine.mail_log
    write(log, login("now"))
    # Few enough people to be all named, whenever the clock of their logins moves on.
    whole = gzip.compress(b"".join(login(f"u{n % 100}") for n in range(50_000)))
    write(log.with_name("mail.log.2.gz"), whole[: len(whole) // 2], days_ago=1)
    write(log.with_name("mail.log.3.gz"), b"not packed at all", days_ago=2)
    found = read(machine)
    assert {"now", "u1"} <= people(found)
    assert codes(found) == ["usage.log_unreadable"] * 2
    assert found.problems[0].subject == str(log.with_name("mail.log.2.gz"))


def test_without_a_log_it_is_said_where_one_was_looked_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "JOURNALS", ())
    found = read(machine)
    assert (codes(found), found.sources, found.groups) == (["usage.no_log"], (), ())
    assert str(machine.mail_log) in found.problems[0].subject


def test_without_a_file_the_journal_is_asked(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    printed = tmp_path / "printed"
    printed.write_bytes(f"{int(time.time())}.1 ".encode() + login("anna").partition(b" ")[2])
    journalctl = tmp_path / "journalctl"
    journalctl.write_text(
        f'#!/bin/sh\ncase "$*" in *short-unix*FACILITY=2) exec cat {printed};; esac\nexit 1\n'
    )
    journalctl.chmod(0o755)
    monkeypatch.setattr(usage, "JOURNALS", (tmp_path,))
    monkeypatch.setattr(usage, "find_program", lambda _: journalctl)
    found = read(machine)
    assert (people(found), found.sources, codes(found)) == ({"anna"}, ("journal",), [])
    printed.unlink()
    assert codes(read(machine)) == ["usage.log_unreadable"]


JOURNALCTL = """#!/bin/sh
case "$*" in
  *--after-cursor=one*) test -f {here}/second || exit 1; cat {here}/second; echo "-- cursor: two";;
  *--since=@*) cat {here}/first; echo "-- cursor: one";;
  *) exit 1;;
esac
"""


@pytest.fixture
def journal(machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the folder of what a journal tells first, and after that."""
    journalctl = tmp_path / "journalctl"
    journalctl.write_text(JOURNALCTL.format(here=tmp_path))
    journalctl.chmod(0o755)
    monkeypatch.setattr(usage, "JOURNALS", (tmp_path,))
    monkeypatch.setattr(usage, "find_program", lambda _: journalctl)
    return tmp_path


def journal_line(who: str) -> bytes:
    return f"{int(time.time())}.1 ".encode() + login(who).partition(b" ")[2]


def test_the_journal_is_gone_on_from_or_read_anew_when_its_place_is_gone(
    machine: Machine, journal: Path
) -> None:
    (journal / "first").write_bytes(journal_line("anna"))
    assert people(read(machine)) == {"anna"}
    (journal / "second").write_bytes(journal_line("bert"))
    (journal / "first").write_bytes(journal_line("carl"))
    found = read(machine)
    assert (people(found), found.lines) == ({"anna", "bert"}, 2)
    # The next place is unknown to the journal: it was emptied since.
    found = read(machine)
    assert (people(found), found.sources, codes(found)) == ({"carl"}, ("journal",), [])


def test_a_journal_without_a_line_of_mail_is_told(machine: Machine, journal: Path) -> None:
    (journal / "first").write_bytes(b"")
    assert codes(read(machine)) == ["usage.log_empty"]


def test_a_journal_that_hangs_is_told_and_what_came_before_is_counted(
    machine: Machine, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "SECONDS", 2.0)
    (journal / "first").write_bytes(journal_line("anna"))
    script = journal / "journalctl"
    hang = f"echo $$ > {journal}/pid; cat {journal}/first; exec sleep 60"
    script.write_text(f"#!/bin/sh\n{hang}\n")
    started = time.monotonic()
    found = read(machine)
    assert time.monotonic() - started < 30
    assert (people(found), codes(found)) == ({"anna"}, ["usage.log_unreadable"])
    assert "says nothing more" in str(found.problems[0].params["detail"])
    assert not found.is_complete
    assert not psutil.pid_exists(int((journal / "pid").read_text()))


def test_a_journal_that_may_not_be_read_is_told(machine: Machine, journal: Path) -> None:
    (journal / "journalctl").write_text("#!/bin/sh\nexit 1\n")
    found = read(machine)
    assert codes(found) == ["usage.log_unreadable"]
    assert found.problems[0].params["detail"] == "journalctl ended with 1"


# What was counted is put aside


def scanned(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the folder's names of counts."""
    return sorted(path.name for path in (machine.host.store.folder / "counts").iterdir())


def sessions_of(found: Usage) -> int:
    return sum(group.sessions for group in found.groups)


def test_only_what_is_new_is_read_the_second_time(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = machine.mail_log
    write(log, login("anna") + login("bert"))
    write(log.with_name("mail.log.2.gz"), gzip.compress(login("carl", days_ago=2)), days_ago=1)
    assert sessions_of(read(machine)) == 3
    # What was read already is overwritten with what is no log, but for what identifies it.
    packed = log.with_name("mail.log.2.gz")
    size, at = packed.stat().st_size, packed.stat().st_mtime_ns
    packed.write_bytes(b"x" * size)
    os.utime(packed, ns=(at, at))
    with log.open("ab") as stream:
        stream.write(login("dora"))
    found = read(machine)
    assert (people(found), sessions_of(found)) == ({"anna", "bert", "carl", "dora"}, 4)
    assert (found.lines, codes(found), found.is_complete) == (4, [], True)


def test_a_log_that_is_rotated_keeps_its_counts_and_one_that_is_gone_loses_them(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = machine.mail_log
    write(log, login("anna"))
    read(machine)
    log.rename(log.with_name("mail.log.1"))
    write(log, login("bert"))
    found = read(machine)
    assert (people(found), sessions_of(found)) == ({"anna", "bert"}, 2)
    assert len(scanned(machine, monkeypatch)) == 2
    log.with_name("mail.log.1").unlink()
    assert people(read(machine)) == {"bert"}
    assert len(scanned(machine, monkeypatch)) == 1


@pytest.mark.parametrize("rest", [b"", login("dora") * 50])
def test_a_log_that_was_emptied_in_place_is_read_anew(machine: Machine, rest: bytes) -> None:
    write(machine.mail_log, login("anna") * 3)
    read(machine)
    machine.mail_log.write_bytes(login("carl") + rest)
    found = read(machine)
    assert "anna" not in people(found)
    assert sessions_of(found) == 1 + rest.count(b"\n")


def test_a_line_that_is_being_written_is_counted_once_it_is_whole(machine: Machine) -> None:
    whole = login("bert")
    write(machine.mail_log, login("anna") + whole[:40])
    assert people(read(machine)) == {"anna"}
    with machine.mail_log.open("ab") as stream:
        stream.write(whole[40:])
    assert sessions_of(read(machine)) == 2


def test_a_session_that_goes_on_while_it_is_read_is_counted_once(machine: Machine) -> None:
    at = datetime.fromtimestamp(time.time() - 3600, UTC).isoformat()
    smtpd = f"{at} mail postfix/submission/smtpd[7]: "
    begun = (
        f"{smtpd}connect from a.example[192.0.2.9]\n"
        f"{smtpd}Q1: client=a.example[192.0.2.9], sasl_username=anna\n"
    )
    write(machine.mail_log, begun.encode())
    assert sessions_of(read(machine)) == 1
    with machine.mail_log.open("a") as stream:
        stream.write(f"{smtpd}disconnect from a.example[192.0.2.9] ehlo=1 starttls=1 quit=1\n")
    found = read(machine)
    assert sessions_of(found) == 1
    assert found.groups[0].tls == "tls"


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json", b'{"naming": 1}', b"[1, 2]"])
def test_counts_that_cannot_be_read_are_made_anew(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    write(machine.mail_log, login("anna"))
    read(machine)
    (name,) = scanned(machine, monkeypatch)
    path = machine.host.store.folder / "counts" / name
    kept = json.loads(path.read_bytes())
    path.write_bytes(damage)
    assert people(read(machine)) == {"anna"}
    kept["counted"]["tally"] = {"since": "x"}
    path.write_text(json.dumps(kept))
    assert people(read(machine)) == {"anna"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_counts_are_of_the_time_asked_about(machine: Machine) -> None:
    write(machine.mail_log, login("anna", days_ago=5) + login("bert"))
    for days, wanted in ((30, {"anna", "bert"}), (2, {"bert"}), (30, {"anna", "bert"})):
        assert people(usage.read_usage(machine.host, days, ignore, lambda: True)) == wanted


def test_without_room_for_counts_everything_is_read_anew(machine: Machine) -> None:
    (machine.host.store.folder / "counts").write_bytes(b"in the way")
    write(machine.mail_log, login("anna"))
    for _ in range(2):
        assert (people(read(machine)), codes(read(machine))) == ({"anna"}, [])


def test_each_log_tells_of_its_own_time(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    other = machine.mail_log.with_name("dovecot.log")
    write(machine.mail_log, login("anna", days_ago=20))
    write(other, login("bert", days_ago=3))
    monkeypatch.setattr(usage, "_log_files", lambda *_: ([machine.mail_log, other], []))
    found = read(machine)
    # Nobody can tell who logged in before the younger of the two begins.
    assert abs(time.time() - 3 * 86_400 - found.reaches_to) < 3600
    other.unlink()
    assert codes(read(machine)) == ["usage.no_log"]


def test_a_folder_that_cannot_be_read_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise mail_logs.LogUnreadableError("Permission denied")

    monkeypatch.setattr(usage, "JOURNALS", ())
    monkeypatch.setattr(usage, "find_logs", refuse)
    assert codes(read(machine)) == ["usage.log_unreadable", "usage.no_log"]


def test_reading_stops_when_its_time_is_over(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "SECONDS", 0.0)
    write(machine.mail_log, login("now"))
    write(machine.mail_log.with_name("mail.log.1"), login("one"), days_ago=1)
    found = read(machine)
    assert (people(found), found.is_complete) == ({"now"}, False)


def test_nobody_waits_any_more_so_nothing_is_read(machine: Machine) -> None:
    with pytest.raises(AgentError) as refused:
        read(machine, lambda: False)
    assert refused.value.problem.code == "usage.not_wanted"


def test_a_line_without_an_end_does_not_fill_the_memory(machine: Machine) -> None:
    write(machine.mail_log, b"x" * 5_000_000 + b"\n" + login("now"))
    chunks = list(mail_logs.read_chunks(machine.mail_log))
    assert sum(len(line) for chunk in chunks for line in chunk.lines) < 2_500_000
    assert people(read(machine)) == {"now"}


def test_a_long_log_is_counted_to_the_last_session(machine: Machine) -> None:
    lines = list(write_lines(30_000, users=50, until=datetime.now(UTC)))
    write(machine.mail_log, b"".join(lines))
    told: list[Mapping[str, Any]] = []
    found = usage.read_usage(machine.host, 30, told.append, lambda: True)
    logins = sum(b" Login: " in line for line in lines)
    counted = sum(g.sessions for g in found.groups if "imap" in g.services or "pop3" in g.services)
    assert counted == logins > 1000


# Who is there now


def test_a_session_in_clear_is_known_by_its_process_and_one_with_tls_by_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def row(port: int, client: str, pid: int | None, status: str = "ESTABLISHED") -> Any:
        local, remote = SimpleNamespace(ip="::", port=port), SimpleNamespace(ip=client, port=5)
        return SimpleNamespace(status=status, laddr=local, raddr=remote, pid=pid)

    rows = [
        row(143, "192.0.2.7", 10),
        row(993, "::ffff:192.0.2.8", 99),
        row(993, "192.0.2.9", None),
        row(22, "192.0.2.7", 5),
        row(143, "192.0.2.7", 10, "TIME_WAIT"),
    ]
    monkeypatch.setattr(psutil, "net_connections", lambda _: rows)
    who = (
        "username\t{protocol}\tpid\tip\nanna\timap\t10\t192.0.2.7\nbert\timap\t11\t192.0.2.8\n"
        "carl\timap\t12\t192.0.2.9\ndora\timap\t13\t192.0.2.9\n"
    )
    for word in ("proto", "service"):
        found = sessions.read_sessions({143: "imap", 993: "imaps"}, who.format(protocol=word))
        assert found == (
            LiveSession("imap", "192.0.2.7", "anna"),
            # Two come from there: whose it is cannot be told.
            LiveSession("imaps", "192.0.2.9", ""),
            LiveSession("imaps", "192.0.2.8", "bert"),
        )


def test_dovecot_that_does_not_answer_is_told(machine: Machine) -> None:
    machine.faults.fail("dovecot.read_who")
    write(machine.mail_log, login("now"))
    assert codes(read(machine)) == ["test.dovecot.read_who"]


# The verb


def ask(agent: Agent, days: object) -> dict[str, Any]:
    return agent.answer(Request(Verb.USAGE, {"days": days}), ignore)


def make_agent(machine: Machine) -> Agent:
    agent = Agent(machine.config)
    agent.host = machine.host
    return agent


@pytest.mark.parametrize("days", [0, -1, 367, True, "30", None, 1.5])
def test_only_a_sensible_number_of_days_is_taken(machine: Machine, days: object) -> None:
    with pytest.raises(AgentError) as refused:
        ask(make_agent(machine), days)
    assert refused.value.problem.code == "agent.message_unreadable"


def test_logs_are_read_once_at_a_time(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make_agent(machine)
    begun, may_end = threading.Event(), threading.Event()

    def wait(*_: object) -> Usage:
        begun.set()
        assert may_end.wait(60)
        return Usage(0, 0, 0, (), 0, 0, True, ())

    monkeypatch.setattr("mailadmin.agent.server.read_usage", wait)
    first = threading.Thread(target=ask, args=(agent, 30))
    first.start()
    assert begun.wait(60)
    with pytest.raises(AgentError) as refused:
        ask(agent, 30)
    assert refused.value.problem.code == "usage.under_way"
    may_end.set()
    first.join(20)
    assert ask(agent, 30)["lines"] == 0


def test_a_client_that_went_away_ends_the_reading(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def read_until_gone(_h: object, _d: int, _t: object, is_wanted: Callable[[], bool]) -> Usage:
        assert is_wanted()
        client.close()
        deadline = time.monotonic() + 60
        while is_wanted():
            assert time.monotonic() < deadline
        ended.set()
        return Usage(0, 0, 0, (), 0, 0, True, ())

    monkeypatch.setattr("mailadmin.agent.server.read_usage", read_until_gone)
    agent = make_agent(machine)
    agent.prepare()
    client = socket.socket(socket.AF_UNIX)
    with AgentServer(agent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        client.connect(str(machine.config.socket))
        client.sendall(protocol.encode({"verb": "usage", "params": {"days": 30}}))
        is_ended = ended.wait(60)
        server.shutdown()
        thread.join(20)
    assert is_ended
