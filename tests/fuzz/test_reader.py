"""libFuzzer looks for an upload that does harm, for a bounded time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SECONDS = int(os.environ.get("MAILADMIN_FUZZ_SECONDS", "20"))
# The suite tries the same uploads each time, so that it never fails by luck; `make fuzz` others.
SEED = "0" if os.environ.get("MAILADMIN_EXAMPLES") == "fresh" else "1"
REPOSITORY = Path(__file__).parents[2]


def test_no_upload_raises_or_takes_long(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.reader", str(SECONDS), str(tmp_path), SEED],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS + 60,
    )
    harmful = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert run.returncode == 0, f"{run.stderr[-4000:]}\n{run.stdout[-1000:]}\n{harmful}"
    assert harmful == {}
    assert executed(run.stderr) > 1000


def executed(log: str) -> int:
    """Return how many uploads were tried."""
    (line,) = [line for line in log.splitlines() if "number_of_executed_units" in line]
    return int(line.split()[-1])
