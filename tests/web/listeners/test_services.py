"""Each verb stores what it says, with one audit event; nothing changed means nothing recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.listeners import services
from mailadmin.listeners.models import Listener, SniBinding
from mailadmin.listeners.selectors import desired_state, listener_state, pending_changes
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import ListenerState
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from tests.server_factories import apply_wanted, make_binding, make_certificate, make_server

IDN = "mail.xn--bcher-kva.example"


def listener(server: MailServer, service: str) -> Listener:
    return server.listeners.get(service=service)


def only_event() -> AuditEvent:
    return AuditEvent.objects.get()


def codes(error: pytest.ExceptionInfo[ChangeRefusedError]) -> list[str]:
    return [problem.code for problem in error.value.problems]


# Switching


def test_enabling_wants_the_port_open_and_says_who_did_it(server: MailServer, actor: Actor) -> None:
    stored = services.enable_listener(actor=actor, listener=listener(server, "submissions"))
    assert stored.is_enabled
    assert listener(server, "submissions").is_enabled
    event = only_event()
    assert (event.verb, event.object_type, event.object_id) == (
        "listener.enabled",
        "listener",
        "submissions",
    )
    assert (event.before, event.after) == ({"is_enabled": False}, {"is_enabled": True})
    assert event.actor_name == actor.name


def test_disabling_wants_the_port_closed(server: MailServer, actor: Actor) -> None:
    services.disable_listener(actor=actor, listener=listener(server, "pop3"))
    assert not listener(server, "pop3").is_enabled
    assert only_event().verb == "listener.disabled"


def test_switching_to_what_is_already_wanted_records_nothing(
    server: MailServer, actor: Actor
) -> None:
    services.enable_listener(actor=actor, listener=listener(server, "smtp"))
    services.disable_listener(actor=actor, listener=listener(server, "sieve"))
    assert not AuditEvent.objects.exists()


def test_a_row_read_before_somebody_elses_change_does_not_undo_that_change(
    server: MailServer, actor: Actor
) -> None:
    stale = listener(server, "imap")
    services.change_listener(actor=actor, listener=listener(server, "imap"), port=1143)
    services.disable_listener(actor=actor, listener=stale)
    row = listener(server, "imap")
    assert (row.port, row.is_enabled) == (1143, False)


def test_without_its_event_a_change_is_not_stored(
    server: MailServer, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**values: object) -> None:
        raise OSError("the log is full")

    monkeypatch.setattr("mailadmin.listeners.services.editing.record_event", fail)
    with pytest.raises(OSError, match="full"):
        services.disable_listener(actor=actor, listener=listener(server, "pop3"))
    assert listener(server, "pop3").is_enabled


# Changing


def test_changing_stores_only_what_was_given(server: MailServer, actor: Actor) -> None:
    own = make_certificate("imap.example.org")
    services.change_listener(
        actor=actor,
        listener=listener(server, "imap"),
        address="2001:0db8:0::1",
        port=1143,
        tls_mode=TlsMode.NONE,
        certificate=own,
    )
    row = listener(server, "imap")
    assert (row.address, row.port, row.tls_mode) == ("2001:db8::1", 1143, "none")
    assert row.certificate == own
    assert row.is_enabled
    event = only_event()
    assert event.verb == "listener.changed"
    assert event.before == {
        "address": "*",
        "port": 143,
        "tls_mode": "starttls",
        "certificate": None,
    }
    assert event.after["certificate"] == {
        "label": "imap.example.org",
        "fingerprint": own.fingerprint,
    }


def test_a_listener_goes_back_to_the_default_certificate(server: MailServer, actor: Actor) -> None:
    own = make_certificate("imap.example.org")
    services.change_listener(actor=actor, listener=listener(server, "imaps"), certificate=own)
    services.change_listener(actor=actor, listener=listener(server, "imaps"), certificate=None)
    assert listener(server, "imaps").certificate is None


def test_changing_to_the_same_values_records_nothing(server: MailServer, actor: Actor) -> None:
    services.change_listener(
        actor=actor, listener=listener(server, "imap"), address=" * ", port=143, certificate=None
    )
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    ("service", "values", "code"),
    [
        ("imap", {"port": 0}, "listener.port_invalid"),
        ("imap", {"port": 65536}, "listener.port_invalid"),
        ("imap", {"address": "mail.example.org"}, "listener.address_invalid"),
        ("imap", {"address": "fe80::1%eth0"}, "listener.address_invalid"),
        ("imaps", {"tls_mode": TlsMode.NONE}, "listener.tls_mode_impossible"),
        ("smtp", {"tls_mode": TlsMode.IMPLICIT}, "listener.tls_mode_impossible"),
        ("imap", {"is_login_required": False}, "login.always_required"),
    ],
)
def test_nonsense_is_refused_and_not_stored(
    server: MailServer, actor: Actor, service: str, values: dict[str, object], code: str
) -> None:
    before = desired_state(server)
    with pytest.raises(ChangeRefusedError) as refused:
        services.change_listener(actor=actor, listener=listener(server, service), **values)
    assert codes(refused) == [code]
    assert desired_state(server) == before
    assert not AuditEvent.objects.exists()


def test_what_only_review_refuses_is_stored(server: MailServer, actor: Actor) -> None:
    services.change_listener(
        actor=actor, listener=listener(server, "submission"), is_login_required=False
    )
    services.change_listener(actor=actor, listener=listener(server, "pop3"), port=995)
    assert not listener(server, "submission").is_login_required
    assert listener(server, "pop3").port == 995


def test_a_deleted_certificate_cannot_be_given_to_a_listener(
    server: MailServer, actor: Actor
) -> None:
    gone = make_certificate("old.example.org", deleted_at=datetime.now(UTC))
    with pytest.raises(ChangeRefusedError) as refused:
        services.change_listener(actor=actor, listener=listener(server, "imaps"), certificate=gone)
    assert codes(refused) == ["certificate.deleted"]


# Creating


def test_listeners_are_created_once(actor: Actor) -> None:
    server = make_server(services=["smtp"])
    state = ListenerState("imaps", True, "*", 993, TlsMode.IMPLICIT, True)
    smtp = replace(listener_state(listener(server, "smtp")), port=2525)
    rows = services.create_listeners(server=server, actor=actor, states=[smtp, state])
    assert [row.service for row in rows] == ["smtp", "imaps"]
    assert rows[0].port == 25
    event = only_event()
    assert event.verb == "listeners.created"
    assert set(event.after) == {"imaps"}
    services.create_listeners(server=server, actor=actor, states=[smtp, state])
    assert only_event() == event


def test_nonsense_is_not_created(actor: Actor) -> None:
    server = make_server(services=[])
    state = ListenerState("imaps", True, "*", 993, TlsMode.NONE, True)
    with pytest.raises(ChangeRefusedError) as refused:
        services.create_listeners(server=server, actor=actor, states=[state])
    assert codes(refused) == ["listener.tls_mode_impossible"]
    assert not server.listeners.exists()


# Certificates and names


def test_one_certificate_is_assigned_to_all_its_uses_with_one_event(
    server: MailServer, actor: Actor
) -> None:
    old = server.default_certificate
    assert old is not None
    new = make_certificate("mail.example.org", "imap.example.org")
    is_changed = services.assign_certificate(
        actor=actor,
        server=server,
        certificate=new,
        as_default=True,
        services=["imaps"],
        host_names=["IMAP.example.org."],
    )
    assert is_changed
    server.refresh_from_db()
    assert server.default_certificate == new
    assert listener(server, "imaps").certificate == new
    assert listener(server, "imap").certificate is None
    assert SniBinding.objects.get(server=server).host_name == "imap.example.org"
    event = only_event()
    assert (event.verb, event.object_type, event.object_id) == (
        "certificate.assigned",
        "certificate",
        str(new.pk),
    )
    assert set(event.after) == {"server", "imaps", "imap.example.org"}
    assert event.before["server"]["default_certificate"]["fingerprint"] == old.fingerprint


def test_assigning_adds_and_takes_nothing_away(server: MailServer, actor: Actor) -> None:
    other = make_certificate("b.example.org")
    make_binding(server, "b.example.org", other)
    services.assign_certificate(
        actor=actor,
        server=server,
        certificate=make_certificate("c.example.org"),
        as_default=False,
        services=[],
        host_names=["c.example.org"],
    )
    names = SniBinding.objects.filter(server=server).values_list("host_name", flat=True)
    assert list(names) == ["b.example.org", "c.example.org"]


def test_assigning_again_changes_and_records_nothing(server: MailServer, actor: Actor) -> None:
    new = make_certificate()
    for expected in (True, False):
        is_changed = services.assign_certificate(
            actor=actor,
            server=server,
            certificate=new,
            as_default=True,
            services=["imaps"],
            host_names=["a.example.org"],
        )
        assert is_changed is expected
    only_event()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"services": ["gopher"]}, "listener.unknown"),
        ({"host_names": ["localhost"]}, "name.not_qualified"),
        ({"host_names": ["*.example.org"]}, "name.wildcard_not_allowed"),
    ],
)
def test_assigning_to_what_does_not_exist_is_refused_as_a_whole(
    server: MailServer, actor: Actor, given: dict[str, list[str]], code: str
) -> None:
    before = desired_state(server)
    wanted = {"services": [], "host_names": [], **given}
    with pytest.raises(ChangeRefusedError) as refused:
        services.assign_certificate(
            actor=actor, server=server, certificate=make_certificate(), as_default=True, **wanted
        )
    assert codes(refused) == [code]
    assert desired_state(server) == before


def test_a_deleted_certificate_cannot_be_assigned(server: MailServer, actor: Actor) -> None:
    gone = make_certificate(deleted_at=datetime.now(UTC))
    with pytest.raises(ChangeRefusedError) as refused:
        services.assign_certificate(
            actor=actor,
            server=server,
            certificate=gone,
            as_default=True,
            services=[],
            host_names=[],
        )
    assert codes(refused) == ["certificate.deleted"]


def test_a_name_is_bound_by_its_a_label_and_can_be_given_another_certificate(
    server: MailServer, actor: Actor
) -> None:
    first, second = make_certificate(IDN), make_certificate(IDN)
    name = services.bind_name(
        actor=actor, server=server, host_name="Mail.Bücher.example", certificate=first
    )
    assert name == IDN
    services.bind_name(actor=actor, server=server, host_name=IDN, certificate=second)
    assert SniBinding.objects.get().certificate == second
    newest, oldest = AuditEvent.objects.all()
    assert oldest.verb == newest.verb == "name.bound"
    assert oldest.object_label == f"mail.bücher.example ({IDN})"
    assert oldest.before == {"certificate": None}
    assert newest.before["certificate"]["fingerprint"] == first.fingerprint
    assert newest.after["certificate"]["fingerprint"] == second.fingerprint


def test_binding_what_is_no_name_is_refused(server: MailServer, actor: Actor) -> None:
    with pytest.raises(ChangeRefusedError) as refused:
        services.bind_name(
            actor=actor, server=server, host_name="not a name", certificate=make_certificate()
        )
    assert codes(refused) == ["name.invalid"]
    assert not SniBinding.objects.exists()


def test_unbinding_removes_the_name_once(server: MailServer, actor: Actor) -> None:
    make_binding(server, IDN, make_certificate(IDN))
    assert services.unbind_name(actor=actor, server=server, host_name=IDN)
    assert not services.unbind_name(actor=actor, server=server, host_name=IDN)
    assert not SniBinding.objects.exists()
    event = only_event()
    assert event.verb == "name.unbound"
    assert event.after == {"certificate": None}


# Undo


def test_undo_puts_a_listener_back_and_leaves_the_others(server: MailServer, actor: Actor) -> None:
    services.change_listener(actor=actor, listener=listener(server, "imap"), port=1143)
    services.disable_listener(actor=actor, listener=listener(server, "imap"))
    services.disable_listener(actor=actor, listener=listener(server, "pop3"))
    assert services.undo_change(actor=actor, server=server, subject="imap")
    row = listener(server, "imap")
    assert (row.port, row.is_enabled) == (143, True)
    assert not listener(server, "pop3").is_enabled
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.verb, event.object_type, event.object_id) == (
        "change.undone",
        "listener",
        "imap",
    )
    assert event.before == {"is_enabled": False, "port": 1143}
    assert event.after == {"is_enabled": True, "port": 143}


def test_undo_closes_a_listener_that_was_not_there_when_applied(actor: Actor) -> None:
    server = make_server(services=["smtp"])
    state = ListenerState("imaps", True, "*", 993, TlsMode.IMPLICIT, True)
    services.create_listeners(server=server, actor=actor, states=[state])
    assert services.undo_change(actor=actor, server=server, subject="imaps")
    assert not listener(server, "imaps").is_enabled


def test_undo_takes_back_a_name_bound_changed_or_removed(server: MailServer, actor: Actor) -> None:
    first, second = make_certificate(), make_certificate()
    make_binding(server, "a.example.org", first)
    make_binding(server, "b.example.org", first)
    apply_wanted(server)
    services.bind_name(actor=actor, server=server, host_name="a.example.org", certificate=second)
    services.unbind_name(actor=actor, server=server, host_name="b.example.org")
    services.bind_name(actor=actor, server=server, host_name="c.example.org", certificate=second)
    assert len(pending_changes(server)) == 3
    for name in ("a", "b", "c"):
        assert services.undo_change(actor=actor, server=server, subject=f"{name}.example.org")
    assert not pending_changes(server)


def test_undo_of_the_server_is_by_value_or_for_all(server: MailServer, actor: Actor) -> None:
    old = server.default_certificate
    MailServer.objects.update(
        host_name="mx.example.org", tls_profile="modern", default_certificate=make_certificate()
    )
    services.undo_change(actor=actor, server=server, subject="server", code="host_name.changed")
    server.refresh_from_db()
    assert (server.host_name, server.tls_profile) == ("mail.example.org", "modern")
    services.undo_change(actor=actor, server=server, subject="server")
    server.refresh_from_db()
    assert (server.tls_profile, server.default_certificate) == ("intermediate", old)
    assert not pending_changes(server)


def test_undo_without_a_difference_records_nothing(server: MailServer, actor: Actor) -> None:
    assert not services.undo_change(actor=actor, server=server, subject="imap")
    assert not services.undo_change(actor=actor, server=server, subject="nobody.example.org")
    assert not AuditEvent.objects.exists()


def test_undo_before_the_first_apply_is_refused(actor: Actor) -> None:
    server = make_server(is_applied=False)
    with pytest.raises(ChangeRefusedError) as refused:
        services.undo_change(actor=actor, server=server, subject="imap")
    assert codes(refused) == ["undo.nothing_applied"]


def test_undo_to_a_deleted_certificate_is_refused_by_its_name(
    server: MailServer, actor: Actor
) -> None:
    own = make_certificate("imap.example.org")
    services.change_listener(actor=actor, listener=listener(server, "imaps"), certificate=own)
    apply_wanted(server)
    services.change_listener(actor=actor, listener=listener(server, "imaps"), certificate=None)
    type(own).objects.update(deleted_at=datetime.now(UTC))
    with pytest.raises(ChangeRefusedError) as refused:
        services.undo_change(actor=actor, server=server, subject="imaps")
    (problem,) = refused.value.problems
    assert (problem.code, problem.params["label"]) == ("certificate.deleted", "imap.example.org")


# Going to another state


def test_restoring_makes_every_row_what_the_state_says(server: MailServer, actor: Actor) -> None:
    make_binding(server, "a.example.org", make_certificate())
    apply_wanted(server)
    state = desired_state(server)
    services.change_listener(
        actor=actor, listener=listener(server, "imap"), certificate=make_certificate()
    )
    services.disable_listener(actor=actor, listener=listener(server, "pop3"))
    services.unbind_name(actor=actor, server=server, host_name="a.example.org")
    services.bind_name(
        actor=actor, server=server, host_name="b.example.org", certificate=make_certificate()
    )
    MailServer.objects.update(host_name="mx.example.org", default_certificate=None)
    assert services.restore_state(
        actor=actor, server=server, state=state, verb="state.restored", reason="back to 3"
    )
    server.refresh_from_db()
    assert desired_state(server) == state
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.verb, event.object_type, event.reason) == (
        "state.restored",
        "server",
        "back to 3",
    )
    assert set(event.after) == {"server", "imap", "pop3", "a.example.org", "b.example.org"}
    assert event.after["b.example.org"] == {"certificate": None}


def test_restoring_what_is_already_wanted_records_nothing(server: MailServer, actor: Actor) -> None:
    assert not services.restore_state(actor=actor, server=server, state=desired_state(server))
    assert not AuditEvent.objects.exists()


def test_restoring_closes_what_the_state_does_not_speak_of(
    server: MailServer, actor: Actor
) -> None:
    state = desired_state(server)
    fewer = replace(state, listeners=tuple(i for i in state.listeners if i.service != "pop3"))
    services.restore_state(actor=actor, server=server, state=fewer)
    assert not listener(server, "pop3").is_enabled
    assert listener(server, "imaps").is_enabled


def test_restoring_brings_back_listeners_that_are_gone(server: MailServer, actor: Actor) -> None:
    state = desired_state(server)
    listener(server, "pop3").delete()
    services.restore_state(actor=actor, server=server, state=state)
    assert desired_state(server) == state


def test_restoring_needs_every_certificate_or_changes_nothing(
    server: MailServer, actor: Actor
) -> None:
    gone, lost = make_certificate("gone.example.org"), make_certificate("lost.example.org")
    make_binding(server, "gone.example.org", gone)
    services.change_listener(actor=actor, listener=listener(server, "imaps"), certificate=lost)
    state = desired_state(server)
    services.unbind_name(actor=actor, server=server, host_name="gone.example.org")
    services.change_listener(actor=actor, listener=listener(server, "imaps"), certificate=None)
    services.disable_listener(actor=actor, listener=listener(server, "pop3"))
    type(gone).objects.filter(pk__in=[gone.pk, lost.pk]).update(deleted_at=datetime.now(UTC))
    before, events = desired_state(server), AuditEvent.objects.count()
    with pytest.raises(ChangeRefusedError) as refused:
        services.restore_state(actor=actor, server=server, state=state)
    labels = {str(problem.params["label"]) for problem in refused.value.problems}
    assert labels == {"gone.example.org", "lost.example.org"}
    assert desired_state(server) == before
    assert AuditEvent.objects.count() == events


def test_a_certificate_that_was_never_here_is_named_by_its_fingerprint(
    server: MailServer, actor: Actor
) -> None:
    state = replace(desired_state(server), default_certificate="f" * 64)
    with pytest.raises(ChangeRefusedError) as refused:
        services.restore_state(actor=actor, server=server, state=state)
    assert refused.value.problems[0].params["label"] == "f" * 16
