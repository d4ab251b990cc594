"""Real daemons for the tests: each test (or module) gets private ones, all ended afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailadmin.sandbox import Sandbox


@pytest.fixture(scope="session")
def make_open_folder() -> Iterator[Callable[[], Path]]:
    """Make empty folders that the daemons' own users can enter, which pytest's tmp_path is not."""
    made: list[Path] = []

    def make() -> Path:
        folder = Path(tempfile.mkdtemp(prefix="ma-", dir="/tmp"))
        folder.chmod(0o755)
        made.append(folder)
        return folder

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def make_sandbox(make_open_folder: Callable[[], Path]) -> Iterator[Callable[[], Sandbox]]:
    """Create sandboxes (not started); whatever still runs at the end is stopped."""
    made: list[Sandbox] = []

    def make() -> Sandbox:
        sandbox = Sandbox.create(make_open_folder() / "mail")
        made.append(sandbox)
        return sandbox

    yield make
    for sandbox in made:
        sandbox.stop()


@pytest.fixture
def sandbox(make_sandbox: Callable[[], Sandbox]) -> Iterator[Sandbox]:
    """Yield a running sandbox, as plain as Debian ships it; it is stopped after the test."""
    server = make_sandbox()
    server.start()
    yield server
    server.stop()
