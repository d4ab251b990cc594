"""A trial from the command line, through Redis, worker and agent."""

from __future__ import annotations

import re

import pytest

from tests.stacks import run_stack

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("stack"),
]


def test_taken_back_on_request_then_kept() -> None:
    with run_stack() as panel:
        assert panel.manage("listener", "pop3", "--disable").returncode == 0
        numbers = []
        for deed, is_open in (("deployment_take_back", True), ("deployment_confirm", False)):
            applied = panel.manage("apply", "--wait", "--confirm-within", "5")
            assert applied.returncode == 0, applied.stderr
            found = re.search(r"manage.py deployment_confirm (\d+)", applied.stdout)
            assert found, applied.stdout
            numbers.append(found[1])
            settled = panel.manage(deed, found[1])
            assert settled.returncode == 0, settled.stderr
            served = {row["service"]: row["served"] for row in panel.status()["listeners"]}
            assert served["pop3"]["is_open"] == is_open
        assert panel.manage("deployment_confirm", numbers[0]).returncode == 1
