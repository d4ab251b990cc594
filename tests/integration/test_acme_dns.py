"""Orders proven by DNS: a real authority asks real name servers, which take updates with TSIG."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from mailadmin.acme import runner
from mailadmin.acme.dns import waiting
from mailadmin.acme.dns.updating import DynamicUpdates
from mailadmin.acme.models import (
    AcmeAccount,
    AcmeAuthorization,
    AcmeCertificate,
    AcmeEvent,
    AcmeOrder,
    DnsAccess,
)
from mailadmin.acme.services.accesses import add_access
from mailadmin.acme.services.orders import cancel_order, continue_order
from mailadmin.audit.models import AuditEvent
from tests.acme_engine import (
    Wire,
    answering,
    be_time,
    make_account,
    order,
    told,
    want,
    watch_wire,
    work,
)
from tests.authorities import RunningAuthority, find_newer_pebble, run_authority
from tests.factories import make_actor
from tests.nameservers import LOOKING_UP, PRIMARY, NameServers

pytestmark = [
    pytest.mark.integration,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("acme-orders"),
]

Status = AcmeOrder.Status


@pytest.fixture(scope="module")
def pebble(name_servers: NameServers) -> Iterator[RunningAuthority]:
    server = f"{LOOKING_UP}:{name_servers.port}"
    with run_authority(executable=find_newer_pebble(), dns_server=server) as running:
        yield running


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    return watch_wire(monkeypatch)


@pytest.fixture
def account(pebble: RunningAuthority, name_servers: NameServers, settings: Any) -> AcmeAccount:
    settings.IS_PRIVATE_ACME_ALLOWED = True
    settings.DNS_RESOLVERS = [f"{LOOKING_UP}:{name_servers.port}"]
    settings.DNS_AUTHORITY_PORT = name_servers.port
    account = make_account(pebble)
    runner.run_errand(account.pk)
    account.refresh_from_db()
    return account


def make_access(name_servers: NameServers, **values: Any) -> DnsAccess:
    key = name_servers.key
    return add_access(
        actor=make_actor(),
        title="Knot",
        kind=DnsAccess.Kind.RFC2136,
        settings={
            "server": PRIMARY,
            "port": name_servers.port,
            "zone": "",
            "key_name": key.name,
            "algorithm": key.algorithm,
        },
        secret=values.get("secret", key.secret),
    )


def want_by_dns(
    account: AcmeAccount, *names: str, access: DnsAccess | None, **values: Any
) -> AcmeCertificate:
    return want(
        account, *names, challenge=AcmeCertificate.Challenge.DNS_01, dns_access=access, **values
    )


def test_a_name_and_its_wildcard_are_proven_side_by_side(
    account: AcmeAccount, name_servers: NameServers, wire: Wire
) -> None:
    names = ("both.delegated.test", "*.both.delegated.test")
    row = work(order(want_by_dns(account, *names, access=make_access(name_servers))))
    assert row.status == Status.ISSUED, (row.problem, told(row))
    assert row.certificate is not None
    assert set(row.certificate.names) == set(names)
    proofs = row.authorizations.all()
    assert {proof.identifier for proof in proofs} == set(names)
    assert {proof.record_name for proof in proofs} == {"_acme-challenge.both.delegated.test"}
    assert len({proof.record_value for proof in proofs}) == 2
    assert name_servers.texts("_acme-challenge.both.delegated.test") == []
    public = json.dumps(
        [list(AcmeEvent.objects.values("params")), list(AuditEvent.objects.values("after"))],
        default=str,
    )
    assert name_servers.key.secret not in public


def test_an_alias_is_followed_to_where_the_record_may_be_written(
    account: AcmeAccount, name_servers: NameServers, wire: Wire
) -> None:
    wanted = want_by_dns(account, "lent.example.test", access=make_access(name_servers))
    row = work(order(wanted))
    assert row.status == Status.ISSUED, (row.problem, told(row))
    assert row.authorizations.get().record_name == "lent.delegated.test"
    assert name_servers.texts("lent.delegated.test") == []


def test_a_server_that_refuses_the_key_ends_the_order_in_words(
    account: AcmeAccount, name_servers: NameServers, wire: Wire
) -> None:
    access = make_access(name_servers, secret=name_servers.idle_key.secret)
    row = work(order(want_by_dns(account, "refused.delegated.test", access=access)))
    assert row.status == Status.FAILED
    assert row.problem is not None
    assert row.problem["code"].startswith("dns.")
    assert name_servers.key.secret not in json.dumps(row.problem)


def test_a_worker_killed_anywhere_leaves_no_record(
    account: AcmeAccount, name_servers: NameServers, wire: Wire
) -> None:
    access = make_access(name_servers)
    for count in range(6, 30, 4):
        name = f"k{count}.delegated.test"
        wire.orders_made = 0
        row = order(want_by_dns(account, name, access=access))
        with wire.dying_after(count):
            runner.advance_order(row.pk)
        wire.is_dead = False
        AcmeOrder.objects.filter(pk=row.pk).update(lease=None)
        row.refresh_from_db()
        row = row if row.is_finished else work(row)
        assert row.status == Status.ISSUED, (row.problem, told(row))
        assert wire.orders_made == 1
        assert name_servers.texts(f"_acme-challenge.{name}") == []


def test_a_record_that_spreads_slowly_is_written_once_and_looked_at_less_and_less(
    account: AcmeAccount,
    name_servers: NameServers,
    wire: Wire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []
    add, look = DynamicUpdates.add_txt, waiting.look

    def count(self: DynamicUpdates, name: str, value: str) -> None:
        written.append(name)
        add(self, name, value)

    monkeypatch.setattr(DynamicUpdates, "add_txt", count)
    # As a secondary that was not told yet: the value that is looked for is not there.
    monkeypatch.setattr(waiting, "look", lambda record, value: look(record, f"not {value}"))
    started = time.monotonic()
    row = order(want_by_dns(account, "slow.delegated.test", access=make_access(name_servers)))
    pauses = []
    for minutes in (0, 1, 1, 1, 20):
        AcmeAuthorization.objects.update(placed_at=F("placed_at") - timedelta(minutes=minutes))
        be_time(row)
        following = runner.advance_order(row.pk)
        assert following is not None
        pauses.append(following.seconds)
    assert written == ["_acme-challenge.slow.delegated.test"]
    assert pauses[0] == 2.0
    assert 30 <= pauses[1] <= 30 + time.monotonic() - started
    assert pauses[2:] == [60.0] * 3
    # After half an hour it is said; a worker that dies and comes back does not begin anew.
    AcmeAuthorization.objects.update(placed_at=F("placed_at") - timedelta(minutes=8))
    row = work(row)
    assert row.problem is not None
    assert row.problem["code"] == "acme.record_not_spread"
    assert name_servers.texts("_acme-challenge.slow.delegated.test") == []


def test_a_record_written_by_hand_is_waited_for_and_asked_for_once(
    account: AcmeAccount, name_servers: NameServers, wire: Wire
) -> None:
    names = ("hand.delegated.test", "*.hand.delegated.test")
    row = order(want_by_dns(account, *names, access=None))
    for _ in range(3):
        be_time(row)
        following = runner.advance_order(row.pk)
        assert following is not None
        row.refresh_from_db()
        assert row.status == Status.WAITING
    assert told(row).count("acme.waiting_for_record") == 2
    asked = len(wire.requests)
    # Nobody asks before it is time, until the person says that the record is there.
    assert runner.advance_order(row.pk) is None
    assert len(wire.requests) == asked
    writer = name_servers.updates()
    for proof in row.authorizations.all():
        writer.add_txt(proof.record_name, proof.record_value)
    continue_order(actor=make_actor(), order=row)
    runner.advance_order(row.pk)
    row.refresh_from_db()
    assert row.status == Status.ISSUED, (row.problem, told(row))
    # What a hand wrote a hand takes away.
    assert len(name_servers.texts("_acme-challenge.hand.delegated.test")) == 2
    assert wire.orders_made == 1


def test_an_order_that_waits_for_a_record_can_be_given_up(
    account: AcmeAccount, name_servers: NameServers, wire: Wire
) -> None:
    row = order(want_by_dns(account, "never.delegated.test", access=None))
    runner.advance_order(row.pk)
    cancel_order(actor=make_actor(), order=row)
    be_time(row)
    assert runner.advance_order(row.pk) is None
    row.refresh_from_db()
    assert row.status == Status.CANCELLED


@pytest.mark.parametrize(("host", "is_kept"), [("mail", True), ("web", False)])
def test_the_key_stays_while_a_record_names_it(
    host: str, is_kept: bool, account: AcmeAccount, wire: Wire
) -> None:
    """The zone has a TLSA record for mail.example.test, and none for web.example.test."""
    with run_authority() as plain, answering(plain):
        wanted = want(make_account(plain, "Plain"), f"{host}.example.test")
        first, second = work(order(wanted)), work(order(wanted, "due"))
    assert first.certificate is not None
    assert second.certificate is not None
    kept = first.certificate.private_key == second.certificate.private_key
    assert kept is is_kept
    assert ("acme.key_kept_for_tlsa" in told(second)) is is_kept
