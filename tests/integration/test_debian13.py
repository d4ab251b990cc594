"""The agent on the other Debian: Postfix 3.10 and Dovecot 2.4, in a tree kept in ``var``.

The tests that ask each port what it serves, and what becomes of sessions, run there a second time.
"""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from mailadmin.sandbox import paths

# Making the tree takes a minute, the tests two; on a busy machine a multiple of it.
_SECONDS = 1200
pytestmark = [pytest.mark.integration, pytest.mark.timeout(_SECONDS + 60)]

RELEASE = "trixie"
TESTS = [
    *(
        f"tests/integration/test_agent_{what}.py"
        for what in ("certificates", "ports", "pairs", "sessions")
    ),
    "tests/integration/test_two_dovecots.py",
]
IN_TREE = """
set -e
bin/bootstrap --mail-tests
dovecot --version
postconf -d -h mail_version
exec .venv/bin/python -m pytest -n 0 --tb=short --maxfail=3 "$@"
"""


def test_what_ports_serve_and_sessions_outlive_is_so_with_dovecot_2_4() -> None:
    if _dovecot_version() >= (2, 4):
        return  # This machine's own; these tests run here anyway.
    environment = {
        **os.environ,
        "BARE_DEBIAN": str(paths.project_dir() / "var" / "debian-13"),
        "AS_IT_IS": "1",
    }
    done = subprocess.run(
        ["bin/check-in-bare-debian", RELEASE, "sh", "-c", IN_TREE, "sh", *TESTS],
        cwd=paths.project_dir(),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    assert re.search(r"^2\.4\.\d", done.stdout, re.MULTILINE), done.stdout[:2_000]
    ran = re.search(r"(\d+) passed", done.stdout)
    assert ran, done.stdout[-2_000:]
    assert int(ran[1]) > 60


def _dovecot_version() -> tuple[int, ...]:
    said = subprocess.run(["dovecot", "--version"], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in said.stdout.split()[0].split(".")[:2])
