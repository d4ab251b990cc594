"""The whole product on its own: mail server, Redis, agent, worker and panel, for the tests."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailadmin.demo.authority.ports import find_free_port
from mailadmin.demo.setup import prepare_panel
from mailadmin.demo.stack import Stack
from mailadmin.sandbox import Sandbox, paths

USERNAME = "admin"


@dataclass
class RunningStack:
    """A stack that runs, and its command line."""

    stack: Stack
    password: str = field(repr=False)

    @property
    def sandbox(self) -> Sandbox:
        return self.stack.sandbox

    @property
    def url(self) -> str:
        return self.stack.panel_url

    def manage(self, *arguments: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        """Run a management command to its end, as an admin would."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=paths.project_dir(),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def start_command(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a management command and go on."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=paths.project_dir(),
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def status(self) -> dict[str, Any]:
        """Return the served-now matrix, probed now."""
        done = self.manage("status", "--json")
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def shell(self, code: str) -> str:
        """Run a few lines against the panel's own database; returns what they print."""
        done = self.manage("shell", "-v", "0", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO")}
        return {**kept, **self.stack.environment()}

    def log(self) -> str:
        return (self.stack.var / "log" / "mailadmin.log").read_text(errors="replace")


@contextmanager
def run_stack() -> Iterator[RunningStack]:
    """Start everything in an empty folder, and leave nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="ma-", dir="/tmp"))
    folder.chmod(0o755)
    password = secrets.token_urlsafe(12)
    # Names that the test process has set for itself must not reach the programs.
    stack = Stack(folder / "var", panel_port=find_free_port())
    try:
        stack.start(lambda: prepare_panel(stack, password))
        yield RunningStack(stack, password)
    finally:
        stack.stop()
        shutil.rmtree(paths.mail_root(stack.var), ignore_errors=True)
        shutil.rmtree(stack.run, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(is_true: Callable[[], bool], *, what: str, seconds: float = 60) -> None:
    """Return as soon as the condition holds; fail with ``what`` if it does not in time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)
