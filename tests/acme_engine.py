"""The engine of orders as the tests drive it: real authorities, and workers that die anywhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from mailadmin.acme import runner, selectors
from mailadmin.acme.client import resources
from mailadmin.acme.client.transport import Answer, Transport
from mailadmin.acme.models import AcmeAccount, AcmeCertificate, AcmeOrder
from mailadmin.acme.runner import ordering, placing, proving
from mailadmin.acme.runner.inserting import insert_order
from mailadmin.acme.services.accounts import add_account
from mailadmin.audit.actors import Actor
from mailadmin.deployments import runner as deployments_runner
from tests.acme_factories import make_acme_certificate
from tests.authorities import RunningAuthority
from tests.factories import make_actor

_MOST_RUNS = 40
Status = AcmeOrder.Status


class Killed(BaseException):
    """A worker ends here, as by ``kill -9``: nothing it still wanted to do is done."""


@dataclass
class ShownWay:
    """Answers http-01 through the web server that the authority of the tests looks at."""

    authority: RunningAuthority
    presented: list[str] = field(default_factory=list)
    # Called with each that is presented.
    after: Callable[[str], None] = lambda _token: None
    is_refusing_withdrawal: bool = False

    def present(self, token: str, key_authorization: str, _seconds: int) -> None:
        self.presented.append(token)
        self.authority.web.answers[token] = key_authorization
        self.after(token)

    def withdraw(self, token: str) -> None:
        if self.is_refusing_withdrawal:
            raise OSError("the agent is away")
        self.authority.web.answers.pop(token, None)


@dataclass
class Wire:
    """Every request to the authority, and the moment at which a worker is killed."""

    orders_made: int = 0
    requests: list[str] = field(default_factory=list)
    # After so many writes and answers the worker dies; ``None``: never.
    dies_after: int | None = None
    # They are counted from the first answer to a request for such an address on.
    counted_from: str = ""
    passed: int = 0
    is_dead: bool = False
    # Called before each request.
    before: Callable[[str], None] = lambda _url: None
    # What is taken out of every directory, as if the authority were one that does not have it.
    unoffered: frozenset[str] = frozenset()

    def pass_point(self) -> None:
        """Note that something was done that the next worker cannot see the consequences of."""
        if self.is_dead:
            raise Killed
        if self.counted_from:
            return
        self.passed += 1
        if self.dies_after is not None and self.passed > self.dies_after:
            self.is_dead = True
            raise Killed

    @contextmanager
    def dying_after(self, count: int, *, counted_from: str = "") -> Iterator[None]:
        self.dies_after, self.passed, self.is_dead = count, 0, False
        self.counted_from = counted_from
        try:
            with connection.execute_wrapper(self._on_statement):
                yield
        except Killed:
            pass
        finally:
            self.dies_after = None

    def _on_statement(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        verb = sql.split(None, 1)[0].upper()
        # Inside a transaction a kill undoes all of it: only its begin is a moment of its own.
        is_write = verb in {"INSERT", "UPDATE", "DELETE"} and not connection.in_atomic_block
        if self.is_dead and verb in {"INSERT", "UPDATE", "DELETE", "BEGIN"}:
            raise Killed
        if is_write or verb == "BEGIN":
            self.pass_point()
        return execute(sql, params, many, context)


def watch_wire(patch: pytest.MonkeyPatch) -> Wire:
    """Count what is asked of authorities, and do not wait as long as they would like."""
    wire = Wire()
    send = Transport._send

    def sent(self: Transport, method: str, url: str, *rest: Any) -> Answer:
        if wire.is_dead and wire.dies_after is not None:
            raise Killed
        wire.before(url)
        answer = send(self, method, url, *rest)
        if wire.unoffered and url.endswith("/dir"):
            answer = _without(answer, wire.unoffered)
        wire.requests.append(f"{method} {url} {answer.status}")
        if url.endswith("/order-plz") and answer.status == 201:
            wire.orders_made += 1
        if wire.counted_from in url:
            wire.counted_from = ""
        if wire.dies_after is not None:
            wire.pass_point()
        return answer

    patch.setattr(Transport, "_send", sent)
    patch.setattr(resources, "read_retry_after", lambda _answer: None)
    for module in (ordering, proving):
        patch.setattr(module, "time", _Hurried)
    return wire


def _without(answer: Answer, names: frozenset[str]) -> Answer:
    kept = {name: url for name, url in json.loads(answer.body).items() if name not in names}
    return replace(answer, body=json.dumps(kept).encode("ascii"))


class _Hurried:
    """The clock of the engine, with shorter pauses."""

    monotonic = staticmethod(time.monotonic)

    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(min(seconds, 0.02))


# Accounts and orders


def make_account(authority: RunningAuthority, title: str = "Pebble", **values: Any) -> AcmeAccount:
    """Return an account that is kept here and not registered yet."""
    return add_account(
        actor=make_actor(),
        title=title,
        directory_url=authority.pebble.directory_url,
        ca_bundle=authority.pebble.root_pem,
        contact="postmaster@example.test",
        terms_url="data:text/plain,do what thou wilt",
        **values,
    )


def want(account: AcmeAccount, *names: str, **values: Any) -> AcmeCertificate:
    """Return a certificate that is to be had from the account's authority."""
    return make_acme_certificate(
        *names, account=account, http_way=AcmeCertificate.HttpWay.PANEL, **values
    )


def order(wanted: AcmeCertificate, trigger: str = "first", **values: Any) -> AcmeOrder:
    """Return an order that waits for a worker."""
    fields: dict[str, Any] = {
        "actor": Actor.system("renewal"),
        "account": wanted.account,
        "names": wanted.names,
        **values,
    }
    wanted.refresh_from_db()
    row = insert_order(acme_certificate=wanted, trigger=AcmeOrder.Trigger(trigger), **fields)
    assert row is not None
    return row


def let_lease_run_out(row: AcmeOrder) -> None:
    """Let the time pass after which a dead worker's order is anybody's; beat must see it then."""
    AcmeOrder.objects.filter(pk=row.pk).exclude(lease=None).update(
        leased_until=timezone.now() - timedelta(seconds=1)
    )
    later = timezone.now() + timedelta(minutes=3)
    row.refresh_from_db()
    if row.status in AcmeOrder.UNDER_WAY:
        assert row.pk in selectors.abandoned_orders(later)


def be_time(row: AcmeOrder) -> None:
    """Let the moment come at which the order goes on."""
    AcmeOrder.objects.filter(pk=row.pk).update(resume_at=timezone.now())


def work(row: AcmeOrder, *, until: Callable[[AcmeOrder], bool] | None = None) -> AcmeOrder:
    """Do what workers do until the order ended, or until it is as wanted."""
    for _ in range(_MOST_RUNS):
        be_time(row)
        runner.advance_order(row.pk)
        row.refresh_from_db()
        if row.is_finished or (until is not None and until(row)):
            return row
        if row.status == Status.DEPLOYING and row.deployment_id is not None:
            deployments_runner.run_deployment(row.deployment_id)
    raise AssertionError(f"the order is {row.status}: {told(row)}")


def told(row: AcmeOrder) -> list[str]:
    """Return the codes of the timeline, the oldest first."""
    return list(row.events.order_by("pk").values_list("code", flat=True))


@contextmanager
def answering(authority: RunningAuthority) -> Iterator[ShownWay]:
    """Let what the engine presents be seen by the authority."""
    way = ShownWay(authority)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placing, "find_way", lambda _wanted: way)
        yield way
