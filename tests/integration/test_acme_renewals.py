"""Renewals on a real mail server: issued, put in place, proven; or taken back, and said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from mailadmin.acme import runner, selectors
from mailadmin.acme.models import AcmeAccount, AcmeCertificate, AcmeOrder
from mailadmin.certificates.models import Certificate
from mailadmin.deployments import runner as deployments_runner
from mailadmin.deployments import services
from mailadmin.deployments.models import Deployment, Plan
from mailadmin.listeners.selectors import pending_changes
from mailadmin.listeners.services import change_listener, enable_listener
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import set_default_certificate
from tests.acme_engine import (
    Wire,
    answering,
    let_lease_run_out,
    make_account,
    order,
    told,
    want,
    watch_wire,
    work,
)
from tests.authorities import RunningAuthority, find_newer_pebble, run_authority
from tests.factories import make_actor
from tests.integration.mail_host import MailHost
from tests.states import make_material

pytestmark = [
    pytest.mark.integration,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("acme-orders"),
]

MAIL, IMAP = "mail.example.test", "imap.example.test"
Status = AcmeOrder.Status


@pytest.fixture(scope="module")
def renewed_host(make_mail_host: Callable[..., MailHost], quick_watch: None) -> Iterator[MailHost]:
    host = make_mail_host()
    host.start_agent()
    yield host
    host.stop_agent()


@pytest.fixture(scope="module")
def pebble() -> Iterator[RunningAuthority]:
    with run_authority(executable=find_newer_pebble()) as running:
        yield running


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    return watch_wire(monkeypatch)


@pytest.fixture
def account(pebble: RunningAuthority, wire: Wire, settings: Any) -> Iterator[AcmeAccount]:
    settings.IS_PRIVATE_ACME_ALLOWED = True
    settings.DNS_RESOLVERS = [pebble.dns.address]
    account = make_account(pebble)
    runner.run_errand(account.pk)
    account.refresh_from_db()
    with answering(pebble):
        yield account


@pytest.fixture
def server(renewed_host: MailHost) -> MailServer:
    return services.adopt_server(
        actor=make_actor(),
        host_name=MAIL,
        agent_socket=str(renewed_host.config.socket),
        closed_ports=renewed_host.settings.ports,
    )


@pytest.fixture
def wanted(account: AcmeAccount, server: MailServer) -> AcmeCertificate:
    """Return what was issued once and put in place by hand; that is noted."""
    row = want(account, MAIL, IMAP, server=server, key_choice="new")
    first = work(order(row))
    assert first.status == Status.ISSUED, first.problem
    assert first.certificate is not None
    runner.note_what_is_served(timezone.now())
    first.refresh_from_db()
    assert first.status == Status.ISSUED
    set_default_certificate(actor=make_actor(), server=server, certificate=first.certificate)
    apply(server)
    runner.note_what_is_served(timezone.now())
    first.refresh_from_db()
    assert first.status == Status.PROVEN
    assert "acme.proven_by_admin" in told(first)
    row.refresh_from_db()
    return row


def apply(server: MailServer) -> None:
    server.refresh_from_db()
    plan = services.request_plan(actor=make_actor(), server=server)
    deployments_runner.run_plan(plan.pk)
    plan.refresh_from_db()
    assert plan.status == Plan.Status.READY, plan.error
    deployment = services.request_deployment(actor=make_actor(), server=server, plan=plan)
    deployments_runner.run_deployment(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.SUCCEEDED, deployment.failure
    server.refresh_from_db()


def certificate(row: AcmeOrder) -> Certificate:
    assert row.certificate is not None, (row.problem, told(row))
    return row.certificate


def test_a_renewal_is_proven_and_other_edits_stay_pending(
    wanted: AcmeCertificate, server: MailServer, renewed_host: MailHost
) -> None:
    port = renewed_host.port("submission") + 1000
    enable_listener(actor=make_actor(), listener=server.listeners.get(service="submission"))
    change_listener(
        actor=make_actor(), listener=server.listeners.get(service="submission"), port=port
    )
    server.refresh_from_db()
    pending = pending_changes(server)
    row = work(order(wanted, "due"))
    assert row.status == Status.PROVEN, (row.problem, told(row))
    assert row.proven_at is not None
    assert renewed_host.leaf("imaps") == certificate(row).fingerprint
    server.refresh_from_db()
    assert pending_changes(server) == pending != ()


def test_a_renewal_that_is_taken_back_is_said_and_the_next_one_replaces_what_is_served(
    wanted: AcmeCertificate,
    server: MailServer,
    renewed_host: MailHost,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = wanted.certificate
    assert before is not None
    spoil_next(renewed_host, monkeypatch)
    row = work(order(wanted, "due"))
    assert row.status == Status.UNPROVEN, told(row)
    assert row.problem is not None
    assert row.problem["code"] == "acme.deployment_taken_back"
    assert "acme.deployment_taken_back" in told(row)
    assert renewed_host.leaf("imaps") == before.fingerprint
    again = work(order(wanted, "due"))
    assert again.previous == row.certificate
    assert again.status == Status.PROVEN, (again.problem, told(again))
    assert renewed_host.leaf("imaps") == certificate(again).fingerprint


def spoil_next(host: MailHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the mail server show another certificate than the one that is put in place next."""
    store = host.agent.host.store
    real, another = store.switch_live, make_material("another").bundle

    def spoil_and_switch(target: str | None) -> None:
        monkeypatch.setattr(store, "switch_live", real)
        assert target is not None
        for path in (store.folder / target).glob("*.pem"):
            path.write_text(another)
        real(target)

    monkeypatch.setattr(store, "switch_live", spoil_and_switch)


def test_a_name_that_is_left_out_is_shown_the_old_one_until_it_comes_back(
    wanted: AcmeCertificate, renewed_host: MailHost
) -> None:
    old = wanted.certificate
    assert old is not None
    part = work(order(wanted, "due", names=[MAIL]))
    assert part.status == Status.PROVEN, (part.problem, told(part))
    assert renewed_host.leaf("imaps") == certificate(part).fingerprint
    assert renewed_host.leaf("imaps", IMAP) == old.fingerprint
    whole = work(order(wanted, "due"))
    assert whole.status == Status.PROVEN, (whole.problem, told(whole))
    for name in ("", MAIL, IMAP):
        assert renewed_host.leaf("imaps", name) == certificate(whole).fingerprint


def test_a_worker_killed_between_certificate_and_proof_loses_nothing(
    wanted: AcmeCertificate, renewed_host: MailHost, wire: Wire
) -> None:
    """From the certificate's arrival on: kill after each write, to the end of the order."""
    probe = order(wanted, "due")
    with wire.dying_after(10_000, counted_from="/certZ/"):
        runner.advance_order(probe.pk)
    points, probe = wire.passed, work(probe)
    assert probe.status == Status.PROVEN
    assert points > 3
    for count in range(points):
        row = order(wanted, "due")
        wire.orders_made = 0
        with wire.dying_after(count, counted_from="/certZ/"):
            runner.advance_order(row.pk)
        assert wire.is_dead, count
        wire.is_dead = False
        let_lease_run_out(row)
        assert not row.is_finished
        row = work(row)
        assert row.status == Status.PROVEN, (row.problem, told(row))
        assert wire.orders_made == 1
        assert told(row).count("acme.deployment_begun") == 1
        assert renewed_host.leaf("imaps") == certificate(row).fingerprint


def test_what_is_not_to_be_deployed_by_itself_waits_and_says_so(
    wanted: AcmeCertificate, renewed_host: MailHost
) -> None:
    old = wanted.certificate
    assert old is not None
    AcmeCertificate.objects.filter(pk=wanted.pk).update(is_deployed_automatically=False)
    row = work(order(wanted, "due"))
    assert row.status == Status.ISSUED
    assert "acme.waits_for_admin" in told(row)
    assert renewed_host.leaf("imaps") == old.fingerprint


def test_long_after_expiry_it_is_renewed_at_once(
    wanted: AcmeCertificate, renewed_host: MailHost
) -> None:
    old = wanted.certificate
    assert old is not None
    (made,) = runner.order_due(old.not_after + timedelta(days=400))
    row = work(AcmeOrder.objects.get(pk=made))
    assert row.status == Status.PROVEN, (row.problem, told(row))
    wanted.refresh_from_db()
    assert wanted.next_attempt_at is not None
    assert wanted.next_attempt_at > timezone.now()
    assert selectors.due_certificates(timezone.now()) == []


def test_the_commands_tell_what_is_due_and_how_it_stands(wanted: AcmeCertificate) -> None:
    code, said = command("acme_renew", "--due")
    assert code == 0
    assert "queued" not in said
    AcmeCertificate.objects.filter(pk=wanted.pk).update(next_attempt_at=timezone.now())
    code, said = command("acme_renew", "--due")
    assert code == 2
    assert said.startswith("1 queued")
    (row,) = AcmeOrder.objects.filter(acme_certificate=wanted, status=Status.QUEUED)
    work(row)
    code, said = command("acme_status", "--json")
    assert code == 0
    (found,) = json.loads(said)
    assert found["names"] == [MAIL, IMAP]
    assert found["last_order"]["status"] == "proven"
    assert found["standing"] == "good"


def command(*words: str) -> tuple[int, str]:
    """Return the exit code of a command and what it said."""
    said = StringIO()
    try:
        call_command(*words, stdout=said)
    except SystemExit as end:
        return int(end.code or 0), said.getvalue()
    return 0, said.getvalue()
