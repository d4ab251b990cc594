"""The master key is replaced while others read and upload, and while it is killed on its way."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mailadmin.sandbox import paths
from tests.integration.databases import Database, make_database, run_postgresql


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with ExitStack() as stack:
        url = ""
        if request.param == "postgresql":
            url = stack.enter_context(run_postgresql()).create_database("panel")
        yield stack.enter_context(make_database(request.param, url))


def kill_on_the_way(database: Database, stride: int) -> list[dict[str, Any]]:
    """Let rotations die at every step, or every few, and return where and what was wrong then."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.killed_rotation", "keeper", str(stride)],
        cwd=paths.project_dir(),
        env=dict(database.environment),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    deaths: list[dict[str, Any]] = json.loads(done.stdout)
    return deaths


def test_killed_at_any_step_nothing_is_lost(database: Database) -> None:
    with database.rushers(1) as rushers:
        rushers.do_once("prepare_custody", username="keeper", keys=3)
    deaths = kill_on_the_way(database, 1)
    assert [death for death in deaths if death["wrong"]] == []
    steps = [death["step"] for death in deaths]
    # Both times the file was replaced, at each of 3 keys and 5 uploads, and before the very end.
    assert steps.count("replace") == 2
    assert sum(step.startswith("UPDATE") for step in steps) == 3 + 5
    assert steps[-1] == "commit"
    assert {death["is_pending"] for death in deaths} == {True, False}
    assert_one_key_for_one_account(database)


def test_nobody_who_reads_or_uploads_notices(database: Database, tmp_path: Path) -> None:
    """Readers and uploaders work all the while; one rotation after the other dies and goes on."""
    stop = tmp_path / "stop"
    with database.rushers(2) as rushers, ThreadPoolExecutor(1) as pool:
        rushers.do_once("prepare_custody", username="keeper", keys=3)
        work = pool.submit(rushers.do, "read_and_upload", threads=2, stop=str(stop))
        try:
            deaths = kill_on_the_way(database, 5)
        finally:
            stop.touch()
        results = work.result(timeout=60)
    assert [death for death in deaths if death["wrong"]] == []
    assert [result for result in results if "error" in result] == []
    assert all(result["reads"] > len(deaths) for result in results), results
    assert all(result["uploads"] > 0 for result in results)
    assert_one_key_for_one_account(database)
    checked = database.manage("rotate_master_key", "--check", "--json")
    assert checked.returncode == 0, checked.stdout
    assert json.loads(checked.stdout)["keys"] == 3 + sum(item["keys"] for item in results)


def assert_one_key_for_one_account(database: Database) -> None:
    path = Path(database.environment["MAILADMIN_VAR"]) / "secrets" / "master.key"
    assert len(path.read_text().split()) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_uid == os.getuid()
    assert not list(path.parent.glob(".master.key.*"))
