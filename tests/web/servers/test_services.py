"""Registering and changing a mail server, each with its audit event."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.selectors import assignable_certificates, current_server
from mailadmin.servers.sentences import profile_advice, profile_words, say_problem
from mailadmin.servers.services import change_server, register_server, set_default_certificate
from tests.factories import make_actor
from tests.server_factories import make_certificate, make_server


@pytest.fixture
def actor(db: None) -> Actor:
    return make_actor()


def test_a_server_is_registered_by_its_a_label(actor: Actor) -> None:
    server = register_server(actor=actor, host_name="Mail.Bücher.example.", agent_socket="/run/a")
    assert server.host_name == "mail.xn--bcher-kva.example"
    assert server.agent_socket == "/run/a"
    assert current_server() == server
    event = AuditEvent.objects.get()
    assert (event.verb, event.object_label) == ("server.registered", server.host_name)


def test_a_server_without_a_real_name_is_not_registered(actor: Actor) -> None:
    with pytest.raises(ChangeRefusedError) as refused:
        register_server(actor=actor, host_name="mail")
    assert [problem.code for problem in refused.value.problems] == ["name.not_qualified"]
    assert current_server() is None
    assert not AuditEvent.objects.exists()


def test_changing_stores_what_was_given_and_records_only_that(actor: Actor) -> None:
    server = make_server(services=[])
    old = server.default_certificate
    changed = change_server(
        actor=actor, server=server, host_name="MX.example.org", tls_profile="modern"
    )
    assert (changed.host_name, changed.tls_profile) == ("mx.example.org", "modern")
    assert changed.default_certificate == old
    event = AuditEvent.objects.get()
    assert event.verb == "server.changed"
    assert event.before == {"host_name": "mail.example.org", "tls_profile": "intermediate"}
    assert event.after == {"host_name": "mx.example.org", "tls_profile": "modern"}


def test_changing_to_the_same_values_records_nothing(actor: Actor) -> None:
    server = make_server(services=[])
    change_server(
        actor=actor,
        server=server,
        host_name="mail.example.org",
        tls_profile="intermediate",
        default_certificate=server.default_certificate,
    )
    assert not AuditEvent.objects.exists()


def test_the_default_certificate_is_chosen_and_taken_away(actor: Actor) -> None:
    server, new = make_server(services=[]), make_certificate("b.example.org")
    assert set_default_certificate(
        actor=actor, server=server, certificate=new
    ).default_certificate == (new)
    event = AuditEvent.objects.get()
    assert event.after == {
        "default_certificate": {"label": "b.example.org", "fingerprint": new.fingerprint}
    }
    set_default_certificate(actor=actor, server=server, certificate=None)
    assert MailServer.objects.get().default_certificate is None


def test_two_instances_of_dovecot_are_chosen_and_taken_back(actor: Actor) -> None:
    server = make_server(services=[])
    assert not server.is_dovecot_split
    change_server(actor=actor, server=server, is_dovecot_split=True)
    event = AuditEvent.objects.get()
    assert (event.before, event.after) == (
        {"is_dovecot_split": False},
        {"is_dovecot_split": True},
    )
    change_server(actor=actor, server=server, tls_profile="modern")
    assert MailServer.objects.get().is_dovecot_split
    change_server(actor=actor, server=server, is_dovecot_split=False)
    assert not MailServer.objects.get().is_dovecot_split


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"tls_profile": "old"}, "profile.unknown"),
        ({"host_name": "*.example.org"}, "name.wildcard_not_allowed"),
    ],
)
def test_nonsense_is_refused_and_not_stored(
    actor: Actor, values: dict[str, str], code: str
) -> None:
    server = make_server(services=[])
    with pytest.raises(ChangeRefusedError) as refused:
        change_server(actor=actor, server=server, **values)
    (problem,) = refused.value.problems
    assert problem.code == code
    assert say_problem(problem).endswith(".")
    assert MailServer.objects.get().host_name == "mail.example.org"
    assert not AuditEvent.objects.exists()


def test_a_deleted_certificate_cannot_become_the_default(actor: Actor) -> None:
    server, gone = make_server(services=[]), make_certificate(deleted_at=datetime.now(UTC))
    with pytest.raises(ChangeRefusedError) as refused:
        set_default_certificate(actor=actor, server=server, certificate=gone)
    assert "key destroyed" in say_problem(refused.value.problems[0])
    assert gone not in assignable_certificates()


def test_a_certificate_deleted_meanwhile_cannot_become_the_default(actor: Actor) -> None:
    server, stale = make_server(services=[]), make_certificate()
    type(stale).objects.filter(pk=stale.pk).update(deleted_at=datetime.now(UTC))
    with pytest.raises(ChangeRefusedError):
        set_default_certificate(actor=actor, server=server, certificate=stale)


def test_profiles_have_words() -> None:
    assert profile_words("modern") == "TLS 1.3 only"
    assert "TLS 1.3" in profile_advice("modern")
    assert (profile_words("gone"), profile_advice("gone")) == ("gone", "")
