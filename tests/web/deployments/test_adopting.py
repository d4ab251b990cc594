"""``manage.py adopt``: a host as its own files have it, shown and taken over."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mailadmin.agent.observing import describe_as_left
from mailadmin.agent.planner import make_plan
from mailadmin.agent.protocol import PlanReport
from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate
from mailadmin.deployments.runner import adopting
from mailadmin.listeners.selectors import desired_state, pending_changes
from mailadmin.mailconf.state import DesiredState
from mailadmin.servers.models import MailServer
from tests.host_fixtures import HostFixture, set_up_host

pytestmark = pytest.mark.django_db


class InProcess:
    """The agent's answers without its socket."""

    def __init__(self, found: HostFixture) -> None:
        self.found = found

    def observe_as_left(self, host_name: str) -> dict[str, Any]:
        return describe_as_left(self.found.host, host_name)

    def plan(self, state: DesiredState) -> PlanReport:
        return make_plan(state, self.found.host).report()


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("adopt", "mail.example.test", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostFixture:
    host = set_up_host("modoboa", tmp_path)
    monkeypatch.setattr(adopting, "AgentClient", lambda *_: InProcess(host))
    return host


def test_a_copy_is_read_and_nothing_is_stored(tmp_path: Path) -> None:
    host = set_up_host("iredmail", tmp_path)
    before = host.snapshot()
    copy = ("--postfix", str(tmp_path / "postfix"))
    shown = json.loads(run(*copy, "--dovecot", str(tmp_path / "dovecot/dovecot.conf"), "--json"))
    assert shown["plan"]["is_empty"]
    assert not shown["is_adopted"]
    assert {item["service"] for item in shown["listeners"] if item["is_enabled"]} == set(
        host.about["listeners"]
    )
    assert len(shown["not_understood"]) == len(host.about["findings"])
    assert "PRIVATE KEY" not in json.dumps(shown)
    assert host.snapshot() == before
    assert not MailServer.objects.exists()


def test_half_a_copy_is_refused() -> None:
    with pytest.raises(CommandError, match="--dovecot"):
        run("--postfix", "/etc/postfix")


def test_a_dry_run_shows_all_and_stores_nothing(found: HostFixture) -> None:
    shown = run("--dry-run")
    for text in ("submissions", "*:465", "mx.example.org", "Left alone:", "change nothing"):
        assert text in shown
    assert not MailServer.objects.exists()


def test_taking_over_leaves_nothing_to_apply_and_no_key_in_the_panel(found: HostFixture) -> None:
    before = found.snapshot()
    assert "nothing to apply" in run()
    server = MailServer.objects.get()
    assert pending_changes(server) == ()
    assert {item.private_key for item in Certificate.objects.all()} == {None}
    assert AuditEvent.objects.filter(verb="server.adopted").count() == 1
    stored = desired_state(server)
    assert [item.host_name for item in stored.sni_bindings] == ["mx.example.org"]
    assert make_plan(stored, found.host).report().files == ()
    assert found.snapshot() == before


def test_a_second_server_is_refused(found: HostFixture) -> None:
    run()
    with pytest.raises(CommandError, match="already"):
        run()
