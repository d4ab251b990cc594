"""Orders at a real authority (Pebble), with everything that goes wrong on the way."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from mailadmin.acme import runner, selectors, tasks
from mailadmin.acme.client import AcmeFailure, poll
from mailadmin.acme.models import (
    AcmeAccount,
    AcmeAuthorization,
    AcmeCertificate,
    AcmeEvent,
    AcmeOrder,
)
from mailadmin.acme.runner import claiming, ordering, proving
from mailadmin.acme.runner.accounts import connect
from mailadmin.acme.services.orders import cancel_order, request_order
from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.custody import open_key_pem
from mailadmin.certificates.models import CertificateSigningRequest, PrivateKey
from mailadmin.pki.keys import load_private_key
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from tests.acme_engine import (
    ShownWay,
    Wire,
    answering,
    be_time,
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

pytestmark = [
    pytest.mark.integration,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("acme-orders"),
]

MAIL, IMAP = "mail.example.test", "imap.example.test"
NOWHERE = "nowhere.example.test"
Status = AcmeOrder.Status


@pytest.fixture(scope="module")
def pebble() -> Iterator[RunningAuthority]:
    with run_authority(executable=find_newer_pebble()) as running:
        # Nobody listens there: what is to be proven of this name is not.
        running.dns.set_addresses(NOWHERE, "127.0.0.77")
        yield running


@pytest.fixture
def authority(pebble: RunningAuthority, settings: Any) -> RunningAuthority:
    use(pebble, settings)
    return pebble


def use(running: RunningAuthority, settings: Any) -> None:
    settings.IS_PRIVATE_ACME_ALLOWED = True
    settings.DNS_RESOLVERS = [running.dns.address]


@pytest.fixture
def way(authority: RunningAuthority) -> Iterator[ShownWay]:
    with answering(authority) as shown:
        yield shown


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    return watch_wire(monkeypatch)


@pytest.fixture
def account(authority: RunningAuthority) -> AcmeAccount:
    return make_account(authority)


def assert_issued(row: AcmeOrder, wire: Wire, orders: int = 1) -> None:
    """Check that there is a certificate with its key, that nothing is left, and how it came."""
    assert row.status == Status.ISSUED, (row.problem, told(row))
    assert row.certificate is not None
    assert row.certificate.private_key is not None
    assert open_key_pem(row.certificate.private_key)
    assert sorted(row.certificate.names) == sorted(row.names)
    assert row.acme_certificate.certificate == row.certificate
    assert wire.orders_made == orders
    assert told(row).count("acme.issued") == 1
    assert not CertificateSigningRequest.objects.filter(status="pending").exists()


def assert_clean(way: ShownWay) -> None:
    assert way.authority.web.answers == {}


def test_an_order_is_made_proven_and_issued(
    account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    row = work(order(want(account, MAIL, IMAP)))
    assert_issued(row, wire)
    assert_clean(way)
    row.acme_certificate.refresh_from_db()
    due = row.acme_certificate.next_attempt_at
    assert row.certificate is not None
    assert due is not None
    left = (row.certificate.not_after - due) / (
        row.certificate.not_after - row.certificate.not_before
    )
    assert 0.33 < left < 0.36


def test_a_worker_killed_at_any_moment_costs_nothing(
    account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    """Kill one worker after each write and each answer; the next must end it with one order."""
    killed = 0
    for count in range(200):
        wire.orders_made = 0
        wanted = want(account, f"h{count}.example.test")
        row = order(wanted)
        with wire.dying_after(count):
            runner.advance_order(row.pk)
        if not wire.is_dead:
            break
        killed += 1
        wire.is_dead = False
        let_lease_run_out(row)
        row = work(row) if not row.is_finished else row
        assert_issued(row, wire)
        for late in selectors.uncleaned_orders(timezone.now() + timedelta(minutes=1)):
            runner.clean_up_order(late)
        assert_clean(way)
    assert killed > 20
    # Those of the certificates, and the account's: none was drawn in vain.
    assert PrivateKey.objects.count() == killed + 2


def test_a_refused_name_is_named_and_nothing_is_issued(
    account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    row = work(order(want(account, MAIL, NOWHERE)))
    assert row.status == Status.FAILED
    assert row.problem is not None
    assert row.problem["code"] == "acme.names_refused"
    assert row.problem["params"]["names"] == NOWHERE
    assert row.certificate is None
    assert not any("finalize" in request for request in wire.requests)
    said = row.events.get(name=NOWHERE, severity="error")
    assert "refused" in json.dumps(said.params)
    assert row.authorizations.get(name=MAIL).status == "valid"
    wanted = row.acme_certificate
    wanted.refresh_from_db()
    assert wanted.failures == 1
    assert wanted.next_attempt_at is not None
    assert row.finished_at is not None
    later = wanted.next_attempt_at - row.finished_at
    assert timedelta(seconds=59) < later < timedelta(seconds=67)
    assert PrivateKey.objects.count() == 1
    assert_clean(way)


def test_a_refusal_is_told_in_full_by_a_worker_that_comes_back_for_it(
    account: AcmeAccount, way: ShownWay, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is invalid as soon as one name is; the others' answers are not read by then."""
    monkeypatch.setattr(proving, "_PATIENCE", -1.0)
    row = order(want(account, MAIL, NOWHERE))
    runner.advance_order(row.pk)
    wait_until_invalid(account, row)
    row = work(row)
    assert row.problem is not None
    assert row.problem["code"] == "acme.names_refused"
    assert row.problem["params"]["names"] == NOWHERE
    assert row.events.filter(name=NOWHERE, severity="error").count() == 1
    assert wire.orders_made == 1


def wait_until_invalid(account: AcmeAccount, row: AcmeOrder) -> None:
    account.refresh_from_db()
    row.refresh_from_db()
    with connect(account) as client:
        poll(
            lambda: client.read_order(row.order_url),
            lambda state: state.status == "invalid",
            at_most=60.0,
        )


def test_after_four_failures_a_name_is_left_out_and_that_is_said(
    pebble: RunningAuthority, account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    flaky = "flaky.example.test"
    pebble.dns.set_addresses(flaky, "127.0.0.1")
    wanted = want(account, MAIL, flaky)
    first = work(order(wanted))
    pebble.dns.set_addresses(flaky, "127.0.0.77")
    forget_proofs(account, first)
    wanted.refresh_from_db()
    now = wanted.next_attempt_at
    delays = []
    for _ in range(4):
        assert now is not None
        row = renew_due(now)
        assert row.names == [MAIL, flaky]
        assert row.status == Status.FAILED
        wanted.refresh_from_db()
        assert row.finished_at is not None
        now = wanted.next_attempt_at
        assert now is not None
        delays.append((now - row.finished_at).total_seconds() / 60)
        assert wanted.certificate == first.certificate
    for delay, wish in zip(delays, (1, 10, 100, 1440), strict=True):
        assert wish - 0.1 <= delay <= 1.11 * wish
    last = renew_due(wanted.next_attempt_at)
    assert last.names == [MAIL]
    assert last.status == Status.ISSUED, last.problem
    assert last.events.get(code="acme.name_left_out").name == flaky
    wanted.refresh_from_db()
    assert wanted.failures == 0
    # The next one asks for all again.
    assert wanted.next_attempt_at is not None
    pebble.dns.set_addresses(flaky, "127.0.0.1")
    assert renew_due(wanted.next_attempt_at).names == [MAIL, flaky]


def forget_proofs(account: AcmeAccount, row: AcmeOrder) -> None:
    """Give the proofs of an order up: a Pebble that is not to use them again does so at times."""
    account.refresh_from_db()
    with connect(account) as client:
        for url in row.authorizations.values_list("authorization_url", flat=True):
            client.deactivate_authorization(url)


def renew_due(now: datetime | None) -> AcmeOrder:
    assert now is not None
    assert runner.order_due(now - timedelta(seconds=1)) == []
    (made,) = runner.order_due(now)
    return work(AcmeOrder.objects.get(pk=made))


def test_an_authority_away_before_the_order_costs_attempts_and_no_order(
    account: AcmeAccount, way: ShownWay, wire: Wire, pebble: RunningAuthority
) -> None:
    wanted = want(account, MAIL)
    pebble.pebble.program.kill()
    row = work(order(wanted))
    assert row.status == Status.FAILED
    assert row.problem is not None
    assert row.problem["code"] == "ca.unreachable"
    for _ in range(4):
        wanted.refresh_from_db()
        assert renew_due(wanted.next_attempt_at).status == Status.FAILED
    pebble.start_again()
    wanted.refresh_from_db()
    assert wanted.failures == 5
    assert_issued(renew_due(wanted.next_attempt_at), wire)


def test_an_authority_away_after_the_request_was_handed_in_is_waited_for(
    account: AcmeAccount, way: ShownWay, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not killed in earnest: a Pebble forgets everything, and it is the same order that counts."""
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks, "send", lambda *args, **more: sent.append((args[1:], more)))

    def be_away(_url: str) -> None:
        if any("finalize-order" in request for request in wire.requests):
            raise AcmeFailure(Problem("ca.unreachable", params={"host": "ca", "detail": "refused"}))

    wire.before = be_away
    row = order(want(account, MAIL))
    tasks.advance_order(row.pk)
    waits = []
    for _ in range(5):
        row.refresh_from_db()
        assert row.status == Status.RUNNING
        assert row.resume_at is not None
        waits.append((row.resume_at - timezone.now()).total_seconds() / 60)
        # Too early: a message that came twice asks nobody.
        asked = len(wire.requests)
        assert runner.advance_order(row.pk) is None
        assert len(wire.requests) == asked
        be_time(row)
        tasks.advance_order(row.pk)
    for wait, wish in zip(waits, (1, 10, 100, 1440, 1440), strict=True):
        assert wish - 0.2 < wait <= 1.11 * wish
    # Longer than a minute, and Redis would deliver it twice.
    assert all(more["countdown"] <= 60 for _, more in sent)
    assert told(row).count("ca.unreachable") == 1
    wire.before = lambda _url: None
    assert_issued(work(row), wire)


def hand_in(account: AcmeAccount, wire: Wire) -> AcmeOrder:
    """Return an order whose request is handed in, and whose authority went away after that."""

    def be_away(_url: str) -> None:
        if any("finalize-order" in request for request in wire.requests):
            raise AcmeFailure(Problem("ca.unreachable", params={"host": "ca", "detail": "refused"}))

    wire.before = be_away
    row = order(want(account, MAIL))
    runner.advance_order(row.pk)
    row.refresh_from_db()
    assert row.is_handed_in
    assert row.problem is not None
    assert row.problem["code"] == "ca.unreachable"
    return row


def test_a_renewal_asked_for_while_one_is_handed_in_goes_on_with_that(
    account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    row = hand_in(account, wire)
    assert runner.advance_order(row.pk) is None
    wire.before = lambda _url: None
    again = request_order(
        actor=make_actor(), acme_certificate=row.acme_certificate, trigger="forced"
    )
    assert again == row
    runner.advance_order(row.pk)
    row.refresh_from_db()
    assert_issued(row, wire)
    assert row.problem is None


def test_one_that_is_handed_in_is_given_up_with_its_key_and_not_ordered_again_at_once(
    account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    row = hand_in(account, wire)
    wanted = row.acme_certificate
    before = timezone.now()
    AcmeCertificate.objects.update(next_attempt_at=before)
    with claiming.claimed(row.pk, before + timedelta(hours=1)), pytest.raises(ChangeRefusedError):
        cancel_order(actor=make_actor(), order=row)
    keys = PrivateKey.objects.count()
    cancel_order(actor=make_actor(), order=row)
    runner.clean_up_order(row.pk)
    assert_clean(way)
    row.refresh_from_db()
    wanted.refresh_from_db()
    assert row.status == Status.CANCELLED
    assert told(row)[-1] == "acme.given_up_handed_in"
    assert PrivateKey.objects.count() == keys - 1
    assert not CertificateSigningRequest.objects.filter(status="pending").exists()
    assert runner.order_due(before + timedelta(hours=23)) == []
    wire.before = lambda _url: None
    assert runner.advance_order(row.pk) is None
    assert_issued(renew_due(wanted.next_attempt_at), wire, orders=2)


def test_without_the_master_key_nothing_handed_in_is_lost(
    account: AcmeAccount,
    way: ShownWay,
    wire: Wire,
    tmp_path: Path,
    settings: Any,
) -> None:
    row = hand_in(account, wire)
    wire.before = lambda _url: None
    there, settings.MASTER_KEY_FILE = settings.MASTER_KEY_FILE, tmp_path / "missing"
    for _ in range(3):
        be_time(row)
        assert runner.advance_order(row.pk) is not None
        row.refresh_from_db()
        assert row.status == Status.RUNNING
        assert row.problem is not None
        assert row.problem["code"] == "custody.master_key_missing"
        assert CertificateSigningRequest.objects.filter(status="pending").count() == 1
    assert told(row).count("custody.master_key_missing") == 1
    settings.MASTER_KEY_FILE = there
    assert_issued(work(row), wire)


def test_without_the_master_key_no_order_is_begun(
    account: AcmeAccount, way: ShownWay, wire: Wire, tmp_path: Path, settings: Any
) -> None:
    settings.MASTER_KEY_FILE = tmp_path / "missing"
    row = work(order(want(account, MAIL)))
    assert row.status == Status.FAILED
    assert row.problem is not None
    assert row.problem["code"] == "custody.master_key_missing"
    assert wire.orders_made == 0


@pytest.mark.parametrize("phase", ["/order-plz", "/authZ/", "/chalZ/", "/finalize", "/certZ/"])
def test_an_authority_that_forgets_everything_is_ordered_from_anew(
    phase: str, account: AcmeAccount, way: ShownWay, wire: Wire, pebble: RunningAuthority
) -> None:
    def restart(url: str) -> None:
        if phase in url:
            wire.before = lambda _url: None
            pebble.restart()

    work(order(want(account, "other.example.test")))
    wire.orders_made = 0
    wire.before = restart
    row = work(order(want(account, MAIL)))
    assert_issued(row, wire, orders=1 if phase == "/order-plz" else 2)
    assert "acme.ordered_anew" in told(row)
    assert_clean(way)
    assert PrivateKey.objects.count() == 3


def test_an_order_that_expired_is_made_anew(
    account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    row = order(want(account, MAIL))
    with wire.dying_after(9):
        runner.advance_order(row.pk)
    wire.is_dead = False
    row.refresh_from_db()
    account.refresh_from_db()
    assert row.order_url
    with connect(account) as client:
        for url in client.read_order(row.order_url).authorization_urls:
            client.deactivate_authorization(url)
    let_lease_run_out(row)
    AcmeOrder.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(hours=1))
    assert_issued(work(row), wire, orders=2)
    assert told(row).count("acme.ordered_anew") == 1
    assert_clean(way)


def test_an_order_given_up_in_the_middle_leaves_nothing(
    account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    row = order(want(account, MAIL))

    def give_up(_token: str) -> None:
        cancel_order(actor=make_actor(), order=row)
        # Its own worker takes away what it sees before this one has gone on.
        runner.clean_up_order(row.pk)
        way.authority.web.answers["late"] = "late"
        way.authority.web.answers.pop("late")

    way.after = give_up
    assert runner.advance_order(row.pk) is None
    row.refresh_from_db()
    assert row.status == Status.CANCELLED
    assert row.problem is None
    assert not any("chalZ" in request for request in wire.requests)
    assert_clean(way)


def test_what_is_presented_after_the_order_was_given_up_is_taken_away(
    account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    row = order(want(account, MAIL))
    cancelled = []

    def give_up(token: str) -> None:
        if not cancelled:
            cancelled.append(token)
            cancel_order(actor=make_actor(), order=row)
            runner.clean_up_order(row.pk)
            way.present(token, "written in the same moment", 1)

    way.after = give_up
    runner.advance_order(row.pk)
    assert_clean(way)


def test_a_worker_that_lost_its_lease_writes_nothing_more(
    account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    row = order(want(account, MAIL))
    thief = uuid.uuid4()

    def steal(_token: str) -> None:
        AcmeOrder.objects.filter(pk=row.pk).update(lease=thief)

    way.after = steal
    assert runner.advance_order(row.pk) is None
    row.refresh_from_db()
    assert row.lease == thief
    assert row.authorizations.get().status == "pending"
    way.after = lambda _token: None
    let_lease_run_out(row)
    assert_issued(work(row), wire)


def test_a_message_that_comes_twice_finds_the_order_in_other_hands(
    account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    row = order(want(account, MAIL))
    answers = []
    way.after = lambda _token: answers.append(runner.advance_order(row.pk))
    assert_issued(work(row), wire)
    assert answers == [None]
    assert runner.advance_order(row.pk) is None


def test_a_proof_that_cannot_be_taken_away_is_tried_again(
    account: AcmeAccount, way: ShownWay, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    way.is_refusing_withdrawal = True
    row = work(order(want(account, MAIL)))
    assert_issued(row, wire)
    assert way.authority.web.answers
    now = timezone.now()
    assert selectors.uncleaned_orders(now) == []
    assert selectors.uncleaned_orders(now + timedelta(minutes=1)) == [row.pk]
    way.is_refusing_withdrawal = False
    runner.clean_up_order(row.pk)
    assert_clean(way)
    assert selectors.uncleaned_orders(now + timedelta(minutes=1)) == []


def test_a_busy_database_ends_no_order(
    account: AcmeAccount, way: ShownWay, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_locked(*_args: Any) -> None:
        raise OperationalError("database is locked")

    row = order(want(account, MAIL))
    with monkeypatch.context() as patch:
        patch.setattr(ordering, "close_issued", be_locked)
        assert runner.advance_order(row.pk) is None
    row.refresh_from_db()
    assert row.status == Status.RUNNING
    assert_issued(work(row), wire)


def test_a_fault_of_our_own_ends_the_order_and_is_tried_again(
    account: AcmeAccount, way: ShownWay, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordering, "obtain_csr", lambda *_args, **_more: 1 / 0)
    row = work(order(want(account, MAIL)))
    assert row.status == Status.FAILED
    assert row.problem is not None
    assert row.problem["code"] == "acme.fault"
    assert_clean(way)


def test_a_fault_of_our_own_after_the_request_is_handed_in_costs_no_key(
    account: AcmeAccount, way: ShownWay, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = order(want(account, MAIL))
    with monkeypatch.context() as patch:
        patch.setattr(ordering, "close_issued", lambda *_args, **_more: 1 / 0)
        paused = runner.advance_order(row.pk)
    row.refresh_from_db()
    assert paused is not None
    assert row.status == Status.RUNNING
    assert row.problem is not None
    assert row.problem["code"] == "acme.fault"
    assert_issued(work(row), wire)
    assert row.restarts == 0


def test_two_certificates_of_one_account_do_not_disturb_each_other(
    account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    one, other = order(want(account, MAIL)), order(want(account, MAIL, IMAP))
    done = []

    def interrupt(_token: str) -> None:
        way.after = lambda _token: None
        done.append(work(other))

    way.after = interrupt
    row = work(one)
    assert row.status == done[0].status == Status.ISSUED
    assert wire.orders_made == 2
    assert_clean(way)


def test_a_hundred_names(account: AcmeAccount, way: ShownWay, wire: Wire) -> None:
    names = [f"n{number}.example.test" for number in range(100)]
    assert_issued(work(order(want(account, *names))), wire)
    assert_clean(way)


@pytest.mark.parametrize("kind", ["rsa-2048", "ecdsa-p384"])
def test_the_key_is_of_the_kind_that_is_wanted(
    kind: str, account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    row = work(order(want(account, MAIL, key_kind=kind)))
    assert_issued(row, wire)
    assert row.certificate is not None
    key = load_private_key(open_key_pem(row.certificate.private_key).encode())
    assert key.key_size == int(kind[-4:].lstrip("p").lstrip("-p"))


@pytest.mark.parametrize(("choice", "is_kept"), [("keep", True), ("new", False), ("auto", False)])
def test_a_renewal_keeps_the_key_or_draws_a_new_one(
    choice: str, is_kept: bool, account: AcmeAccount, way: ShownWay, wire: Wire
) -> None:
    wanted = want(account, MAIL, key_choice=choice)
    first = work(order(wanted)).certificate
    second = work(order(wanted, "forced")).certificate
    assert first is not None
    assert second is not None
    assert first.fingerprint != second.fingerprint
    assert (first.private_key == second.private_key) is is_kept
    # The DNS of the tests and the demo does not know TLSA records.
    said = AcmeEvent.objects.filter(code="acme.tlsa_unknown_to_servers")
    assert said.exists() is (choice == "auto")
    assert CertificateSigningRequest.objects.filter(renews=first).count() == 1


def test_a_lease_that_becomes_short_is_written_anew(account: AcmeAccount, way: ShownWay) -> None:
    row = order(want(account, MAIL))
    with claiming.claimed(row.pk, timezone.now()) as mine:
        assert mine is not None
        claiming.hold(mine)
        long = mine.leased_until
        mine.leased_until = timezone.now() + timedelta(seconds=30)
        claiming.hold(mine)
        assert long is not None
        assert mine.leased_until > long
        AcmeOrder.objects.filter(pk=row.pk).update(status=Status.CANCELLED)
        mine.leased_until = timezone.now()
        with pytest.raises(claiming.OrderLostError):
            claiming.hold(mine)


def test_no_secret_is_told_anywhere(
    account: AcmeAccount,
    way: ShownWay,
    wire: Wire,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    sent: list[Any] = []
    monkeypatch.setattr(tasks, "send", lambda *args, **more: sent.append((args[1:], more)))
    good = order(want(account, MAIL))
    tasks.advance_order(good.pk)
    work(good)
    work(order(want(account, NOWHERE)))
    public = json.dumps(
        [
            list(AcmeEvent.objects.values("code", "params")),
            list(AuditEvent.objects.values("before", "after", "evidence")),
            list(AcmeOrder.objects.values("problem", "actor")),
            list(AcmeAuthorization.objects.values("problem")),
            sent,
            caplog.text,
        ],
        default=str,
    )
    assert "PRIVATE KEY" not in public
    for key in PrivateKey.objects.all():
        lines = open_key_pem(key).splitlines()
        assert not any(line in public for line in lines[1:-1])
