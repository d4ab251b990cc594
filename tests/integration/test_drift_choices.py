"""Drift on real daemons, from the look that notices it to the end of each choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.utils import timezone

from mailadmin.certificates.models import Certificate
from mailadmin.certificates.services import create_self_signed
from mailadmin.deployments import runner, services
from mailadmin.deployments.drift import open_drift, overwritten_pieces
from mailadmin.deployments.drift_choices import leave_drift, take_over_drift
from mailadmin.deployments.models import Deployment, Drift, Plan
from mailadmin.listeners.selectors import desired_state, pending_changes
from mailadmin.listeners.services import enable_listener
from mailadmin.pki.keys import KeyKind
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import set_default_certificate
from tests.factories import make_actor
from tests.integration import wire
from tests.integration.mail_host import MailHost
from tests.states import make_material

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
NAME = "mail.example.test"


@pytest.fixture(scope="module")
def drift_host(make_mail_host: Callable[..., MailHost], quick_watch: None) -> Iterator[MailHost]:
    host = make_mail_host()
    host.start_agent()
    yield host
    host.stop_agent()


@pytest.fixture
def server(drift_host: MailHost) -> MailServer:
    """Return the host with a certificate of the panel's applied and the submission port open."""
    actor = make_actor()
    row = services.adopt_server(
        actor=actor,
        host_name=NAME,
        agent_socket=str(drift_host.config.socket),
        closed_ports=drift_host.settings.ports,
    )
    certificate = create_self_signed(
        actor=actor, names=[NAME], key_kind=KeyKind.ECDSA_P256, now=timezone.now()
    )
    set_default_certificate(actor=actor, server=row, certificate=certificate)
    enable_listener(actor=actor, listener=row.listeners.get(service="submission"))
    apply(row, may_overwrite=True)
    assert look(row) is None
    return row


def look(server: MailServer) -> Drift | None:
    """Let one look be taken; returns the drift it found."""
    run = services.request_probe(actor=make_actor(), server=server)
    runner.run_probe(run.pk)
    server.refresh_from_db()
    return open_drift(server)


def review(server: MailServer) -> Plan:
    server.refresh_from_db()
    plan = services.request_plan(actor=make_actor(), server=server)
    runner.run_plan(plan.pk)
    plan.refresh_from_db()
    assert plan.status == Plan.Status.READY, plan.error
    return plan


def apply(server: MailServer, *, may_overwrite: bool = False) -> None:
    deployment = services.request_deployment(
        actor=make_actor(), server=server, plan=review(server), may_overwrite=may_overwrite
    )
    runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.SUCCEEDED, deployment.failure
    server.refresh_from_db()


def move_by_hand(host: MailHost) -> int:
    """Move the submission port in master.cf, and let Postfix follow; returns where to."""
    old, new = host.port("submission"), host.port("submission") + 700
    text = host.master_cf.read_text()
    line = f"\n{host.address}:{old} inet"
    assert line in text
    host.edit(host.master_cf, text.replace(line, f"\n{host.address}:{new} inet"))
    host.agent.host.postfix.reload()
    wire.wait_until(lambda: not wire.is_refused(host.address, new), 60, "Postfix follows")
    return new


def swap_by_hand(host: MailHost) -> str:
    """Put another certificate in place by rename, as a renewing program does; returns its leaf."""
    other = make_material("renewed outside", (NAME,))
    path = host.config.state_dir / "live" / "default.pem"
    fresh = path.with_name("renewed")
    fresh.write_text(other.bundle)
    fresh.chmod(0o600)
    fresh.rename(path)
    host.agent.host.postfix.reload()
    return other.certificate.fingerprint


def test_restoring_takes_a_tick_and_gives_back_every_byte(
    drift_host: MailHost, server: MailServer
) -> None:
    before = drift_host.master_cf.read_bytes()
    move_by_hand(drift_host)
    drift = look(server)
    assert drift is not None
    assert drift.names == ["master.cf"]
    plan = review(server)
    assert overwritten_pieces(plan) == ["master.cf"]
    with pytest.raises(ChangeRefusedError) as refused:
        services.request_deployment(actor=make_actor(), server=server, plan=plan)
    assert refused.value.problems[0].code == "drift.not_accepted"
    apply(server, may_overwrite=True)
    assert drift_host.master_cf.read_bytes() == before
    assert drift_host.is_open("submission")
    assert look(server) is None


def test_a_moved_port_and_a_swapped_certificate_are_taken_over_and_proven(
    drift_host: MailHost, server: MailServer
) -> None:
    port, leaf = move_by_hand(drift_host), swap_by_hand(drift_host)
    by_hand = drift_host.master_cf.read_bytes()
    drift = look(server)
    assert drift is not None
    assert drift.names == ["master.cf", "default.pem"]
    take_over_drift(actor=make_actor(), server=server, drift_id=drift.pk)
    server.refresh_from_db()
    assert {item.subject for item in pending_changes(server)} == {"server", "submission"}
    assert overwritten_pieces(review(server)) == []
    apply(server)
    assert drift_host.master_cf.read_bytes() == by_hand
    assert {drift_host.leaf(name) for name in ("smtp", "imap", "imaps")} == {leaf}
    found = Certificate.objects.get(fingerprint=leaf)
    assert found.private_key is None
    assert server.default_certificate == found
    submission = desired_state(server).listener("submission")
    assert submission is not None
    assert submission.port == port
    assert look(server) is None


def test_what_is_left_stays_quietly_until_it_changes(
    drift_host: MailHost, server: MailServer
) -> None:
    drift_host.edit(drift_host.dropin, f"{drift_host.dropin.read_text()}# mine\n")
    drift = look(server)
    assert drift is not None
    leave_drift(actor=make_actor(), server=server, drift_id=drift.pk, reason="a note")
    kept = look(server)
    assert kept is not None
    assert (kept.pk, kept.is_left) == (drift.pk, True)
    drift_host.edit(drift_host.dropin, f"{drift_host.dropin.read_text()}# more\n")
    fresh = look(server)
    assert fresh is not None
    assert not fresh.is_left
    assert fresh.pk != drift.pk
