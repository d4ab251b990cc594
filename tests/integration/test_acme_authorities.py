"""Orders at authorities of other manners: nonces refused, proofs reused, bound accounts, ARI."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from mailadmin.acme import runner
from mailadmin.acme.client import AcmeFailure, Authority
from mailadmin.acme.models import AcmeAccount, AcmeCertificate, AcmeOrder
from mailadmin.acme.runner import accounts, preflighting
from mailadmin.acme.runner.accounts import connect
from mailadmin.acme.services.accounts import change_contact, deactivate_account, roll_key
from mailadmin.acme.services.orders import request_order
from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.custody import seal_key
from mailadmin.certificates.models import PrivateKey
from mailadmin.demo.authority import Options
from mailadmin.issuance.renewal_info import renewal_id
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.keys import KeyKind, generate_key, private_key_to_pem
from mailadmin.servers.errors import ChangeRefusedError
from tests.acme_clients import registered
from tests.acme_engine import (
    Killed,
    Wire,
    answering,
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

MAIL = "mail.example.test"
EAB_KEY = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
OTHER_KEY = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
Status = AcmeOrder.Status


@pytest.fixture(scope="module")
def difficult() -> Iterator[RunningAuthority]:
    """Yield Debian's Pebble (ARI only since 13): every second nonce refused, proofs used again."""
    with run_authority(Options(rejected_nonces=50, reused_authorizations=100)) as running:
        yield running


@pytest.fixture(scope="module")
def binding() -> Iterator[RunningAuthority]:
    with run_authority(Options(eab_keys={"kid-1": EAB_KEY})) as running:
        yield running


@pytest.fixture(scope="module")
def newer() -> Iterator[RunningAuthority]:
    with run_authority(executable=find_newer_pebble()) as running:
        yield running


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Wire:
    settings.IS_PRIVATE_ACME_ALLOWED = True
    return watch_wire(monkeypatch)


@pytest.fixture(autouse=True)
def resolvers(request: pytest.FixtureRequest, settings: Any) -> None:
    """Ask the DNS of whichever authority the test is about."""
    for name in ("difficult", "binding", "newer"):
        if name in request.fixturenames:
            settings.DNS_RESOLVERS = [request.getfixturevalue(name).dns.address]


def run_errand(account: AcmeAccount) -> AcmeAccount:
    runner.run_errand(account.pk)
    account.refresh_from_db()
    return account


def test_refused_nonces_and_proofs_from_before_are_no_trouble(
    difficult: RunningAuthority, wire: Wire
) -> None:
    account = run_errand(make_account(difficult))
    with answering(difficult) as way:
        first = work(order(want(account, MAIL)))
        presented = len(way.presented)
        second = work(order(first.acme_certificate, "forced"))
        assert len(way.presented) == presented == 1
    assert first.status == second.status == Status.ISSUED
    assert wire.orders_made == 2
    assert any("400" in request[-4:] for request in wire.requests)
    proof = second.authorizations.get()
    assert proof.is_reused
    assert proof.status == "valid"
    assert "acme.name_valid_already" in told(second)


def test_an_account_is_bound_with_the_right_key(binding: RunningAuthority, wire: Wire) -> None:
    account = run_errand(make_account(binding, eab_key_id="kid-1", eab_secret=EAB_KEY))
    assert account.problem is None
    assert account.status == "valid"
    with answering(binding):
        assert work(order(want(account, MAIL))).status == Status.ISSUED


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"eab_key_id": "kid-1", "eab_secret": OTHER_KEY},
        {"eab_key_id": "kid-2", "eab_secret": EAB_KEY},
    ],
    ids=["missing", "wrong key", "unknown id"],
)
def test_an_account_that_is_not_bound_is_refused_in_words(
    values: dict[str, str], binding: RunningAuthority, wire: Wire
) -> None:
    account = run_errand(make_account(binding, **values))
    assert account.status == "new"
    assert account.errand == ""
    assert account.problem is not None
    row = work(order(want(account, MAIL)))
    assert row.status == Status.FAILED
    assert row.problem == account.problem
    assert wire.orders_made == 0
    public = repr(list(AuditEvent.objects.values())) + repr(account.problem) + repr(told(row))
    assert EAB_KEY not in public
    assert OTHER_KEY not in public


# Accounts


def test_the_contact_is_changed_there_too(newer: RunningAuthority, wire: Wire) -> None:
    account = run_errand(make_account(newer))
    change_contact(actor=make_actor(), account=account, contact="ada@example.test")
    account = run_errand(account)
    assert account.problem is None
    assert account.errand == ""


def test_a_key_is_rolled_over_even_if_the_worker_is_killed_after_the_answer(
    newer: RunningAuthority, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = run_errand(make_account(newer))
    url, old = account.account_url, account.private_key_id
    roll_key(actor=make_actor(), account=account)
    account.refresh_from_db()
    fresh = account.next_private_key_id
    assert fresh is not None
    real = Authority.roll_key

    def roll_and_die(self: Authority, key_pem: str) -> None:
        real(self, key_pem)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Authority, "roll_key", roll_and_die)
        with pytest.raises(Killed):
            runner.run_errand(account.pk)
    account.refresh_from_db()
    assert account.private_key_id == old
    account = run_errand(account)
    assert account.problem is None
    assert (account.private_key_id, account.next_private_key_id) == (fresh, None)
    assert not PrivateKey.objects.filter(pk=old).exists()
    assert account.account_url == url
    with answering(newer):
        assert work(order(want(account, MAIL))).status == Status.ISSUED


def test_a_key_is_not_rolled_over_under_an_order_and_no_order_begins_meanwhile(
    newer: RunningAuthority, wire: Wire, settings: Any
) -> None:
    settings.DNS_RESOLVERS = [newer.dns.address]
    account = run_errand(make_account(newer))
    old = account.private_key_id
    with answering(newer) as way:
        row = order(want(account, MAIL))

        def replace_key(_token: str) -> None:
            """Ask while the order is open; and as if it had been asked a moment before that."""
            with pytest.raises(ChangeRefusedError) as refused:
                roll_key(actor=make_actor(), account=account)
            assert refused.value.problems[0].code == "acme.account_has_open_order"
            AcmeAccount.objects.update(errand="roll_over", next_private_key=old)
            runner.run_errand(account.pk)
            AcmeAccount.objects.update(next_private_key=None)

        way.after = replace_key
        assert work(row).status == Status.ISSUED
        account.refresh_from_db()
        assert (account.private_key_id, account.errand) == (old, "")
        assert account.problem is not None
        assert account.problem["code"] == "acme.account_has_open_order"
        way.after = lambda _token: None
        roll_key(actor=make_actor(), account=account)
        later = order(want(account, "later.example.test"))
        following = runner.advance_order(later.pk)
        assert following is not None
        assert following.seconds == 5.0
        account = run_errand(account)
        assert (account.problem, account.private_key_id == old) == (None, False)
        assert work(later).status == Status.ISSUED


def test_a_key_that_another_account_has_is_thrown_away_and_the_next_try_draws_one(
    newer: RunningAuthority, wire: Wire
) -> None:
    account = run_errand(make_account(newer))
    kept, url = account.private_key_id, account.account_url
    key = generate_key(KeyKind.ECDSA_P256)
    registered(newer, private_key_to_pem(key).decode()).close()
    taken = seal_key(key)
    AcmeAccount.objects.filter(pk=account.pk).update(next_private_key=taken)
    roll_key(actor=make_actor(), account=account)
    account = run_errand(account)
    assert account.problem is not None
    assert account.problem["code"] == "ca.key_taken"
    assert (account.private_key_id, account.next_private_key_id) == (kept, None)
    assert not PrivateKey.objects.filter(pk=taken.pk).exists()
    roll_key(actor=make_actor(), account=account)
    account = run_errand(account)
    assert account.problem is None
    assert account.account_url == url
    assert account.private_key_id != kept


def test_a_deactivated_account_orders_nothing_more(newer: RunningAuthority, wire: Wire) -> None:
    account = run_errand(make_account(newer))
    deactivate_account(actor=make_actor(), account=account)
    account = run_errand(account)
    assert account.status == "deactivated"
    with connect(account) as client, pytest.raises(AcmeFailure):
        client.new_order([MAIL])


def test_an_errand_while_the_authority_is_away_says_so(
    newer: RunningAuthority, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = make_account(newer, "Away")
    AcmeAccount.objects.filter(pk=account.pk).update(directory_url="https://127.0.0.1:9/dir")
    account = run_errand(account)
    assert account.problem is not None
    assert account.problem["code"] == "ca.unreachable"
    assert account.errand == ""
    monkeypatch.setitem(accounts._ERRANDS, "register", lambda _account: 1 / 0)
    AcmeAccount.objects.filter(pk=account.pk).update(errand="register")
    account.refresh_from_db()
    assert run_errand(account).problem == {
        "code": "acme.fault",
        "severity": "error",
        "subject": "",
        "params": {},
    }


# Renewal information (RFC 9773)


def issued(account: AcmeAccount, **values: Any) -> AcmeCertificate:
    wanted = want(account, MAIL, **values)
    row = work(order(wanted))
    assert row.status == Status.ISSUED, row.problem
    wanted.refresh_from_db()
    return wanted


def test_the_window_is_asked_for_and_the_moment_is_picked_once(
    newer: RunningAuthority, wire: Wire
) -> None:
    account = run_errand(make_account(newer))
    with answering(newer):
        wanted = issued(account)
        runner.ask_for_renewal_info(timezone.now())
        wanted.refresh_from_db()
        info = wanted.renewal_info
        start, end = (datetime.fromisoformat(info[name]) for name in ("start", "end"))
        assert start <= datetime.fromisoformat(info["picked_at"]) < end
        assert wanted.next_attempt_at == datetime.fromisoformat(info["picked_at"])
        assert wanted.events.filter(code="acme.window_told").count() == 1
        # Not before it is time, and then the same moment stays picked.
        asked = len(wire.requests)
        runner.ask_for_renewal_info(timezone.now())
        assert len(wire.requests) == asked
        runner.ask_for_renewal_info(timezone.now() + timedelta(days=2))
        assert len(wire.requests) > asked
        wanted.refresh_from_db()
        assert wanted.renewal_info["picked_at"] == info["picked_at"]
        assert wanted.events.filter(code="acme.window_told").count() == 1

        old = wanted.certificate
        assert old is not None
        (made,) = runner.order_due(datetime.fromisoformat(info["picked_at"]))
        row = AcmeOrder.objects.get(pk=made)
        assert row.trigger == "renewal_info"
        assert row.replaces_id == renewal_id(read_certificate(old.leaf_pem.encode()))
        assert work(row).status == Status.ISSUED
        assert wire.orders_made == 2
        wanted.refresh_from_db()
        assert wanted.renewal_info == {}


def test_whoever_asks_for_a_renewal_it_tells_what_it_replaces_and_costs_no_budget(
    newer: RunningAuthority, wire: Wire
) -> None:
    account = run_errand(make_account(newer))
    with answering(newer):
        wanted = issued(account)
        first = AcmeOrder.objects.get()
        second = request_order(actor=make_actor(), acme_certificate=wanted, trigger="forced")
        assert first.replaces_id == ""
        assert second.replaces_id
        assert work(second).status == Status.ISSUED
    wanted.refresh_from_db()
    # As if it was Let's Encrypt's, of whom the limits are known.
    known = "https://acme-v02.api.letsencrypt.org/directory"
    AcmeAccount.objects.update(directory_url=known)
    for _ in range(6):
        AcmeOrder.objects.create(
            acme_certificate=wanted,
            account=account,
            trigger="forced",
            names=wanted.names,
            status=Status.PROVEN,
            issued_at=timezone.now(),
        )
    wanted.account.refresh_from_db()
    assert preflighting._limit_problems(wanted) == []
    AcmeAccount.objects.update(about={})
    wanted.account.refresh_from_db()
    (problem,) = preflighting._limit_problems(wanted)
    assert problem.code == "acme.budget_same_names"


def test_what_an_authority_does_not_know_any_more_is_renewed_all_the_same(
    newer: RunningAuthority, wire: Wire
) -> None:
    account = run_errand(make_account(newer))
    with answering(newer):
        wanted = issued(account)
        newer.restart()
        assert wanted.next_attempt_at is not None
        (made,) = runner.order_due(wanted.next_attempt_at)
        row = AcmeOrder.objects.get(pk=made)
        assert row.replaces_id
        row = work(row)
    assert row.status == Status.ISSUED, (row.problem, told(row))


def test_an_authority_without_renewal_information_is_left_to_the_calendar(
    difficult: RunningAuthority, wire: Wire
) -> None:
    wire.unoffered = frozenset({"renewalInfo"})
    account = run_errand(make_account(difficult))
    with answering(difficult):
        wanted = issued(account)
    before = wanted.next_attempt_at
    runner.ask_for_renewal_info(timezone.now())
    wanted.refresh_from_db()
    assert wanted.next_attempt_at == before
    assert set(wanted.renewal_info) == {"ask_again_at"}
    assert before is not None
    (made,) = runner.order_due(before)
    assert AcmeOrder.objects.get(pk=made).replaces_id == ""


def test_after_three_failures_the_other_authority_is_asked_and_is_not_told_what_it_replaces(
    newer: RunningAuthority, difficult: RunningAuthority, wire: Wire, settings: Any
) -> None:
    account = run_errand(make_account(newer))
    other = run_errand(make_account(difficult, "Other"))
    # As if it had them, too.
    AcmeAccount.objects.filter(pk=other.pk).update(about={"has_renewal_info": True})
    with answering(newer):
        wanted = issued(account, fallback_account=other)
    now = wanted.next_attempt_at
    assert now is not None
    newer.pebble.program.kill()
    used = []
    try:
        for _ in range(3):
            (made,) = runner.order_due(now)
            used.append(work(AcmeOrder.objects.get(pk=made)).account.title)
            wanted.refresh_from_db()
            now = wanted.next_attempt_at
            assert now is not None
    finally:
        newer.start_again()
    assert used == ["Pebble"] * 3
    (made,) = runner.order_due(now)
    row = AcmeOrder.objects.get(pk=made)
    assert row.account == other
    assert row.replaces_id == ""
    with answering(difficult):
        assert work(row).status == Status.ISSUED
    # Who issued it is asked when to renew it.
    wire.requests.clear()
    runner.ask_for_renewal_info(timezone.now())
    assert any(difficult.pebble.directory_url in request for request in wire.requests)
    assert not any(newer.pebble.directory_url in request for request in wire.requests)
    # The next renewal goes to the first one again, which does not know this certificate.
    wanted.refresh_from_db()
    assert wanted.next_attempt_at is not None
    (made,) = runner.order_due(wanted.next_attempt_at)
    row = AcmeOrder.objects.get(pk=made)
    assert row.account == account
    assert row.replaces_id == ""
