"""The parts of the supervisor: the log, a program's life, the lock, the port, the parent."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mailadmin.demo import logbook as logbooks
from mailadmin.demo.errors import DemoError
from mailadmin.demo.files import write_private_file
from mailadmin.demo.lock import hold_lock
from mailadmin.demo.logbook import Logbook
from mailadmin.demo.ports import read_panel_port
from mailadmin.demo.programs import Program
from mailadmin.sandbox.paths import project_dir


def make_program(tmp_path: Path, script: str) -> tuple[Program, Logbook]:
    logbook = Logbook(tmp_path / "log" / "all.log")
    program = Program(
        "thing",
        ["/bin/sh", "-c", script],
        environment={"PATH": "/usr/bin:/bin"},
        folder=tmp_path,
        logbook=logbook,
        is_ready=lambda: True,
    )
    return program, logbook


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_a_program_says_is_logged_under_its_name(tmp_path: Path) -> None:
    program, logbook = make_program(tmp_path, "echo hello; echo there >&2; exit 3")
    program.start()
    wait_for(lambda: program.exit_code is not None)
    wait_for(lambda: program.last_words() == "hello\nthere")
    assert program.exit_code == 3
    assert not program.is_ready()
    lines = logbook.path.read_text().splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines] == ["thing   hello", "thing   there"]


def test_killing_a_program_also_ends_what_it_started(tmp_path: Path) -> None:
    program, logbook = make_program(tmp_path, "trap '' TERM; sleep 60 & echo deaf; wait")
    program.start()
    wait_for(lambda: logbook.last_lines("thing") == ["deaf"])
    assert program.is_ready()
    program.ask_to_end()
    assert not program.has_ended()
    program.kill()
    wait_for(program.has_ended)
    assert program.exit_code == -signal.SIGKILL


def test_each_death_in_a_row_waits_longer(tmp_path: Path) -> None:
    program, _ = make_program(tmp_path, "true")
    program.start()
    assert [program.backoff() for _ in range(7)] == [0, 1, 2, 4, 8, 10, 10]


def test_a_large_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logbooks, "_LARGEST", 100)
    logbook = Logbook(tmp_path / "all.log")
    for number in range(10):
        logbook.write("thing", f"line {number} {'x' * 40}")
    logbook.close()
    logbook.write("thing", "after the end")
    assert (tmp_path / "all.log.1").exists()
    assert "after the end" not in logbook.path.read_text()
    assert logbook.last_lines("thing")[-1] == "after the end"


def test_a_folder_is_held_by_one_demo(tmp_path: Path) -> None:
    with (
        hold_lock(tmp_path),
        pytest.raises(DemoError, match=rf"runs already \(process {os.getpid()}\)"),
        hold_lock(tmp_path),
    ):
        pass
    with hold_lock(tmp_path):
        pass


@pytest.mark.parametrize("text", ["abc", "0", "65536", "-1", "8000.5"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(DemoError, match="is not a port"):
        read_panel_port({"PANEL_PORT": text})


def test_the_panels_port_can_be_chosen() -> None:
    assert read_panel_port({"PANEL_PORT": " 8123 "}) == 8123
    assert read_panel_port({"PANEL_PORT": ""}) == 8000
    assert read_panel_port({}) == 8000


def test_a_private_file_is_private_whatever_was_there(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private_file(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_make_that_alone_was_interrupted_is_noticed(tmp_path: Path) -> None:
    watcher = tmp_path / "watch.py"
    watcher.write_text(
        "import time\n"
        "from mailadmin.demo.interrupt import was_make_interrupted\n"
        "print('watching', was_make_interrupted(), flush=True)\n"
        "deadline = time.monotonic() + 60\n"
        "while not was_make_interrupted() and time.monotonic() < deadline:\n"
        "    time.sleep(0.01)\n"
        "print('noticed', was_make_interrupted(), flush=True)\n"
    )
    (tmp_path / "Makefile").write_text(f"all:\n\t@exec {sys.executable} watch.py\n")
    make = subprocess.Popen(
        ["/usr/bin/env", "--default-signal=INT", "/usr/bin/make", "-C", str(tmp_path), "-s"],
        env={**os.environ, "PYTHONPATH": str(project_dir())},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert make.stdout is not None
    assert make.stdout.readline() == "watching False\n"
    make.send_signal(signal.SIGINT)
    words, _ = make.communicate(timeout=90)
    assert words == "noticed True\n"
