"""Bring the database and the static files up to date, but only when something has changed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from mailadmin.demo.errors import DemoError
from mailadmin.demo.files import write_private_file
from mailadmin.demo.stack import Stack
from mailadmin.sandbox import paths

_LIMIT = 120.0  # seconds for one command


def is_prepared(stack: Stack) -> bool:
    """Say whether nothing has changed since the last :func:`prepare_panel`."""
    has_database = bool(os.environ.get("DATABASE_URL")) or (stack.var / "db.sqlite3").exists()
    return has_database and _read(_mark(stack)) == _digest(stack)


def prepare_panel(stack: Stack, password: str) -> None:
    """Migrate, collect the static files, make the first user and register the mail server.

    Needs the agent, which is asked what it finds on the mail server. Raises DemoError with the
    words of the command that failed.
    """
    settings = stack.sandbox.settings
    _run_manage(stack, ["migrate", "--no-input", "--verbosity", "0"], {})
    _run_manage(stack, ["collectstatic", "--no-input", "--verbosity", "0"], {})
    described = ["--host-name", settings.host_name, "--username", "admin"]
    described += ["--ports-json", json.dumps(dict(settings.ports))]
    secret = {"MAILADMIN_DEMO_PASSWORD": password}
    _run_manage(stack, ["setup_demo", *described], secret)
    _run_manage(stack, _describe_authority(stack), {})
    write_private_file(_mark(stack), _digest(stack))


def _describe_authority(stack: Stack) -> list[str]:
    """Return the command that makes the panel know the test authority, if it does not yet."""
    roots = stack.var / "authority" / "root.pem"
    write_private_file(roots, stack.pebble.root_pem)
    command = ["acme_account", stack.pebble.directory_url, "--title", "Test CA (Pebble)"]
    # It is a place to rehearse in itself, and there is no other one here.
    command += ["--staging", stack.pebble.directory_url]
    return [*command, "--roots", str(roots), "--agree"]


def _mark(stack: Stack) -> Path:
    return stack.var / "setup-done"


def _run_manage(stack: Stack, arguments: list[str], secret: Mapping[str, str]) -> None:
    """Run one management command to its end, or until the demo is told to end."""
    command = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**stack.environment(), **secret},
        cwd=paths.project_dir(),
        umask=0o077,
        start_new_session=True,
    )
    deadline = time.monotonic() + _LIMIT
    output = b""
    while True:
        try:
            output, _ = command.communicate(timeout=0.1)
            break
        except subprocess.TimeoutExpired:
            if stack.is_ending or time.monotonic() > deadline:
                command.kill()
    words = output.decode("utf-8", errors="replace").strip()
    for line in words.splitlines():
        stack.logbook.write("setup", line)
    if command.returncode != 0 and not stack.is_ending:
        raise DemoError(
            f"`manage.py {arguments[0]}` did not succeed. It said:\n{_last_lines(words)}\n"
            f"The whole log is {stack.logbook.path}"
        )


def _last_lines(words: str) -> str:
    return "\n".join(words.splitlines()[-8:])


def _digest(stack: Stack) -> str:
    """Return a digest of everything that the commands above depend on."""
    project = paths.project_dir()
    digest = hashlib.sha256()
    for path in sorted(_inputs(project)):
        status = path.stat()
        name = path.relative_to(project)
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    settings = stack.sandbox.settings
    digest.update(
        f"{settings.host_name} {settings.address} {sorted(settings.ports.items())}".encode()
    )
    digest.update(f"{sys.version} {os.environ.get('DATABASE_URL', '')}".encode())
    return digest.hexdigest()


def _inputs(project: Path) -> Iterable[Path]:
    yield project / "requirements.txt"
    yield project / "mailadmin" / "settings.py"
    yield from (project / "mailadmin").glob("*/migrations/*.py")
    yield from (project / "mailadmin").glob("*/management/commands/setup_demo.py")
    yield from (project / "mailadmin").glob("*/management/commands/acme_account.py")
    yield from (path for path in (project / "static").rglob("*") if path.is_file())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
