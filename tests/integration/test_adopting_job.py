"""A host is taken over with its keys, changed, and left again, from the command line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.stacks import RunningStack, run_stack

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("stack"),
]


def snapshot(panel: RunningStack) -> dict[str, tuple[str, int, int, int]]:
    """Every configuration file of both daemons: content, mode and owner; not its compiled maps."""
    shown = {}
    sandbox = panel.sandbox
    for folder in (sandbox.postfix_config_directory, sandbox.dovecot_config.parent):
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                status = path.stat()
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                shown[str(path)] = (content, status.st_mode, status.st_uid, status.st_gid)
    return shown


def served(panel: RunningStack) -> dict[str, str | None]:
    rows = panel.status()["listeners"]
    return {row["service"]: row["served"] and row["served"].get("fingerprint") for row in rows}


def has_drift(panel: RunningStack) -> bool:
    """Look, which compares the files too, and tell whether something was found changed."""
    panel.status()
    code = "from mailadmin.deployments.models import Drift; print(Drift.objects.exists())"
    return panel.shell(code).endswith("True")


def test_taken_over_with_keys_changed_and_left_to_the_byte() -> None:
    with run_stack() as panel:
        files, ports = snapshot(panel), served(panel)
        adopted = panel.manage("adopt", "mail.example.test", "--import-keys", "--json")
        assert adopted.returncode == 0, adopted.stderr
        assert json.loads(adopted.stdout)["plan"]["is_empty"]
        assert panel.shell(
            "from mailadmin.certificates.models import Certificate;"
            "print(sum(row.private_key_id is not None for row in Certificate.objects.all()))"
        ).endswith("1")

        assert panel.manage("listener", "pop3", "--disable").returncode == 0
        applied = panel.manage("apply", "--wait")
        assert applied.returncode == 0, applied.stderr
        assert snapshot(panel) != files
        assert not has_drift(panel)

        late = panel.manage("adopt", "mail.example.test")
        assert late.returncode == 1
        assert "already" in late.stderr

        undone = panel.manage("adopt", "--undo")
        assert undone.returncode == 0, undone.stderr
        assert "Nothing of the panel stands in the files" in undone.stdout
        assert snapshot(panel) == files
        assert served(panel) == ports
        assert not has_drift(panel)
        assert "handed_back" in panel.shell(
            "from mailadmin.audit.models import AuditEvent;"
            "print([event.verb for event in AuditEvent.objects.all()])"
        )
        again = panel.manage("adopt", "--undo")
        assert again.returncode == 0, again.stderr
        assert "Proven" not in again.stdout
