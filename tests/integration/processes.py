"""Processes of a sandbox by what they are called; they come and go while they are looked at."""

from __future__ import annotations

import contextlib

import psutil

from mailadmin.sandbox import Sandbox


def find_named(sandbox: Sandbox, *names: str) -> dict[int, psutil.Process]:
    """Return the sandbox's processes of these names, by their number."""
    found: dict[int, psutil.Process] = {}
    for process in sandbox.find_processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() in names:
                found[process.pid] = process
    return found


def find_masters(sandbox: Sandbox) -> set[int]:
    """Return the numbers of both masters.

    What a master starts is called as it is until it has become another program.
    """
    masters: set[int] = set()
    found = find_named(sandbox, "master", "dovecot")
    for process in found.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.ppid() not in found:
                masters.add(process.pid)
    return masters
