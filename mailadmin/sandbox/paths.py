"""Where the demo and the default settings keep their state: one rule, shared by both."""

from __future__ import annotations

import hashlib
import os
import tempfile
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
    if len(os.fsencode(inside)) <= _LONGEST_RUN_DIR:
        return inside
    name = hashlib.sha256(os.fsencode(var)).hexdigest()[:10]
    return Path(tempfile.gettempdir()) / f"mailadmin-{name}"


def agent_socket(run: Path) -> Path:
    """Return the agent's Unix socket."""
    return run / "agent.sock"


def redis_socket(run: Path) -> Path:
    """Return the private Redis' Unix socket."""
    return run / "redis.sock"
