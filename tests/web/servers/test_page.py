"""The server settings page. Who may open it is tested with the listeners' pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client

from mailadmin.accounts.roles import Role
from mailadmin.audit.models import AuditEvent
from mailadmin.servers.models import MailServer
from tests.server_factories import make_certificate, make_server

PAGE = "/listeners/server/"


@pytest.fixture
def client(client_of: Callable[[Role | str], Client]) -> Client:
    return client_of("operator")


@pytest.fixture
def server(db: None) -> MailServer:
    return make_server()


def values(**given: object) -> dict[str, object]:
    return {
        "host_name": "mail.example.org",
        "tls_profile": "intermediate",
        "default_certificate": "",
        **given,
    }


def test_the_page_says_what_each_profile_means(server: MailServer, client: Client) -> None:
    page = client.get(PAGE).content.decode()
    assert "TLS 1.2 and 1.3. For nearly everybody" in page
    assert "TLS 1.3 only. Strictest" in page
    assert 'value="mail.example.org"' in page


def test_saving_changes_the_server_and_shows_what_is_pending(
    server: MailServer, client: Client
) -> None:
    new = make_certificate("mx.example.org")
    response = client.post(
        PAGE,
        values(host_name="mx.example.org", tls_profile="modern", default_certificate=new.pk),
        follow=True,
    )
    page = response.content.decode()
    assert "The server will be called mx.example.org instead of mail.example.org." in page
    assert "Encrypted connections will use TLS 1.3 only" in page
    server.refresh_from_db()
    assert (server.host_name, server.tls_profile, server.default_certificate) == (
        "mx.example.org",
        "modern",
        new,
    )
    assert AuditEvent.objects.get(verb="server.changed").origin == "web"


def test_two_instances_of_dovecot_are_offered_with_their_price(
    server: MailServer, client: Client
) -> None:
    page = client.get(PAGE).content.decode()
    assert "Serve Dovecot’s ports from an instance of their own" in page
    assert "measured under load: 0 instead of two to five per change" in page
    for price in (
        "doveadm -c …/mailadmin-front.conf",
        "without chroot",
        "new connections are refused for a moment",
        "When the machine boots",
    ):
        assert price in page[page.index("What it costs:") :]
    assert "checked" not in page[page.index('name="is_dovecot_split"') :].partition(">")[0]


def test_the_box_is_saved_pending_shown_and_taken_back(server: MailServer, client: Client) -> None:
    default = server.default_certificate_id
    saved = values(default_certificate=default)
    page = client.post(PAGE, saved | {"is_dovecot_split": "on"}, follow=True).content.decode()
    assert "Dovecot’s ports will be served by an instance of their own." in page
    server.refresh_from_db()
    assert server.is_dovecot_split
    page = client.get(PAGE).content.decode()
    assert "checked" in page[page.index('name="is_dovecot_split"') :].partition(">")[0]
    page = client.post(PAGE, saved, follow=True).content.decode()
    assert "All of it is applied." in page
    server.refresh_from_db()
    assert not server.is_dovecot_split


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"host_name": "mail"}, "not a full host name"),
        ({"tls_profile": "old"}, "Select a valid choice"),
        ({"default_certificate": 999999}, "Select a valid choice"),
    ],
)
def test_a_bad_value_is_a_field_error(
    server: MailServer, client: Client, given: dict[str, object], sentence: str
) -> None:
    page = client.post(PAGE, values(**given))
    assert page.status_code == 200
    assert sentence in page.content.decode()
    assert not AuditEvent.objects.exists()


def test_a_certificate_deleted_while_the_form_was_sent_is_refused_in_words(
    server: MailServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = make_certificate(deleted_at=datetime.now(UTC))
    monkeypatch.setattr("mailadmin.servers.views.assignable_certificates", type(gone).objects.all)
    page = client.post(PAGE, values(default_certificate=gone.pk)).content.decode()
    assert "was deleted and its key destroyed" in page
