"""The page *Adopt this server*: asked, being read, read, taken over, left again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client, TestCase
from django.utils import timezone

from mailadmin.agent.client import AgentClient
from mailadmin.agent.planner import make_plan
from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate, PrivateKey
from mailadmin.deployments import tasks
from mailadmin.deployments.models import Deployment, HostReading
from mailadmin.deployments.runner import adopting
from mailadmin.deployments.runner.reading_hosts import run_reading
from mailadmin.listeners.selectors import desired_state, pending_changes
from mailadmin.mailconf.profiles import KEPT
from mailadmin.servers.models import MailServer
from tests.deployment_factories import make_deployment
from tests.elapsed import tells_seconds
from tests.host_fixtures import HostFixture, InProcessAgent, set_up_host
from tests.server_factories import make_server
from tests.web.deployments.conftest import Sent

pytestmark = pytest.mark.django_db

ClientOf = Callable[[str], Client]
PAGE = "/deployments/adopt/"
NAME = "mail.example.test"
Status = HostReading.Status


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostFixture:
    host = set_up_host("lived-in", tmp_path)
    answering = InProcessAgent(host)
    monkeypatch.setattr(adopting, "AgentClient", lambda *_: answering)
    return host


@pytest.fixture
def page(client_of: ClientOf) -> Client:
    return client_of("operator")


def text_of(client: Client) -> str:
    response = client.get(PAGE)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def post(client: Client, verb: str, **values: str) -> int:
    """Post, and let the transaction that it was end as it does outside of a test."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        return client.post(f"{PAGE}{verb}/", values).status_code


def read(client: Client, sent: Sent) -> HostReading:
    """Ask for a reading and have a worker do it."""
    post(client, "read", host_name=NAME)
    return work(sent)


def work(sent: Sent) -> HostReading:
    name, pk = sent[-1]
    assert name == "read_host"
    run_reading(pk)
    return HostReading.objects.get(pk=pk)


def accept(client: Client, reading: HostReading, **values: str) -> int:
    return post(client, "accept", reading=str(reading.pk), **values)


def test_the_overview_of_an_empty_panel_leads_here(page: Client) -> None:
    assert PAGE in page.get("/").content.decode()
    shown = text_of(page)
    assert "Read the mail server" in shown
    assert "no byte" in shown


def test_a_viewer_sees_it_and_may_do_nothing(client_of: ClientOf, sent: Sent) -> None:
    client = client_of("viewer")
    assert "Read the mail server" not in text_of(client)
    for verb in ("read", "accept", "undo"):
        assert client.post(f"{PAGE}{verb}/", {"host_name": NAME}).status_code == 403
    assert sent == []


@pytest.mark.parametrize("name", ["", "not a name", "a" * 300, "mail..example.org", "\0"])
def test_a_name_that_is_none_is_refused_with_a_sentence(
    page: Client, sent: Sent, name: str
) -> None:
    response = page.post(f"{PAGE}read/", {"host_name": name})
    assert response.status_code == 422
    assert "invalid-feedback" in response.content.decode()
    assert sent == []


def test_while_it_is_read_the_page_says_so_and_asks_again(page: Client, sent: Sent) -> None:
    post(page, "read", host_name=NAME)
    post(page, "read", host_name=NAME)
    assert len(sent) == 1
    assert "Reading the files of Postfix and Dovecot" in text_of(page)
    assert "Reading the files" in page.get(f"{PAGE}status/").content.decode()
    HostReading.objects.update(asked_at=timezone.now() - timedelta(seconds=40))
    assert tells_seconds(page.get(f"{PAGE}status/").content.decode(), "Asked {} s ago", 40)


def test_a_lost_message_is_sent_again(page: Client, sent: Sent) -> None:
    post(page, "read", host_name=NAME)
    HostReading.objects.update(asked_at=timezone.now() - timedelta(minutes=1))
    tasks.resume_interrupted()
    assert [name for name, _ in sent].count("read_host") == 2


def test_what_was_read_is_shown_with_file_and_line(
    page: Client, sent: Sent, found: HostFixture
) -> None:
    reading = read(page, sent)
    assert reading.status == Status.READ
    waiting = page.get(f"{PAGE}status/")
    assert waiting.headers["HX-Refresh"] == "true"
    shown = text_of(page)
    for finding in found.about["findings"]:
        place = finding.split(" ", 1)[1]
        assert place.removesuffix(":0").replace("&", "&amp;") in shown
    for label in ("Understood", "Listens now", "its diff is empty", "left alone"):
        assert label in shown
    for name in found.about.get("names", {}):
        assert name in shown
    assert "PRIVATE KEY" not in shown + json.dumps(reading.found)
    assert not MailServer.objects.exists()


def test_without_consent_keys_stay_on_the_host(
    page: Client, sent: Sent, found: HostFixture
) -> None:
    before = found.snapshot()
    reading = read(page, sent)
    accept(page, reading)
    assert "being taken over" in text_of(page)
    work(sent)
    assert "stayed on it" in text_of(page)
    server = MailServer.objects.get()
    assert (server.host_name, server.tls_profile) == (NAME, KEPT)
    assert pending_changes(server) == ()
    assert make_plan(desired_state(server), found.host).report().files == ()
    assert not PrivateKey.objects.exists()
    event = AuditEvent.objects.get(verb="server.adopted")
    assert event.actor_name.startswith("operator")
    assert found.snapshot() == before
    assert page.get("/").status_code == 200


def test_an_administrator_may_bring_the_keys_along(
    client_of: ClientOf, sent: Sent, found: HostFixture
) -> None:
    client = client_of("administrator")
    reading = read(client, sent)
    assert 'name="takes_keys"' in text_of(client)
    assert 'name="takes_keys" checked' not in text_of(client)
    accept(client, reading, takes_keys="on")
    work(sent)
    assert "stored here, encrypted" in text_of(client)
    assert all(row.private_key_id for row in Certificate.objects.all())
    assert all(isinstance(pk, int) for _, pk in sent)


def test_an_operator_may_not(page: Client, sent: Sent, found: HostFixture) -> None:
    reading = read(page, sent)
    assert 'name="takes_keys"' not in text_of(page)
    assert accept(page, reading, takes_keys="on") == 403
    assert HostReading.objects.get().status == Status.READ


def test_an_agent_that_hands_over_no_key_says_so_beforehand(
    client_of: ClientOf, sent: Sent, found: HostFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = InProcessAgent(found, hands_over_keys=False)
    monkeypatch.setattr(adopting, "AgentClient", lambda *_: silent)
    client = client_of("administrator")
    read(client, sent)
    shown = text_of(client)
    assert 'name="takes_keys"' not in shown
    assert "hands_over_keys" in shown


def test_an_agent_that_cannot_be_reached(
    page: Client, sent: Sent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = AgentClient(tmp_path / "nobody.sock")
    monkeypatch.setattr(adopting, "AgentClient", lambda *_: nobody)
    assert read(page, sent).status == Status.FAILED
    shown = text_of(page)
    assert "cannot be reached" in shown
    assert "Ask again" in shown


def test_a_fault_is_told_and_not_waited_for(
    page: Client, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object) -> None:
        raise RuntimeError("of no concern to the reader")

    monkeypatch.setattr(adopting, "AgentClient", break_off)
    assert read(page, sent).status == Status.FAILED
    shown = text_of(page)
    assert "RuntimeError" in shown
    assert "of no concern" not in shown


def test_a_host_edited_after_it_was_shown_is_not_taken_over(
    page: Client, sent: Sent, found: HostFixture
) -> None:
    reading = read(page, sent)
    master_cf = found.root / "postfix" / "master.cf"
    master_cf.write_text(master_cf.read_text().replace("192.0.2.1:smtps", "192.0.2.2:smtps"))
    accept(page, reading)
    assert work(sent).status == Status.FAILED
    assert "changed since" in text_of(page)
    assert not MailServer.objects.exists()


@pytest.mark.parametrize("value", ["0", "99999999999999999999", "x", ""])
def test_a_yes_to_nothing_takes_nothing_over(page: Client, sent: Sent, value: str) -> None:
    assert page.post(f"{PAGE}accept/", {"reading": value}).status_code == 302
    assert sent == []


def test_yes_said_twice_adopts_once(page: Client, sent: Sent, found: HostFixture) -> None:
    reading = read(page, sent)
    accept(page, reading)
    accept(page, reading)
    work(sent)
    run_reading(reading.pk)
    assert MailServer.objects.count() == 1
    assert AuditEvent.objects.filter(verb="server.adopted").count() == 1


def test_a_registered_server_keeps_its_name(page: Client, sent: Sent, found: HostFixture) -> None:
    server = make_server()
    Deployment.objects.exclude(kind=Deployment.Kind.BASELINE).delete()
    assert server.host_name in text_of(page)
    accept(page, read(page, sent))
    assert work(sent).status == Status.DONE
    server.refresh_from_db()
    assert MailServer.objects.get() == server
    assert server.tls_profile == KEPT


def test_undoing_is_reviewed_first_and_the_page_says_what_stands(
    page: Client, sent: Sent, found: HostFixture
) -> None:
    accept(page, read(page, sent))
    work(sent)
    server = MailServer.objects.get()
    assert not server.is_dovecot_split
    server.listeners.filter(service="imaps").update(is_enabled=False)
    changed = make_plan(desired_state(server), found.host)
    before = found.snapshot()
    found.host.put_files(changed.found, changed.rendered)
    make_deployment(server)
    server.applied_state = desired_state(server).as_dict()
    server.save()
    assert "Undo the adoption" in text_of(page)
    post(page, "undo")
    assert "own files are read" in text_of(page)
    assert work(sent).status == Status.DONE
    assert page.get(f"{PAGE}status/").headers["HX-Redirect"] == "/deployments/review/"
    server.refresh_from_db()
    assert len(pending_changes(server)) == 1
    back = make_plan(desired_state(server), found.host)
    assert back.is_hosts_own
    found.host.put_files(back.found, back.rendered)
    assert found.snapshot() == before
    assert AuditEvent.objects.get(verb="server.handed_back").actor_name.startswith("operator")
    server.applied_state = desired_state(server).as_dict()
    server.save()
    assert "Nothing of the panel stands" in text_of(page)


def test_undoing_makes_one_dovecot_of_two(page: Client, sent: Sent, found: HostFixture) -> None:
    accept(page, read(page, sent))
    work(sent)
    server = MailServer.objects.get()
    server.is_dovecot_split = True
    server.save()
    make_deployment(server)
    server.applied_state = desired_state(server).as_dict()
    server.save()
    post(page, "undo")
    assert work(sent).status == Status.DONE
    server.refresh_from_db()
    assert [change.code for change in pending_changes(server)] == ["dovecot.joined"]


def test_what_the_own_files_cannot_be_left_alone_with_is_refused(
    page: Client, sent: Sent, found: HostFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server()
    make_deployment(server)
    (found.root / "postfix" / "main.cf").chmod(0o640)
    monkeypatch.setattr("mailadmin.agent.planner.Plan.is_hosts_own", False)
    wanted = desired_state(server).digest
    post(page, "undo")
    assert work(sent).status == Status.FAILED
    assert "cannot be taken out completely" in text_of(page)
    server.refresh_from_db()
    assert desired_state(server).digest == wanted
