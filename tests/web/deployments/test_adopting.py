"""``manage.py adopt``: a host as its own files have it, shown and taken over."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mailadmin.agent.planner import make_plan
from mailadmin.agent.protocol import AgentError, Request, Verb
from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.custody import open_key_pem
from mailadmin.certificates.models import Certificate, PrivateKey
from mailadmin.deployments.models import Deployment
from mailadmin.deployments.runner import adopting
from mailadmin.listeners.selectors import desired_state, pending_changes
from mailadmin.mailconf.profiles import KEPT
from mailadmin.pki.keys import load_private_key, public_key_id
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import register_server
from tests.host_fixtures import HostFixture, InProcessAgent, installed_dovecot, set_up_host
from tests.states import make_material

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("adopt", "mail.example.test", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def found(tmp_path: Path) -> HostFixture:
    return set_up_host("modoboa", tmp_path)


@pytest.fixture(autouse=True)
def agent(found: HostFixture, monkeypatch: pytest.MonkeyPatch) -> InProcessAgent:
    answering = InProcessAgent(found)
    monkeypatch.setattr(adopting, "AgentClient", lambda *_: answering)
    return answering


def test_a_copy_is_read_and_nothing_is_stored(tmp_path: Path) -> None:
    is_new = installed_dovecot() >= (2, 4)
    host = set_up_host("debian13-shipped" if is_new else "iredmail", tmp_path / "copy")
    before = host.snapshot()
    copy = ("--postfix", str(host.root / "postfix"))
    shown = json.loads(run(*copy, "--dovecot", str(host.root / "dovecot/dovecot.conf"), "--json"))
    assert shown["plan"]["is_empty"]
    assert not shown["is_adopted"]
    assert {item["service"] for item in shown["listeners"] if item["is_enabled"]} == set(
        host.about["listeners"]
    )
    assert len(shown["not_understood"]) == len(host.about["findings"])
    assert "PRIVATE KEY" not in json.dumps(shown)
    assert host.snapshot() == before
    assert not MailServer.objects.exists()


def test_without_a_name_it_is_called_as_postfix_calls_itself(found: HostFixture) -> None:
    own = found.host.postfix.read_parameters()["myhostname"]
    out = StringIO()
    call_command("adopt", "--dry-run", "--json", stdout=out)
    assert json.loads(out.getvalue())["host_name"] == own
    call_command("adopt", stdout=out)
    assert MailServer.objects.get().host_name == own


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


def test_a_server_on_which_something_was_applied_is_refused(found: HostFixture) -> None:
    run()
    Deployment.objects.create(server=MailServer.objects.get(), number=7, state_digest="")
    with pytest.raises(CommandError, match="already"):
        run()


def test_a_server_registered_before_is_taken_over_under_its_name(found: HostFixture) -> None:
    server = register_server(actor=Actor.command_line(), host_name="mx.example.test")
    run()
    server.refresh_from_db()
    assert MailServer.objects.get() == server
    assert (server.host_name, server.tls_profile) == ("mx.example.test", KEPT)
    assert pending_changes(server) == ()
    assert make_plan(desired_state(server), found.host).report().files == ()


# Keys


def test_keys_are_asked_for_only_when_told(agent: InProcessAgent) -> None:
    run()
    assert "hand_over_keys" not in agent.asked
    assert not PrivateKey.objects.exists()


def test_keys_are_stored_sealed_and_named_nowhere(
    found: HostFixture, caplog: pytest.LogCaptureFixture
) -> None:
    before = found.snapshot()
    shown = run("--import-keys", "--json")
    rows = {row.fingerprint: row for row in Certificate.objects.select_related("private_key")}
    assert rows
    for fingerprint, row in rows.items():
        assert row.private_key is not None
        key_pem = found.materials[found.labels[fingerprint]].certificate.key_pem
        assert public_key_id(load_private_key(open_key_pem(row.private_key).encode())) == (
            public_key_id(load_private_key(key_pem.encode()))
        )
        secret = "".join(key_pem.splitlines()[1:-1])[:40]
        events = json.dumps(list(AuditEvent.objects.values()), default=str)
        assert secret.encode() not in bytes(row.private_key.ciphertext)
        for place in (shown, events, caplog.text):
            assert secret not in place
            assert "PRIVATE KEY" not in place
    assert AuditEvent.objects.filter(verb="certificate.key_imported").count() == len(rows)
    assert found.snapshot() == before


def test_an_agent_that_is_told_so_hands_over_no_key(
    found: HostFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = InProcessAgent(found, hands_over_keys=False)
    monkeypatch.setattr(adopting, "AgentClient", lambda *_: answering)
    with pytest.raises(CommandError, match="hands no key"):
        run("--import-keys")
    assert not MailServer.objects.exists()
    run()
    assert not PrivateKey.objects.exists()


def test_no_key_is_handed_over_once_something_was_applied(
    found: HostFixture, agent: InProcessAgent
) -> None:
    found.host.store.live.symlink_to(found.host.store.generation_folder(1))
    with pytest.raises(AgentError) as refused:
        agent.hand_over_keys([])
    assert refused.value.problem.code == "adopting.keys_too_late"


@pytest.mark.parametrize("asked", ["all", [1], ["../key"], ["0" * 64] * 2000])
def test_a_question_for_keys_that_makes_no_sense_is_refused(
    agent: InProcessAgent, asked: Any
) -> None:
    with pytest.raises(AgentError) as refused:
        agent.agent.answer(Request(Verb.HAND_OVER_KEYS, {"fingerprints": asked}), print)
    assert refused.value.problem.code == "agent.message_unreadable"


def test_a_key_that_the_daemons_do_not_use_is_not_handed_over(agent: InProcessAgent) -> None:
    assert agent.hand_over_keys(["0" * 64]) == {}


def test_a_key_gone_meanwhile_stores_nothing(
    agent: InProcessAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InProcessAgent, "hand_over_keys", lambda *_: {})
    with pytest.raises(CommandError, match="did not find the keys"):
        run("--import-keys")
    assert not MailServer.objects.exists()


def test_a_key_of_another_certificate_stores_nothing(
    found: HostFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = make_material("stranger").certificate.key_pem
    monkeypatch.setattr(
        InProcessAgent, "hand_over_keys", lambda _, asked: dict.fromkeys(asked, stranger)
    )
    with pytest.raises(CommandError, match="does not belong"):
        run("--import-keys")
    assert not MailServer.objects.exists()
    assert not PrivateKey.objects.exists()
