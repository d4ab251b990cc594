"""At most one demo per state folder: whoever holds the lock file is it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailadmin.demo.errors import DemoError


@contextmanager
def hold_lock(var: Path) -> Iterator[None]:
    """Hold the state folder for this process. Raises DemoError naming who holds it already.

    The kernel lets go of the lock when the process ends, however it ends.
    """
    descriptor = os.open(var / "demo.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", errors="replace").strip()
            raise DemoError(
                f"The demo in {var} runs already (process {holder}). Stop it there with Ctrl-C, "
                "or use the one that runs."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)
