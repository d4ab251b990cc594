"""One certificate alone, on real daemons: put in place and proven, or taken back; nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.utils import timezone

from mailadmin.audit.actors import Actor
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.services import create_self_signed
from mailadmin.deployments import runner, services
from mailadmin.deployments.models import Deployment, Plan
from mailadmin.listeners.selectors import desired_state, pending_changes
from mailadmin.listeners.services import bind_name, change_listener, enable_listener
from mailadmin.pki.keys import KeyKind
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import set_default_certificate
from tests.factories import make_actor
from tests.integration.mail_host import MailHost
from tests.states import make_material

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
NAME, OTHER_NAME = "mail.example.test", "imap.example.test"
OPEN = ("smtp", "submission", "imap", "imaps", "pop3", "pop3s", "sieve")


@pytest.fixture(scope="module")
def swap_host(make_mail_host: Callable[..., MailHost], quick_watch: None) -> Iterator[MailHost]:
    host = make_mail_host()
    host.start_agent()
    yield host
    host.stop_agent()


def issue() -> Certificate:
    return create_self_signed(
        actor=make_actor(),
        names=[NAME, OTHER_NAME],
        key_kind=KeyKind.ECDSA_P256,
        now=timezone.now(),
    )


@pytest.fixture
def old() -> Certificate:
    return issue()


@pytest.fixture
def server(swap_host: MailHost, old: Certificate) -> MailServer:
    """Return the host with the old certificate applied, on one port of its own and for a name."""
    actor = make_actor()
    row = services.adopt_server(
        actor=actor,
        host_name=NAME,
        agent_socket=str(swap_host.config.socket),
        closed_ports=swap_host.settings.ports,
    )
    set_default_certificate(actor=actor, server=row, certificate=old)
    enable_listener(actor=actor, listener=row.listeners.get(service="submission"))
    change_listener(actor=actor, listener=row.listeners.get(service="imaps"), certificate=old)
    bind_name(actor=actor, server=row, host_name=OTHER_NAME, certificate=old)
    row.refresh_from_db()
    plan = services.request_plan(actor=actor, server=row)
    runner.run_plan(plan.pk)
    plan.refresh_from_db()
    assert plan.status == Plan.Status.READY, plan.error
    first = services.request_deployment(actor=actor, server=row, plan=plan)
    runner.run_deployment(first.pk)
    first.refresh_from_db()
    assert first.status == Deployment.Status.SUCCEEDED, first.failure
    row.refresh_from_db()
    assert pending_changes(row) == ()
    return row


def move_submission(server: MailServer, host: MailHost) -> int:
    """Let a move of a port be pending; returns where to."""
    port = host.port("submission") + 1000
    change_listener(
        actor=make_actor(), listener=server.listeners.get(service="submission"), port=port
    )
    server.refresh_from_db()
    return port


def swap(server: MailServer, old: Certificate, new: Certificate) -> Deployment:
    deployment = services.request_certificate_swap(
        actor=Actor.system("renewal"), server=server, old=old, new=new, reason="renewed"
    )
    assert runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    server.refresh_from_db()
    return deployment


def shown(host: MailHost) -> set[str]:
    """Return the leaves of every open port, with and without the name asked for."""
    names = ("", OTHER_NAME)
    return {host.leaf(service, name) for service in OPEN for name in names}


def test_the_wire_shows_the_new_one_and_the_moved_port_is_pending_still(
    swap_host: MailHost, server: MailServer, old: Certificate
) -> None:
    new, before = issue(), shown(swap_host)
    assert before == {old.fingerprint}
    port = move_submission(server, swap_host)
    pending = pending_changes(server)
    master_cf = swap_host.master_cf.read_bytes()

    deployment = swap(server, old, new)

    assert deployment.status == Deployment.Status.SUCCEEDED, deployment.failure
    assert shown(swap_host) == {new.fingerprint}
    assert swap_host.master_cf.read_bytes() == master_cf
    assert server.listeners.get(service="submission").port == port
    assert pending_changes(server) == pending != ()
    assert [item["code"] for item in deployment.changes] == [
        "default_certificate.changed",
        "listener.certificate_changed",
        "sni.changed",
    ]


def test_what_the_wire_does_not_show_is_taken_back_to_the_byte(
    swap_host: MailHost,
    server: MailServer,
    old: Certificate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new, files = issue(), swap_host.files()
    move_submission(server, swap_host)
    applied, wanted = server.applied_state, desired_state(server)
    store = swap_host.agent.host.store
    real, another = store.switch_live, make_material("another").bundle

    def spoil_and_switch(target: str | None) -> None:
        monkeypatch.setattr(store, "switch_live", real)
        assert target is not None
        for path in (store.folder / target).glob("*.pem"):
            path.write_text(another)
        real(target)

    monkeypatch.setattr(store, "switch_live", spoil_and_switch)
    deployment = swap(server, old, new)

    assert deployment.status == Deployment.Status.ROLLED_BACK, deployment.failure
    assert deployment.failure is not None
    assert deployment.failure["code"] == "probe.other_certificate"
    assert swap_host.files() == files
    assert shown(swap_host) == {old.fingerprint}
    assert (server.applied_state, desired_state(server)) == (applied, wanted)


def test_names_that_the_new_one_lost_are_shown_the_old_one(
    swap_host: MailHost, server: MailServer, old: Certificate
) -> None:
    new = create_self_signed(
        actor=make_actor(), names=[NAME], key_kind=KeyKind.RSA_2048, now=timezone.now()
    )
    deployment = services.request_certificate_swap(
        actor=Actor.system("renewal"), server=server, old=old, new=new, keeps_old_for=[OTHER_NAME]
    )
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    server.refresh_from_db()
    assert deployment.status == Deployment.Status.SUCCEEDED, deployment.failure
    assert {swap_host.leaf(service) for service in OPEN} == {new.fingerprint}
    assert {swap_host.leaf(service, OTHER_NAME) for service in OPEN} == {old.fingerprint}
    assert pending_changes(server) == ()
