"""A mail host of files for every test, and an agent that does not wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.agent.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)
