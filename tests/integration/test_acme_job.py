"""Certificates by ACME, from the command line through worker, agent and a real authority (Pebble)
to the open port; with everything that goes wrong on the way.
"""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from mailadmin.demo.authority.running import wait_until_ready
from tests.stacks import RunningStack, run_stack, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("acme-stack"),
]

HOST = "mail.example.test"


@pytest.fixture(scope="module")
def panel() -> Iterator[RunningStack]:
    with run_stack() as running:
        yield running


def _served(panel: RunningStack, service: str, name: str | None = None) -> str:
    """Return the fingerprint that a port really shows, asked without any of our own code."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = (panel.sandbox.settings.address, panel.sandbox.settings.ports[service])
    with (
        socket.create_connection(address, timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()


def _status(panel: RunningStack) -> list[dict[str, Any]]:
    done = panel.manage("acme_status", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _of(panel: RunningStack, name: str) -> dict[str, Any]:
    return next(row for row in _status(panel) if row["names"][0] == name)


def test_a_certificate_is_requested_issued_put_in_place_and_proven(panel: RunningStack) -> None:
    done = panel.manage("acme_request", HOST, "imap.example.test", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Rehearsed at the staging directory" in done.stdout
    assert "made for this rehearsal alone" in done.stdout
    row = _of(panel, HOST)
    assert row["standing"] == "waits_for_admin"
    fingerprint = row["certificate"]["fingerprint"]
    assert _served(panel, "imaps") != fingerprint
    assert panel.manage("certificate_assign", fingerprint, "--default").returncode == 0
    assert "Proven" in panel.manage("apply", "--wait").stdout
    assert _served(panel, "imaps") == fingerprint
    wait_until(
        lambda: _of(panel, HOST)["last_order"]["status"] == "proven",
        what="the panel to note that it is served",
        seconds=90,
    )


def test_a_renewal_is_proven_and_leaves_other_edits_pending(panel: RunningStack) -> None:
    row = _of(panel, HOST)
    assert panel.manage("listener", "pop3", "--disable").returncode == 0
    done = panel.manage("acme_renew", "--certificate", str(row["id"]), "--force", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    fresh = _of(panel, HOST)
    assert fresh["standing"] == "good"
    assert fresh["last_order"]["proven_at"]
    assert fresh["certificate"]["fingerprint"] != row["certificate"]["fingerprint"]
    for service in ("imaps", "pop3s"):
        assert _served(panel, service) == fresh["certificate"]["fingerprint"]
    assert "POP3 (110) will be closed" in panel.manage("plan").stdout
    assert panel.manage("listener", "pop3", "--enable").returncode == 0


def test_one_bad_name_is_named_and_what_is_served_stays(panel: RunningStack) -> None:
    before = _served(panel, "imaps")
    panel.stack.dns.set_addresses("elsewhere.example.test", "127.0.0.1")
    done = panel.manage("acme_request", "smtp.example.test", "elsewhere.example.test", "--wait")
    assert done.returncode == 1
    assert "elsewhere.example.test" in done.stdout + done.stderr
    assert _served(panel, "imaps") == before


def test_an_authority_that_forgot_the_account_is_registered_anew(panel: RunningStack) -> None:
    panel.stack.pebble.program.kill()
    panel.stack.pebble.program.start()
    wait_until_ready(panel.stack.pebble.program)
    row = _of(panel, HOST)
    done = panel.manage("acme_renew", "--certificate", str(row["id"]), "--force", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _served(panel, "imaps") == _of(panel, HOST)["certificate"]["fingerprint"]


def test_a_killed_worker_makes_no_second_order(panel: RunningStack) -> None:
    row = _of(panel, HOST)
    asked = panel.manage("acme_renew", "--certificate", str(row["id"]), "--force")
    assert asked.returncode == 2
    wait_until(
        lambda: _of(panel, HOST)["last_order"]["status"] not in {"queued"},
        what="a worker to take the order",
    )
    worker = panel.stack.programs["worker"]
    assert worker.pid is not None
    worker.kill()
    panel.stack.restart("worker")
    wait_until(
        lambda: _of(panel, HOST)["last_order"]["status"] == "proven",
        what="the order to be proven",
        seconds=200,
    )
    orders = panel.shell(
        "from mailadmin.acme.models import AcmeOrder as O; "
        f"print(O.objects.filter(acme_certificate={row['id']}, requested_at__isnull=False).count())"
    )
    made = panel.shell(
        "from mailadmin.acme.models import AcmeEvent as E; "
        f"print(E.objects.filter(acme_certificate={row['id']}, code='acme.order_made').count())"
    )
    assert int(made) <= int(orders)
