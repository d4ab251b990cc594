"""Dovecot in two instances: what each page says of it, from the plan to the way back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from mailadmin.audit.models import AuditEvent
from mailadmin.deployments.drift_choices import take_over_drift
from mailadmin.deployments.management.commands import status as status_command
from mailadmin.deployments.models import Deployment
from mailadmin.deployments.runner.swapping import Swap, swapped_state
from mailadmin.listeners.selectors import desired_state, pending_changes
from mailadmin.listeners.services import restore_state
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import change_server
from tests.deployment_factories import make_deployment, make_look, make_plan, make_steps
from tests.factories import make_actor
from tests.server_factories import apply_wanted, make_certificate
from tests.web.deployments.test_drift import make_drift, moved, piece

LINE = "Dovecot runs in two instances"
FILES = ("99-mailadmin.conf", "99z-mailadmin-core.conf", "mailadmin-front.conf")


@pytest.fixture
def page(client_of: Callable[[str], Client]) -> Client:
    return client_of("operator")


@pytest.fixture
def wanted(server: MailServer) -> MailServer:
    """It is wanted and not applied yet."""
    return change_server(actor=make_actor(), server=server, is_dovecot_split=True)


@pytest.fixture
def split(wanted: MailServer) -> MailServer:
    return apply_wanted(wanted)


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


# Review


def test_review_says_what_it_is_what_it_costs_and_shows_every_file(
    wanted: MailServer, page: Client
) -> None:
    price = Problem("front.price", Severity.WARNING, "dovecot")
    files = [{"name": name, "lines": [f"+# {name}"]} for name in FILES]
    make_plan(wanted, problems=[price], files=files)
    text = text_of(page, "/deployments/review/")
    assert "1 change is saved and not applied yet." in text
    assert "Dovecot’s ports will be served by an instance of their own." in text
    assert "are refused for a moment (measured: a tenth of a second" in text
    assert all(f'<strong class="exact">{name}</strong>' in text for name in FILES)


def test_what_stands_in_the_way_is_an_error_in_words(wanted: MailServer, page: Client) -> None:
    about = {"service": "imap-login", "setting": "executable"}
    make_plan(
        wanted,
        problems=[
            Problem("front.login_service_changed", Severity.ERROR, "dovecot", about),
            Problem("front.key_password", Severity.ERROR, "dovecot"),
        ],
    )
    text = text_of(page, "/deployments/review/")
    assert "set executable of service imap-login" in text
    assert "the panel copies no password into a second file" in text
    assert 'name="plan"' not in text


def test_it_is_undone_by_itself_there_and_back(split: MailServer, page: Client) -> None:
    change_server(actor=make_actor(), server=split, tls_profile="modern", is_dovecot_split=False)
    split.refresh_from_db()
    assert {change.code for change in pending_changes(split)} == {
        "dovecot.joined",
        "tls_profile.changed",
    }
    undo = {"subject": "server", "code": "dovecot.joined", "next": "/deployments/review/"}
    page.post("/listeners/undo/", undo)
    split.refresh_from_db()
    assert (split.is_dovecot_split, split.tls_profile) == (True, "modern")
    event = AuditEvent.objects.get(verb="change.undone")
    assert (event.before, event.after) == (
        {"is_dovecot_split": False},
        {"is_dovecot_split": True},
    )


# A deployment, and the way back


def test_a_deployment_tells_which_instance_was_started_and_reloaded(
    split: MailServer, page: Client
) -> None:
    deployment = make_deployment(split)
    make_steps(deployment, "swapped", ("reloaded", "dovecot-core"), ("started", "dovecot-front"))
    text = text_of(page, f"/deployments/{deployment.number}/")
    assert "Reloaded Dovecot’s main instance" in text
    assert "Started Dovecot’s instance for the ports" in text


def test_once_an_instance_was_started_no_reload_is_still_to_come(
    wanted: MailServer, page: Client
) -> None:
    deployment = make_deployment(wanted, status=Deployment.Status.RUNNING)
    make_steps(deployment, "planned", "swapped", ("stopped", "dovecot-front"))
    text = text_of(page, f"/deployments/{deployment.number}/")
    assert "Stop Dovecot’s instance for the ports" in text
    assert "Reload what changed" not in text
    assert "Prove every port by handshake" in text


def test_how_long_the_ports_took_to_be_free_is_told(split: MailServer, page: Client) -> None:
    deployment = make_deployment(split)
    make_steps(deployment, ("reloaded", "dovecot-core"), ("started", "dovecot-front"))
    deployment.steps.filter(code="reloaded").update(evidence={"waited_ms": 34})
    deployment.steps.filter(code="started").update(evidence={"waited_ms": 12})
    text = text_of(page, f"/deployments/{deployment.number}/")
    assert "answered again after 34 ms" in text
    assert "the ports were free after 12 ms" in text


def test_going_back_and_discarding_take_it_along(server: MailServer, page: Client) -> None:
    before = desired_state(server)
    change_server(actor=make_actor(), server=server, is_dovecot_split=True)
    server.refresh_from_db()
    state = desired_state(server)
    assert state.is_dovecot_split
    for goal in (before, state, before):
        assert restore_state(actor=make_actor(), server=server, state=goal)
        server.refresh_from_db()
        assert desired_state(server) == goal
    assert not pending_changes(server)


def test_a_renewal_put_in_place_alone_leaves_it(split: MailServer) -> None:
    old, new = split.default_certificate, make_certificate()
    assert old is not None
    state = swapped_state(split, Swap(old.fingerprint, new.fingerprint))
    assert state.is_dovecot_split
    # What is only wanted is no part of it.
    change_server(actor=make_actor(), server=split, is_dovecot_split=False)
    assert swapped_state(split, Swap(old.fingerprint, new.fingerprint)) == state


# Drift


def test_the_drift_page_names_the_files_and_taking_over_leaves_it(
    split: MailServer, page: Client
) -> None:
    pieces = (piece("mailadmin-front.conf"), piece("99z-mailadmin-core.conf", status="missing"))
    listeners = moved(split, "pop3", is_enabled=False)
    drift = make_drift(split, *pieces, listeners=listeners)
    text = text_of(page, "/deployments/drift/")
    said = "mailadmin-front.conf, 99z-mailadmin-core.conf on the mail server are not as they were"
    assert said in text
    take_over_drift(actor=make_actor(), server=split, drift_id=drift.pk)
    split.refresh_from_db()
    assert split.is_dovecot_split
    assert [change.code for change in pending_changes(split)] == ["listener.closed"]


# What stands


@pytest.mark.parametrize("address", ["/", "/listeners/"])
def test_it_is_said_once_it_is_applied_and_not_before(
    wanted: MailServer, page: Client, address: str
) -> None:
    make_look(wanted)
    make_deployment(wanted)
    file = '<span class="exact">mailadmin-front.conf</span> has the ports'
    assert file not in text_of(page, address)
    apply_wanted(wanted)
    assert file in text_of(page, address)
    # It stays until the other way is applied.
    change_server(actor=make_actor(), server=wanted, is_dovecot_split=False)
    assert file in text_of(page, address)


def test_before_anything_is_applied_nothing_is_said(wanted: MailServer, page: Client) -> None:
    make_look(wanted)
    make_deployment(wanted)
    MailServer.objects.update(applied_state={})
    assert LINE not in text_of(page, "/")


def test_status_tells_it(split: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_look(split)
    monkeypatch.setattr(status_command, "request_probe", lambda **_: run)
    monkeypatch.setattr(status_command, "wait_for_probe", lambda found: found)

    def status(*arguments: str) -> str:
        out = StringIO()
        call_command("status", *arguments, stdout=out)
        return out.getvalue()

    assert json.loads(status("--json"))["is_dovecot_split"] is True
    assert LINE in status()
    split.applied_state = replace(desired_state(split), is_dovecot_split=False).as_dict()
    split.save(update_fields=["applied_state"])
    assert json.loads(status("--json"))["is_dovecot_split"] is False
    assert LINE not in status()
