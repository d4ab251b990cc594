"""The files that the demo writes for its programs and for whoever uses it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from mailadmin.sandbox import Sandbox


def write_private_file(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step: readers see the old one or the new one."""
    staged = path.with_name(f".{path.name}.new")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    staged.replace(path)


def write_agent_config(
    path: Path, sandbox: Sandbox, socket: Path, folder: Path, *, http_port: int
) -> None:
    """Tell the agent where the sandbox's Postfix and Dovecot are, and where it answers an
    authority.
    """
    config = {
        "socket": str(socket),
        "state_dir": str(folder / "state"),
        "allowed_uids": [0],
        "postfix": {
            "config_directory": str(sandbox.postfix_config_directory),
            "command_directory": "/usr/sbin",
        },
        "dovecot": {
            "config_file": str(sandbox.dovecot_config),
            "dropin": str(sandbox.dovecot_config.parent / "conf.d" / "99-mailadmin.conf"),
            "base_dir": str(sandbox.dovecot_base_dir),
            "command_directory": "/usr/sbin",
        },
        # The demo's own address and port: 80 may belong to a web server of this machine.
        "http01": {
            "addresses": [sandbox.settings.address],
            "port": http_port,
        },
    }
    write_private_file(path, json.dumps(config, indent=2) + "\n")


def write_redis_config(folder: Path, socket: Path) -> None:
    """Write redis.conf: no network port, one socket for root alone, messages kept on disk."""
    lines = [
        "port 0",
        f'unixsocket "{socket}"',
        "unixsocketperm 700",
        f'dir "{folder}"',
        "daemonize no",
        "appendonly yes",
        'logfile ""',
        "loglevel notice",
    ]
    write_private_file(folder / "redis.conf", "\n".join(lines) + "\n")
