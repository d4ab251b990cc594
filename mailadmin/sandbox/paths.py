"""Where the demo and the default settings keep their state: one rule, shared by both."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

# A Unix socket path holds at most 107 bytes (unix(7)); Dovecot adds names of up to 50 to its own.
_LONGEST_RUN_DIR = 50


def project_dir() -> Path:
    """Return the folder that holds manage.py."""
    return Path(__file__).resolve().parent.parent.parent


def var_dir() -> Path:
    """Return the state folder: ``MAILADMIN_VAR``, else ``var/`` beside manage.py."""
    return Path(os.environ.get("MAILADMIN_VAR") or project_dir() / "var").absolute()


def run_dir(var: Path) -> Path:
    """Return the folder for sockets: ``MAILADMIN_RUN``, else a path short enough for a socket."""
    chosen = os.environ.get("MAILADMIN_RUN")
    if chosen:
        return Path(chosen).absolute()
    inside = var / "run"
    return inside if is_short_enough(inside) else short_runtime_dir(var)


def mail_root(var: Path) -> Path:
    """Return the sandbox's folder: in ``var``, or in /var/lib where ``var`` is closed to others.

    The daemons' own users have to reach it, and /root (a usual place to clone into) lets nobody
    pass.
    """
    if is_open_to_all(var):
        return var / "mail"
    return Path("/var/lib") / _short_name(var) / "mail"


def is_open_to_all(folder: Path) -> bool:
    """Say whether every user may pass through a folder and its parents, as far as they exist."""
    real = folder.resolve()
    existing = [step for step in (real, *real.parents) if step.exists()]
    return all(step.stat().st_mode & 0o001 for step in existing)


def make_open_folder(folder: Path) -> None:
    """Make a folder, and the missing ones above it, that every user may pass through.

    Whatever the umask is; a folder that exists is left as it is.
    """
    missing = [step for step in (folder, *folder.parents) if not step.exists()]
    for step in reversed(missing):
        step.mkdir(exist_ok=True)
        step.chmod(0o755)


def is_short_enough(folder: Path) -> bool:
    """Say whether a folder for sockets leaves room for the names that programs put into it."""
    return len(os.fsencode(folder)) <= _LONGEST_RUN_DIR


def short_runtime_dir(folder: Path) -> Path:
    """Return the stand-in, under /run, for the sockets of a folder whose path is too long.

    /run belongs to root and is emptied at boot, as /var/run/dovecot and its like are.
    """
    return Path("/run") / _short_name(folder)


def _short_name(folder: Path) -> str:
    return f"mailadmin-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:10]}"


def agent_socket(run: Path) -> Path:
    """Return the agent's Unix socket."""
    return run / "agent.sock"


def redis_socket(run: Path) -> Path:
    """Return the private Redis' Unix socket."""
    return run / "redis.sock"
