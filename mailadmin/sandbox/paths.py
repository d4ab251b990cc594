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


def is_short_enough(folder: Path) -> bool:
    """Say whether a folder for sockets leaves room for the names that programs put into it."""
    return len(os.fsencode(folder)) <= _LONGEST_RUN_DIR


def short_runtime_dir(folder: Path) -> Path:
    """Return the stand-in, under /run, for the sockets of a folder whose path is too long.

    /run belongs to root and is emptied at boot, as /var/run/dovecot and its like are.
    """
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:10]
    return Path("/run") / f"mailadmin-{name}"


def agent_socket(run: Path) -> Path:
    """Return the agent's Unix socket."""
    return run / "agent.sock"


def redis_socket(run: Path) -> Path:
    """Return the private Redis' Unix socket."""
    return run / "redis.sock"
