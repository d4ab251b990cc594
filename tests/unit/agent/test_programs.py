"""Programs are run by absolute path, with nothing of our environment, for a limited time."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from mailadmin.agent.host.programs import find_program, run
from mailadmin.agent.protocol import AgentError

PYTHON = Path(sys.executable)


def test_both_streams_and_the_exit_code_come_back() -> None:
    script = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    done = run([PYTHON, "-c", script])
    assert (done.code, done.is_ok, done.output) == (3, False, "out\nerr")


def test_hidden_output_is_never_read() -> None:
    done = run([PYTHON, "-c", "import sys; print('key'); print('err', file=sys.stderr)"], hide=True)
    assert done.output == "err"


def test_nothing_of_our_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_CONFIG", "/somewhere/else")
    done = run([PYTHON, "-c", "import os; print(sorted(os.environ), os.getcwd())"])
    assert "MAIL_CONFIG" not in done.output
    assert done.output.endswith(" /")


def test_no_shell_reads_the_arguments() -> None:
    done = run([PYTHON, "-c", "import sys; print(sys.argv[1])", "$(id); `id` | cat"])
    assert done.output == "$(id); `id` | cat"


def test_a_program_that_does_not_end_is_stopped() -> None:
    with pytest.raises(AgentError) as raised:
        run([PYTHON, "-c", "import time; time.sleep(60)"], timeout=0.2)
    assert raised.value.problem.code == "program.timeout"


def test_what_a_script_has_started_ends_with_it(tmp_path: Path) -> None:
    noted, script = tmp_path / "child", tmp_path / "script"
    script.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {noted}\nwait\ntouch {tmp_path}/late\n")
    script.chmod(0o755)
    with pytest.raises(AgentError) as raised:
        run([script], timeout=1.0)
    assert raised.value.problem.code == "program.timeout"
    child = int(noted.read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert not (tmp_path / "late").exists()


def test_a_program_that_cannot_be_started_is_said(tmp_path: Path) -> None:
    with pytest.raises(AgentError) as raised:
        run([tmp_path / "missing"])
    assert raised.value.problem.code == "program.not_started"
    assert raised.value.problem.params == {"detail": "No such file or directory"}


def test_only_the_end_of_long_words_is_shown() -> None:
    done = run([PYTHON, "-c", "print('x' * 5000 + 'the end')"])
    assert len(done.words) == 2000
    assert done.words.endswith("the end")


def test_programs_are_found_in_the_given_folder_first(tmp_path: Path) -> None:
    mine = tmp_path / "sh"
    mine.write_text("")
    assert find_program("sh", tmp_path) == Path("/usr/bin/sh")
    mine.chmod(0o755)
    assert find_program("sh", tmp_path) == mine


def test_a_program_that_is_not_installed_is_said() -> None:
    with pytest.raises(AgentError) as raised:
        find_program("no-such-program")
    assert raised.value.problem.code == "program.missing"


def test_a_daemon_that_stays_behind_is_not_waited_for() -> None:
    script = (
        "import os, time\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(60)\n"
        "    os._exit(0)\n"
        "print(child, flush=True)\n"
    )
    started = time.monotonic()
    done = run([PYTHON, "-c", script])
    os.kill(int(done.output), signal.SIGKILL)
    assert time.monotonic() - started < 10
