"""Folders, programs and processes of a rehearsal; scripts stand in for the daemons."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mailadmin.agent.host.processes import find_processes, is_alive
from mailadmin.agent.host.scratch import ScratchServer
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf.postfix import PostfixFiles
from mailadmin.mailconf.rehearsal import RehearsalFiles
from mailadmin.mailconf.services import Daemon
from tests.unit.agent.machine import Machine

FILES = RehearsalFiles(PostfixFiles("main\n", "master\n"), "dovecot\n")
LIMIT = 60.0


@pytest.fixture
def scratch(machine: Machine, tmp_path: Path) -> Iterator[ScratchServer]:
    programs = tmp_path / "programs"
    programs.mkdir()
    config = replace(
        machine.config,
        postfix=replace(machine.config.postfix, command_directory=programs),
        dovecot=replace(machine.config.dovecot, command_directory=programs),
    )
    one = ScratchServer(config)
    one.runtime = tmp_path / "runtime"
    yield one
    one.clear()


def install(scratch: ScratchServer, name: str, script: str) -> None:
    """Let the agent find this script as one of the daemons' commands."""
    program = scratch.runtime.with_name("programs") / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def write(scratch: ScratchServer) -> None:
    scratch.write(FILES, {"default.pem": b"secret\n"}, "root")


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def run_in(folder: Path, **environment: str) -> psutil.Process:
    """Start something that sleeps in a folder."""
    environment = {"PATH": os.environ["PATH"], **environment}
    child = subprocess.Popen(["sleep", "60"], cwd=folder, env=environment)
    return psutil.Process(child.pid)


def test_the_secret_part_is_closed_and_the_other_can_be_passed(scratch: ScratchServer) -> None:
    write(scratch)
    for path in (scratch.folder, scratch.folder / "pem", scratch.folder / "postfix"):
        assert mode_of(path) == 0o700
    assert mode_of(scratch.folder / "pem" / "default.pem") == 0o600
    assert mode_of(scratch.runtime) == 0o711
    assert mode_of(scratch.runtime / "queue") == 0o755
    assert mode_of(scratch.runtime / "postfix.log") == 0o600
    assert (scratch.folder / "dovecot" / "dovecot.conf").read_text() == "dovecot\n"


def test_modes_do_not_depend_on_the_umask(scratch: ScratchServer) -> None:
    before = os.umask(0o077)
    try:
        write(scratch)
    finally:
        os.umask(before)
    assert mode_of(scratch.runtime) == 0o711
    assert mode_of(scratch.runtime / "dovecot") == 0o755
    assert mode_of(scratch.runtime / "users") == 0o644


def test_postfix_need_not_wait_for_its_files_to_cool_down(scratch: ScratchServer) -> None:
    write(scratch)
    for name in ("main.cf", "master.cf"):
        assert time.time() - (scratch.folder / "postfix" / name).stat().st_mtime > 2


def test_a_folder_that_is_there_already_is_not_trusted(scratch: ScratchServer) -> None:
    scratch.runtime.mkdir()
    with pytest.raises(AgentError) as caught:
        write(scratch)
    assert caught.value.problem.code == "file.unwritable"
    assert caught.value.problem.subject == str(scratch.runtime)


def test_a_mail_owner_that_does_not_exist(scratch: ScratchServer) -> None:
    with pytest.raises(AgentError) as caught:
        scratch.write(FILES, {}, "nobody-of-that-name")
    assert caught.value.problem.code == "rehearsal.no_mail_owner"
    assert not scratch.folder.exists()


def test_two_agents_have_two_servers(machine: Machine, tmp_path: Path) -> None:
    one = ScratchServer(machine.config)
    other = ScratchServer(replace(machine.config, state_dir=tmp_path / "other"))
    assert one.runtime != other.runtime
    assert one.places.instance_name != other.places.instance_name
    # Dovecot adds up to 40 bytes to it, and 107 is the limit for a socket (unix(7)).
    assert len(one.places.base_dir) < 60


def test_ports_are_free_and_not_the_same(scratch: ScratchServer) -> None:
    ports = scratch.pick_ports(("submissions", "imaps"))
    assert list(ports) == ["submissions", "imaps"]
    assert len(set(ports.values())) == 2
    for port in ports.values():
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", port))


def test_a_machine_without_a_free_port(
    scratch: ScratchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailadmin.agent.host.scratch.ADDRESS", "192.0.2.1")
    with pytest.raises(AgentError) as caught:
        scratch.pick_ports(("imaps",))
    assert caught.value.problem.code == "rehearsal.no_port"


def test_each_is_started_with_its_own_files(scratch: ScratchServer) -> None:
    write(scratch)
    install(scratch, "dovecot", f'echo "$@" > {scratch.runtime}/asked')
    scratch.start(Daemon.DOVECOT, timeout=LIMIT)
    asked = scratch.runtime / "asked"
    assert asked.read_text().split() == ["-c", f"{scratch.folder}/dovecot/dovecot.conf"]
    install(scratch, "postfix", f'echo "$@" > {scratch.runtime}/asked')
    scratch.start(Daemon.POSTFIX, timeout=LIMIT)
    assert asked.read_text().split() == ["-c", f"{scratch.folder}/postfix", "start"]


def test_what_it_prints_explains_why_it_did_not_start(scratch: ScratchServer) -> None:
    write(scratch)
    install(scratch, "dovecot", f"echo {scratch.folder}/dovecot/dovecot.conf is wrong; exit 89")
    with pytest.raises(AgentError) as caught:
        scratch.start(Daemon.DOVECOT, timeout=LIMIT)
    problem = caught.value.problem
    assert (problem.code, problem.subject) == ("rehearsal.not_started", "dovecot")
    assert problem.params["words"] == "dovecot/dovecot.conf is wrong"


def test_its_log_explains_it_better(scratch: ScratchServer) -> None:
    write(scratch)
    line = "Nov 24 15:00:00 host postfix/master[7]: fatal: bind 127.0.0.1 port 40465: in use"
    install(scratch, "postfix", f"echo '{line}' >> {scratch.runtime}/postfix.log; exit 1")
    with pytest.raises(AgentError) as caught:
        scratch.start(Daemon.POSTFIX, timeout=LIMIT)
    assert caught.value.problem.params["words"] == "fatal: bind 127.0.0.1 port 40465: in use"


def test_one_that_does_not_end_is_given_up_and_ended(scratch: ScratchServer) -> None:
    write(scratch)
    # As postfix(1) does: the master works elsewhere, in a session of its own.
    install(scratch, "postfix", 'MAIL_CONFIG=$2 setsid sh -c "sleep 60; true" & wait')
    with pytest.raises(AgentError) as caught:
        scratch.start(Daemon.POSTFIX, timeout=2.0)
    assert caught.value.problem.code == "program.timeout"
    left = find_processes([], ("no title",), mail_config=scratch.folder / "postfix")
    assert left
    scratch.clear()
    assert not any(is_alive(process) for process in left)


def test_the_log_is_told_without_what_means_nothing_elsewhere(scratch: ScratchServer) -> None:
    write(scratch)
    client = "user=<>, rip=127.0.0.1, lip=127.0.0.1, session=<{}>"
    lines = [
        "Nov 24 15:00:00 imap-login: Info: started",
        f"Nov 24 15:00:00 imap-login: Error: {scratch.folder}/pem/a.pem: {client.format('a')}",
        f"Nov 24 15:00:01 imap-login: Error: {scratch.folder}/pem/a.pem: {client.format('b')}",
    ]
    (scratch.folder / "dovecot" / "log").write_text("\n".join(lines))
    assert scratch.trouble(Daemon.DOVECOT) == "Error: pem/a.pem"
    assert scratch.trouble(Daemon.POSTFIX) == ""


def test_a_log_that_is_not_there_says_nothing(scratch: ScratchServer) -> None:
    assert scratch.trouble(Daemon.DOVECOT) == ""


def test_whose_port_it_is(scratch: ScratchServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = int(stranger.getsockname()[1])
        assert scratch.is_taken(port)
    assert not scratch.is_taken(port)


def test_everything_of_it_is_ended_and_removed(scratch: ScratchServer) -> None:
    write(scratch)
    elsewhere = scratch.runtime.parent
    ours = [
        run_in(scratch.runtime / "queue"),
        run_in(scratch.runtime / "dovecot"),
        run_in(elsewhere, MAIL_CONFIG=str(scratch.folder / "postfix")),
    ]
    others = [run_in(elsewhere), run_in(elsewhere, MAIL_CONFIG="/etc/postfix")]
    try:
        scratch.clear()
        assert not any(is_alive(process) for process in ours)
        assert all(is_alive(process) for process in others)
        assert not scratch.folder.exists()
        assert not scratch.runtime.exists()
    finally:
        for process in (*others, *ours):
            os.kill(process.pid, signal.SIGKILL)
            os.waitpid(process.pid, 0)


def test_one_that_asks_to_live_on_is_ended_all_the_same(scratch: ScratchServer) -> None:
    write(scratch)
    stubborn = subprocess.Popen(
        ["sh", "-c", "trap '' TERM INT HUP; echo; sleep 60; true"],
        cwd=scratch.runtime / "queue",
        stdout=subprocess.PIPE,
    )
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    scratch.clear()
    assert stubborn.wait(LIMIT) == -signal.SIGKILL
    stubborn.stdout.close()


def test_a_link_in_the_folders_place_is_not_followed(scratch: ScratchServer) -> None:
    precious = scratch.runtime.with_name("precious")
    precious.mkdir()
    (precious / "file").touch()
    scratch.runtime.symlink_to(precious)
    try:
        with pytest.raises(AgentError) as caught:
            scratch.clear()
    finally:
        scratch.runtime.unlink()
    assert caught.value.problem.code == "file.unwritable"
    assert (precious / "file").exists()


def test_nothing_is_nothing_to_clear(scratch: ScratchServer) -> None:
    scratch.clear()
    scratch.clear()
