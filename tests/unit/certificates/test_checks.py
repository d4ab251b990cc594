"""The system check tells of an unusable master key before a key is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from pytest_django import Settings

from mailadmin.certificates.master_key import create_master_key


@pytest.fixture
def path(tmp_path: Path, settings: Settings) -> Path:
    settings.MASTER_KEY_FILE = tmp_path / "master.key"
    return tmp_path / "master.key"


def test_a_master_key_in_order_is_no_news(path: Path) -> None:
    assert not [item for item in run_checks() if item.id == "certificates.E001"]
    create_master_key(path)
    assert not [item for item in run_checks() if item.id == "certificates.E001"]


def test_a_master_key_that_others_can_read_stops_the_panel(path: Path) -> None:
    create_master_key(path)
    path.chmod(0o644)
    with pytest.raises(SystemCheckError, match="chmod 600"):
        call_command("check")
