"""Runs programs for as long as a block lasts, for whoever has no supervisor."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from mailadmin.demo.errors import DemoError
from mailadmin.demo.programs import Program

_READY_LIMIT = 60.0  # seconds
_LOOK_EVERY = 0.02  # seconds


@contextmanager
def running(*programs: Program) -> Iterator[None]:
    """Start programs, wait until they do their work, and end them with the block.

    Raises :class:`DemoError` when one does not come up.
    """
    try:
        for program in programs:
            program.start()
        for program in programs:
            wait_until_ready(program)
        yield
    finally:
        for program in reversed(programs):
            program.kill()


def wait_until_ready(program: Program) -> None:
    """Return as soon as a started program does its work. Raises :class:`DemoError`."""
    deadline = time.monotonic() + _READY_LIMIT
    while not program.is_ready():
        if not program.is_running() or time.monotonic() > deadline:
            raise DemoError(f"{program.name} did not start. It said:\n{program.last_words()}")
        time.sleep(_LOOK_EVERY)
