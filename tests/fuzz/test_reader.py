"""libFuzzer looks for an upload that does harm, for a bounded time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = os.environ.get("MAILADMIN_FUZZ_SECONDS", "")
# The suite tries the same uploads each time, so that it never fails by luck, and as many however
# busy the machine is (13 s of one core); `make fuzz` tries others, for a time.
UPLOADS = 1500
EXTENT = ["--seconds", SECONDS] if SECONDS else ["--uploads", str(UPLOADS), "--seed", "1"]
LIMIT = int(SECONDS or 0) + 240
REPOSITORY = Path(__file__).parents[2]


@pytest.mark.timeout(LIMIT + 10)
def test_no_upload_raises_or_takes_long(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.reader", str(tmp_path), *EXTENT],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT,
    )
    harmful = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert run.returncode == 0, f"{run.stderr[-4000:]}\n{run.stdout[-1000:]}\n{harmful}"
    assert harmful == {}
    assert executed(run.stderr) >= UPLOADS


def executed(log: str) -> int:
    """Return how many uploads were tried."""
    (line,) = [line for line in log.splitlines() if "number_of_executed_units" in line]
    return int(line.split()[-1])
