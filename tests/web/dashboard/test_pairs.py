"""Two certificates side by side on the overview, on a deployment's page, and in status."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from mailadmin.certificates.models import Certificate
from mailadmin.deployments.matrix import as_json, read_served, say_served
from mailadmin.deployments.models import Deployment, ProbeRun
from mailadmin.listeners.selectors import desired_state
from mailadmin.servers.models import MailServer
from tests.deployment_factories import make_deployment, make_look, make_steps, shown_certificate
from tests.server_factories import apply_wanted, make_binding, make_pair, make_server

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]
Pair = tuple[Certificate, Certificate]
NAME = "imap.example.org"


@pytest.fixture
def pair(db: None) -> Pair:
    ends = timezone.now() + timedelta(days=20, hours=1)
    return make_pair(not_after=ends)


@pytest.fixture
def server(pair: Pair) -> MailServer:
    server = make_server(default_certificate=pair[1])
    make_binding(server, NAME, make_pair(NAME)[0])
    return apply_wanted(server)


def text(client: Client, address: str = "/") -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def row_of(page: str, service: str) -> str:
    begin = page.index(f'<tr id="row-{service}"')
    return page[begin : page.index('<tr class="row-detail"', begin)]


def rows_json(server: MailServer, run: ProbeRun) -> dict[str, Any]:
    state = desired_state(server)
    shown = as_json(server, state, run, read_served(state, run))
    return {row["service"]: row for row in json.loads(json.dumps(shown))["listeners"]}


def test_the_overview_shows_both(client_of: ClientOf, server: MailServer, pair: Pair) -> None:
    make_look(server)
    page = text(client_of("viewer"))
    row = row_of(page, "imaps")
    assert "ECDSA P-256 / RSA 2048" in " ".join(row.split())
    for certificate in pair:
        assert certificate.fingerprint in row
    # Of two, the one that ends first is the one to renew.
    assert "20 d" in row
    detail = text(client_of("viewer"), "/served/imaps/")
    assert "by a client that knows only RSA" in detail
    assert "by a client that knows only ECDSA" in detail


def test_one_of_two_that_is_not_served_is_told_with_its_kind(
    client_of: ClientOf, server: MailServer, pair: Pair
) -> None:
    state = desired_state(server)
    make_look(
        server,
        changed={
            "imaps": {
                "fingerprint": pair[0].fingerprint,
                "certificate": shown_certificate(state, pair[0].fingerprint),
            }
        },
    )
    row = row_of(text(client_of("viewer")), "imaps")
    assert "serves another certificate" in row
    assert "(ECDSA)" in row
    make_look(
        server,
        age=timedelta(seconds=1),
        changed={"pop3s": {"error": "probe.tls_failed", "fingerprint": "", "certificate": {}}},
    )
    assert "(ECDSA)" in row_of(text(client_of("viewer")), "pop3s")


def test_status_gives_both_in_words_and_in_json(server: MailServer, pair: Pair) -> None:
    run = make_look(server)
    state = desired_state(server)
    (row,) = (item for item in read_served(state, run) if item.listener.service == "imaps")
    assert row.is_proven
    said = say_served(row)
    assert said.startswith("ECDSA: TLSv1.3, ")
    assert f" / RSA: TLSv1.3, mail.example.org, until {pair[0].not_after:%Y-%m-%d}" in said
    told = rows_json(server, run)["imaps"]
    by_key = {"rsa": pair[0].fingerprint, "ecdsa": pair[1].fingerprint}
    assert told["wanted"]["fingerprint_by_key"] == by_key
    assert told["wanted"]["fingerprint"] == told["served"]["fingerprint"] == by_key["ecdsa"]
    assert {key: item["fingerprint"] for key, item in told["served_by_key"].items()} == by_key
    named = told["served_by_name_and_key"][NAME]
    assert set(named) == {"rsa", "ecdsa"}
    assert told["served_by_name"][NAME] == named["rsa"]


def test_one_that_stands_alone_is_told_as_before() -> None:
    server = make_server()
    told = rows_json(server, make_look(server))["imaps"]
    assert told["served_by_key"] == told["served_by_name_and_key"] == {}
    assert told["wanted"]["fingerprint_by_key"] == {}
    state = desired_state(server)
    run = ProbeRun.objects.get()
    (row,) = (item for item in read_served(state, run) if item.listener.service == "imaps")
    assert say_served(row).startswith("TLSv1.3, mail.example.org, until ")


def test_a_deployment_shows_the_evidence_for_both(
    client_of: ClientOf, server: MailServer, pair: Pair
) -> None:
    deployment = make_deployment(server, status=Deployment.Status.SUCCEEDED)
    make_steps(deployment, "planned", "staged", "swapped", "proved", "watched")
    page = text(client_of("viewer"), deployment.get_absolute_url())
    for certificate, key in zip(pair, ("RSA", "ECDSA"), strict=True):
        assert certificate.fingerprint in page
        assert f'<span class="text-secondary">, {key}</span>' in page
    assert page.count("RSA 2048") >= 2
