"""Notice that `make`, which started the demo, was told to end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

_STOPPING = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def was_make_interrupted() -> bool:
    """Say whether our parent is a `make` that got SIGINT, SIGHUP or SIGQUIT.

    Ctrl-C in a terminal reaches make and us alike. A signal sent to make alone does not reach
    us, though make waits for us to end (GNU make, fatal_error_signal): it shows in make's mask of
    blocked signals, since make stays in its signal handler for as long as it waits.
    """
    status = Path(f"/proc/{os.getppid()}/status")
    try:
        fields = dict(
            line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines() if line
        )
    except (OSError, ValueError):
        return False
    if fields.get("Name", "").strip() not in {"make", "gmake"}:
        return False
    blocked = int(fields.get("SigBlk", "0"), 16)
    return any(blocked & (1 << (number - 1)) for number in _STOPPING)
