"""A process that does jobs on the panel's database, each in several threads at the same moment.

Started by :mod:`tests.integration.databases`, which speaks to it in lines of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import django

django.setup()

from django.core.cache import cache  # noqa: E402  # after the setup, like all below
from django.db import connection, transaction  # noqa: E402
from django.db.models import Count  # noqa: E402
from django.utils import timezone  # noqa: E402

from mailadmin.accounts.roles import Role  # noqa: E402
from mailadmin.acme.models import AcmeCertificate, AcmeOrder  # noqa: E402
from mailadmin.acme.runner.claiming import claimed, keep  # noqa: E402
from mailadmin.acme.runner.inserting import insert_order  # noqa: E402
from mailadmin.audit.models import AuditEvent  # noqa: E402
from mailadmin.certificates.custody import open_key_pem, seal_key  # noqa: E402
from mailadmin.certificates.models import Certificate, PrivateKey  # noqa: E402
from mailadmin.certificates.sealed_uploads import KeptUpload, open_upload, seal_upload  # noqa: E402
from mailadmin.deployments.models import Deployment, Plan  # noqa: E402
from mailadmin.deployments.runner import applying  # noqa: E402
from mailadmin.deployments.services import next_number, request_deployment  # noqa: E402
from mailadmin.listeners.selectors import find_listener  # noqa: E402
from mailadmin.listeners.services.assignment import assign_certificate, bind_name  # noqa: E402
from mailadmin.listeners.services.editing import (  # noqa: E402
    change_listener,
    disable_listener,
    enable_listener,
)
from mailadmin.mailconf.services import SERVICES  # noqa: E402
from mailadmin.notifications.models import Delivery, Notice  # noqa: E402
from mailadmin.notifications.runner import deliver, evaluate  # noqa: E402
from mailadmin.notifications.selectors import due_deliveries  # noqa: E402
from mailadmin.pki.keys import KeyKind, generate_key  # noqa: E402
from mailadmin.servers.errors import ChangeRefusedError  # noqa: E402
from mailadmin.servers.models import MailServer  # noqa: E402
from mailadmin.servers.services import change_server, lock_server  # noqa: E402
from tests.acme_factories import make_acme_certificate  # noqa: E402
from tests.deployment_factories import make_deployment, make_plan  # noqa: E402
from tests.factories import make_actor, make_user  # noqa: E402
from tests.notification_factories import make_webhook  # noqa: E402
from tests.server_factories import make_certificate, make_server  # noqa: E402
from tests.unit.deployments.conftest import ScriptedAgent  # noqa: E402

ACTOR = make_actor()
_MOST_KEYS = 20  # per thread
Job = Callable[..., Any]
JOBS: dict[str, Job] = {}


def job(function: Job) -> Job:
    """Make the function one that can be asked for by its name; it is told its number first."""
    JOBS[function.__name__] = function
    return function


def _listener(server: int, service: str) -> Any:
    listener = find_listener(MailServer.objects.get(pk=server), service)
    assert listener is not None
    return listener


# To begin with, and to look at the end


@job
def prepare(_number: int) -> dict[str, Any]:
    """Store a mail server with all its listeners and two more certificates."""
    server = make_server()
    certificates = [make_certificate(f"{name}.example.org") for name in ("one", "two")]
    return {"server": server.pk, "certificates": [item.pk for item in certificates]}


@job
def queue(_number: int, server: int, count: int) -> list[int]:
    """Store deployments that wait."""
    row = MailServer.objects.get(pk=server)
    waiting = Deployment.Status.QUEUED
    return [make_deployment(row, status=waiting, plan_digest="d" * 64).pk for _ in range(count)]


@job
def plan(_number: int, server: int) -> int:
    """Store a plan that can be applied."""
    return make_plan(MailServer.objects.get(pk=server)).pk


@job
def finish(_number: int, server: int) -> int:
    """End every deployment that waits or runs; returns how many there were."""
    rows = Deployment.objects.filter(server=server, status__in=["queued", "running"])
    return rows.update(status=Deployment.Status.SUCCEEDED)


@job
def listeners(_number: int, server: int) -> dict[str, dict[str, Any]]:
    """Return what is stored of each listener."""
    rows = MailServer.objects.get(pk=server).listeners.values("service", "port", "is_enabled")
    return {row["service"]: row for row in rows}


@job
def deployments(_number: int, server: int) -> list[dict[str, Any]]:
    """Return number, status and steps of each deployment."""
    rows = Deployment.objects.filter(server=server).order_by("number")
    return [
        {"number": row.number, "status": row.status, "steps": row.steps.count()} for row in rows
    ]


@job
def bindings(_number: int, server: int) -> list[str]:
    """Return the host names with a certificate of their own."""
    rows = MailServer.objects.get(pk=server).sni_bindings
    return list(rows.values_list("host_name", flat=True))


@job
def events(_number: int, **conditions: Any) -> list[dict[str, Any]]:
    """Return before and after of the events, oldest first."""
    rows = AuditEvent.objects.filter(**conditions).order_by("pk")
    return list(rows.values("verb", "object_id", "before", "after"))


# What people and workers do at once


@job
def move_own_port(number: int, server: int, rounds: int) -> int:
    """Change the port of the listener of this number again and again; returns the last one."""
    service = list(SERVICES)[number]
    for turn in range(1, rounds + 1):
        change_listener(actor=ACTOR, listener=_listener(server, service), port=1000 * turn + number)
    return 1000 * rounds + number


@job
def edit_one_listener(number: int, server: int, rounds: int) -> None:
    """Edit the same listener as everybody: even numbers switch it, odd ones move it."""
    for turn in range(rounds):
        listener = _listener(server, "submission")
        if number % 2:
            change_listener(actor=ACTOR, listener=listener, port=20_000 + 100 * number + turn)
        else:
            switch = disable_listener if listener.is_enabled else enable_listener
            switch(actor=ACTOR, listener=listener)


@job
def choose_default(number: int, server: int, certificates: list[int], rounds: int) -> None:
    """Choose the default certificate: even numbers on its page, odd ones in the settings."""
    row = MailServer.objects.get(pk=server)
    for turn in range(rounds):
        chosen = Certificate.objects.get(pk=certificates[(turn + number) % len(certificates)])
        if number % 2:
            change_server(actor=ACTOR, server=row, default_certificate=chosen)
        else:
            assign_certificate(
                actor=ACTOR,
                server=row,
                certificate=chosen,
                as_default=True,
                services=["imaps"],
                host_names=[],
            )


@job
def bind_own_name(number: int, server: int, certificates: list[int], rounds: int) -> None:
    """Give host names of one's own a certificate."""
    row = MailServer.objects.get(pk=server)
    chosen = Certificate.objects.get(pk=certificates[number % len(certificates)])
    for turn in range(rounds):
        name = f"n{number}-{turn}.example.org"
        bind_name(actor=ACTOR, server=row, host_name=name, certificate=chosen)


@job
def sign_up(number: int, rounds: int) -> int:
    """Store people, and count in the shared cache; returns what was read back."""
    for turn in range(rounds):
        make_user(Role.VIEWER, f"person-{number}-{turn}")
        cache.set(f"count-{number}", turn + 1)
    return int(cache.get(f"count-{number}"))


@job
def hold_the_database(number: int, server: int, seconds: float) -> float:
    """The first keeps a transaction open; the others save meanwhile. Returns the time it took."""
    begun = time.monotonic()
    if number == 0:
        with transaction.atomic():
            row = lock_server(MailServer.objects.get(pk=server))
            row.save(update_fields=["versions"])
            time.sleep(seconds)
    else:
        time.sleep(seconds / 4)
        service = list(SERVICES)[number]
        change_listener(actor=ACTOR, listener=_listener(server, service), port=7000 + number)
    return time.monotonic() - begun


@job
def request(_number: int, plan: int) -> dict[str, Any]:
    """Ask for the plan to be applied; returns the number, or the code of the refusal."""
    row = Plan.objects.select_related("server").get(pk=plan)
    try:
        return {"number": request_deployment(actor=ACTOR, server=row.server, plan=row).number}
    except ChangeRefusedError as refused:
        return {"refused": refused.problems[0].code}


@job
def draw_number(_number: int, server: int, rounds: int) -> list[int]:
    """Store deployments that are over, each under the next number."""
    drawn = []
    for _ in range(rounds):
        with transaction.atomic():
            row = lock_server(MailServer.objects.get(pk=server))
            drawn.append(next_number(row))
            Deployment.objects.create(
                server=row,
                number=drawn[-1],
                status=Deployment.Status.SUCCEEDED,
                actor=asdict(ACTOR),
            )
    return drawn


@job
def claim(number: int, deployments: list[int]) -> bool:
    """Claim one deployment; returns whether it is the one that runs."""
    chosen = deployments[number % len(deployments)]
    return applying._claim(chosen)


@job
def run(_number: int, deployment: int) -> bool:
    """Run one deployment with an agent that answers at once; tell whether we ended it."""
    agent = ScriptedAgent(before_answer=lambda: time.sleep(0.2))
    applying.agent_of = lambda _server: agent  # type: ignore[assignment]  # it only has to answer
    return applying.run_deployment(deployment) is not None


# Keys, and a master key that is replaced meanwhile


@job
def prepare_custody(_number: int, username: str, keys: int) -> None:
    """Store somebody who uploads, and some keys."""
    make_user(Role.OPERATOR, username)
    for _ in range(keys):
        seal_key(generate_key(KeyKind.ECDSA_P256))


@job
def read_and_upload(number: int, stop: str) -> dict[str, int]:
    """Open every key again and again, and store new ones and uploads, until the file appears."""
    person = make_user(Role.OPERATOR, f"uploader-{number}")
    done = {"reads": 0, "keys": 0, "uploads": 0}
    while not Path(stop).exists():
        if done["keys"] < _MOST_KEYS:
            seal_key(generate_key(KeyKind.ECDSA_P256))
            done["keys"] += 1
        token = seal_upload(user=person, kept=KeptUpload((b"mine",)), now=timezone.now())
        for row in list(PrivateKey.objects.all()):
            open_key_pem(row)
            done["reads"] += 1
        assert open_upload(user=person, token=token, now=timezone.now()) == KeptUpload((b"mine",))
        done["uploads"] += 1
        time.sleep(0.01)
    return done


# Notices


@job
def prepare_notices(_number: int, url: str) -> None:
    """Let a webhook be told of everything."""
    make_webhook(url, is_private_allowed=True)


@job
def look_and_tell(_number: int, days: list[float]) -> int:
    """Look for what is worth telling on each of these days, and send all that is due then."""
    sent = 0
    for later in days:
        now = timezone.now() + timedelta(days=later)
        evaluate(now)
        sent += sum(deliver(pk, now) is not None for pk in due_deliveries(now))
    return sent


@job
def notices(_number: int) -> list[dict[str, Any]]:
    """Return every delivery: of what, how often it was tried, and how it stands."""
    rows = Delivery.objects.values("uuid", "status", "attempts")
    twins = Notice.objects.values("code", "subject").annotate(n=Count("pk")).filter(n__gt=1)
    assert not twins.exists()
    return [row | {"uuid": str(row["uuid"])} for row in rows]


# Orders at an authority


@job
def prepare_order(_number: int) -> int:
    """Keep that a certificate is to be had; returns its key."""
    return make_acme_certificate().pk


@job
def order_the_same(_number: int, wanted: int) -> int:
    """Order it; returns how many orders this one made: one or none."""
    row = AcmeCertificate.objects.select_related("account").get(pk=wanted)
    made = insert_order(
        actor=ACTOR,
        acme_certificate=row,
        account=row.account,
        trigger=AcmeOrder.Trigger.DUE,
        names=row.names,
    )
    return int(made is not None)


@job
def take_the_order(_number: int, wanted: int) -> int:
    """Take the order as a worker does and hold it for a moment; returns whether it was ours."""
    order_id = AcmeOrder.objects.get(acme_certificate=wanted).pk
    with claimed(order_id, timezone.now()) as order:
        if order is None:
            return 0
        time.sleep(0.5)
        keep(order, status=AcmeOrder.Status.RUNNING)
        return 1


# The conversation


def _run_at_once(order: dict[str, Any]) -> list[Any]:
    threads: int = order["threads"]
    barrier = Barrier(threads + 1)
    with ThreadPoolExecutor(threads) as pool:
        numbers = range(order["first"], order["first"] + threads)
        futures = [pool.submit(_run_one, order, number, barrier) for number in numbers]
        _say("ready")
        sys.stdin.readline()
        barrier.wait()
        return [future.result() for future in futures]


def _run_one(order: dict[str, Any], number: int, barrier: Barrier) -> Any:
    connection.ensure_connection()
    barrier.wait()
    try:
        return JOBS[order["job"]](number, **order["arguments"])
    except Exception as error:  # the test decides what may fail
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        connection.close()


def _say(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for line in sys.stdin:
        _say(_run_at_once(json.loads(line)))
