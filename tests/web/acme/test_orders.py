"""Looking before ordering, ordering, and following an order to its end."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from mailadmin.accounts.roles import Role
from mailadmin.acme.models import AcmeEvent, AcmeOrder, AcmePreflight
from mailadmin.certificates.models import CertificateSigningRequest
from mailadmin.certificates.requesting import create_request
from mailadmin.pki.csr import CsrSubject
from mailadmin.pki.keys import KeyKind
from tests.acme_factories import make_account, make_acme_certificate, make_authorization, make_order
from tests.factories import make_actor
from tests.server_factories import make_certificate

pytestmark = pytest.mark.django_db
Status = AcmeOrder.Status
AWAY = {"host": "ca.example.test", "detail": "refused"}
HTMX = {"HX-Request": "true"}
REFUSED = {
    "code": "acme.name_refused",
    "severity": "error",
    "subject": "bad.example.org",
    "params": {},
}


@pytest.fixture(autouse=True)
def _own_master_key(tmp_path: Path, settings: Settings) -> None:
    settings.MASTER_KEY_FILE = tmp_path / "master.key"


@pytest.fixture
def client(client_of: Callable[[Role], Client]) -> Client:
    return client_of(Role.OPERATOR)


def page(response: Any) -> str:
    return " ".join(response.content.decode().split())


def make_request() -> CertificateSigningRequest:
    return create_request(
        actor=make_actor(),
        subject=CsrSubject(),
        names=["mail.example.org"],
        key_kind=KeyKind.ECDSA_P256,
    )


def make_look(*names: str, **values: Any) -> AcmePreflight:
    wanted = values.pop("wanted", None) or make_acme_certificate(*names)
    return AcmePreflight.objects.create(acme_certificate=wanted, requested_by="ada", **values)


# The look


def test_a_look_is_asked_for_and_shared(client: Client) -> None:
    wanted = make_acme_certificate()
    address = reverse("acme:look", args=[wanted.pk])
    first, second = client.post(address), client.post(address)
    row = AcmePreflight.objects.get()
    assert first.url == second.url == reverse("acme:preflight", args=[row.pk])
    assert not row.is_order_wanted


def test_a_look_under_way_asks_again_and_shows_what_is_known(client: Client) -> None:
    row = make_look("a.example.org", "b.example.org", results={"a.example.org": clean()})
    address = reverse("acme:preflight", args=[row.pk])
    whole, part = page(client.get(address)), page(client.get(address, headers=HTMX))
    assert "<html" in whole
    assert "<html" not in part
    for said in (whole, part):
        assert f'hx-get="{address}"' in said
        assert "can be ordered" in said
        assert "looking" in said
        assert "Order the chosen names" not in said


def clean(**facts: Any) -> dict[str, Any]:
    return {"problems": [], "facts": facts}


def test_one_bad_name_leaves_the_choice(client: Client) -> None:
    row = make_look(
        "good.example.org",
        "bad.example.org",
        status="done",
        finished_at=timezone.now(),
        results={
            "good.example.org": clean(
                lookups=[
                    {
                        "kind": "A",
                        "rcode": "NOERROR",
                        "addresses": ["192.0.2.7"],
                        "aliases": ["host.example.net"],
                        "dnssec": "secure",
                        "explanation": "",
                    }
                ],
                paths=[
                    {"address": "192.0.2.7", "answer": "ours", "status": 200, "redirected_to": ""}
                ],
                caa=[{"at": "example.org", "rcode": "NOERROR", "records": ['0 issue "ca.test"']}],
            ),
            "bad.example.org": {
                "problems": [REFUSED],
                "facts": {
                    "paths": [
                        {"address": "192.0.2.8", "answer": "status", "status": 404},
                        {"address": "192.0.2.9", "answer": "of a newer version"},
                        {"address": "192.0.2.10", "answer": ""},
                    ],
                    "record": {
                        "name": "_acme-challenge.bad.example.org",
                        "target": "x.example.net",
                        "zone": "example.net",
                        "servers": ["ns1.example.net"],
                        "is_writable": False,
                    },
                },
            },
        },
    )
    said = page(client.get(reverse("acme:preflight", args=[row.pk])))
    assert "1 name cannot be ordered now" in said
    assert 'value="good.example.org" checked' in said
    assert 'value="bad.example.org">' in said
    assert "did not find the proof for bad.example.org" in said
    assert "our page is there" in said
    assert "answers with status 404" in said
    assert "of a newer version" in said
    assert "was not asked" in said
    assert "host.example.net" in said
    assert "0 issue &quot;ca.test&quot;" in said
    assert "the trial record could not be written" in said
    assert "hx-get" not in said


def test_what_stands_against_all_of_them_leaves_nothing_to_order(client: Client) -> None:
    row = make_look(
        status="failed",
        finished_at=timezone.now(),
        results={"mail.example.org": clean()},
        problems=[{"code": "acme.fault", "severity": "error", "subject": "", "params": {}}],
    )
    said = page(client.get(reverse("acme:preflight", args=[row.pk])))
    assert "It cannot be ordered now. Nothing was sent to the authority" in said
    assert "Order the chosen names" not in said
    assert "Look again" in said


def test_a_look_that_led_to_an_order_leads_there(client: Client) -> None:
    order = make_order()
    row = make_look(wanted=order.acme_certificate, order=order)
    address = reverse("acme:preflight", args=[row.pk])
    assert client.get(address).url == order.get_absolute_url()
    assert client.get(address, headers=HTMX)["HX-Redirect"] == order.get_absolute_url()


def test_a_look_that_no_worker_takes_is_told(client: Client) -> None:
    row = make_look()
    AcmePreflight.objects.update(requested_at=timezone.now() - timezone.timedelta(seconds=30))
    assert "No worker has taken this yet" in page(
        client.get(reverse("acme:preflight", args=[row.pk]))
    )


# Ordering


def test_the_chosen_names_are_ordered(client: Client) -> None:
    wanted = make_acme_certificate("a.example.org", "b.example.org")
    response = client.post(reverse("acme:order", args=[wanted.pk]), {"name": ["a.example.org"]})
    order = AcmeOrder.objects.get()
    assert response.url == order.get_absolute_url()
    assert order.names == ["a.example.org"]
    assert (order.trigger, order.status) == ("first", "queued")


def test_a_rehearsal_comes_first_if_asked_for(client: Client) -> None:
    account = make_account(staging_url="https://staging.example.test/directory")
    wanted = make_acme_certificate(account=account)
    client.post(reverse("acme:order", args=[wanted.pk]), {"is_rehearsed_first": "1"})
    order = AcmeOrder.objects.get()
    assert (order.trigger, order.followed_by) == ("rehearsal", "first")


@pytest.mark.parametrize(
    ("verb", "answers", "said"),
    [
        ("order", {"name": ["other.example.org"]}, "does not belong to this certificate"),
        ("order", {"is_rehearsed_first": "1"}, "has no place to rehearse"),
        ("rehearse", {}, "has no place to rehearse"),
    ],
)
def test_what_cannot_be_ordered_is_refused(
    verb: str, answers: dict[str, Any], said: str, client: Client
) -> None:
    wanted = make_acme_certificate()
    response = client.post(reverse(f"acme:{verb}", args=[wanted.pk]), answers, follow=True)
    assert said in page(response)
    assert not AcmeOrder.objects.exists()


def test_there_is_one_order_at_a_time(client: Client) -> None:
    order = make_order()
    address = reverse("acme:order", args=[order.acme_certificate_id])
    assert "is under way already" in page(client.post(address, follow=True))
    assert AcmeOrder.objects.count() == 1


# Following


def test_an_order_under_way_asks_again(client: Client) -> None:
    order = make_order()
    whole = page(client.get(order.get_absolute_url()))
    part = page(client.get(order.get_absolute_url(), headers=HTMX))
    assert "<html" not in part
    for said in (whole, part):
        assert 'hx-trigger="every 1s"' in said
        assert "Ordering the certificate" in said
        assert "Give it up" in said


@pytest.mark.parametrize("status", Status.values)
@pytest.mark.parametrize("trigger", AcmeOrder.Trigger.values)
def test_every_state_has_a_page(status: str, trigger: str, client: Client) -> None:
    now = timezone.now()
    order = make_order(
        status=status,
        trigger=trigger,
        certificate=make_certificate(),
        order_url="https://ca.example.test/order/1",
        started_at=now,
        issued_at=now,
    )
    make_authorization(order, status="valid", validated_at=now)
    said = page(client.get(order.get_absolute_url()))
    assert ("hx-get" in said) == (status in {"queued", "running", "waiting", "deploying"})
    assert "Names proven to the authority" in said
    assert ("Proven by handshake" in said) == (trigger != "rehearsal")


def test_issued_deployed_and_proven_are_three_things(client: Client) -> None:
    now = timezone.now()
    order = make_order(
        status=Status.ISSUED,
        order_url="https://ca.example.test/order/1",
        issued_at=now,
        certificate=make_certificate(),
    )
    marks = ["Deployed to the mail server", "Proven by handshake"]
    said = page(client.get(order.get_absolute_url()))
    assert said.count("(not reached)") == 2
    assert "the mail server still serves what it did" in said
    AcmeOrder.objects.update(status=Status.PROVEN, deployed_at=now, proven_at=now)
    said = page(client.get(order.get_absolute_url()))
    assert "(not reached)" not in said
    assert all(mark in said for mark in marks)
    assert "Issued, deployed, and proven by handshake" in said


def test_a_stage_says_what_it_is_worth_only_once_it_is_reached(client: Client) -> None:
    order = make_order(status=Status.FAILED, order_url="https://ca.example.test/order/1")
    said = page(client.get(order.get_absolute_url()))
    assert "The authority has taken the order" in said
    for claimed in (
        "found what it had asked for",
        "were told to serve it",
        "this very certificate",
    ):
        assert claimed not in said


def test_a_failed_order_says_why_what_stands_and_what_comes(client: Client) -> None:
    wanted = make_acme_certificate("bad.example.org", next_attempt_at=timezone.now())
    order = make_order(wanted, status=Status.FAILED, problem=REFUSED)
    make_authorization(order, status="invalid", problem=REFUSED)
    said = page(client.get(order.get_absolute_url()))
    assert "did not find the proof for bad.example.org" in said
    assert "What is served stays as it is. Next attempt by itself:" in said
    assert "Look and order again" in said
    wanted.is_renewed_automatically = False
    wanted.save()
    assert "not tried again by itself" in page(client.get(order.get_absolute_url()))


def test_a_record_to_be_written_is_shown_with_what_each_server_shows(client: Client) -> None:
    order = make_order(make_acme_certificate("*.example.org"), status=Status.WAITING)
    make_authorization(
        order,
        name="example.org",
        is_wildcard=True,
        record_name="_acme-challenge.example.org",
        record_value="the-value",
        sight={
            "servers": [
                {"name": "ns1.example.org", "sight": "seen"},
                {"name": "ns2.example.org", "sight": "not_yet"},
                {"name": "ns3.example.org", "sight": "of a newer version"},
            ],
            "at": "2027-01-01T00:00:00+00:00",
        },
    )
    said = page(client.get(order.get_absolute_url()))
    assert 'data-copy="_acme-challenge.example.org"' in said
    assert 'data-copy="the-value"' in said
    assert "does not show it yet" in said
    assert "of a newer version" in said
    assert "2027-01-01 00:00:00 UTC" in said
    assert 'hx-trigger="every 5s"' in said
    client.post(reverse("acme:order_continue", args=[order.pk]))
    order.refresh_from_db()
    assert order.resume_at is not None


def test_an_order_is_given_up_and_one_that_ended_is_not(client: Client) -> None:
    order = make_order()
    address = reverse("acme:order_cancel", args=[order.pk])
    assert "Given up" in page(client.post(address, follow=True))
    order.refresh_from_db()
    assert order.status == Status.CANCELLED
    for ask in (client.get, client.post):
        assert "cannot be given up now" in page(ask(address, follow=True))


def test_before_one_that_is_handed_in_is_given_up_it_is_said_what_that_means(
    client: Client,
) -> None:
    """Its certificate may exist: a second order is made only by who read that."""
    wanted = make_acme_certificate(next_attempt_at=timezone.now())
    order = make_order(
        wanted,
        csr=make_request(),
        order_url="https://ca.example.test/order/1",
        resume_at=timezone.now() + timedelta(minutes=100),
        problem={"code": "ca.unreachable", "severity": "error", "subject": "", "params": AWAY},
    )
    said = page(client.get(order.get_absolute_url()))
    assert "its answer cannot be fetched" in said
    assert "no connection to ca.example.test (refused)" in said
    assert "no other one is ordered" in said
    assert "Next attempt:" in said
    assert 'hx-trigger="every 5s"' in said
    address = reverse("acme:order_cancel", args=[order.pk])
    assert f'href="{address}"' in said
    for ask in (client.get, client.post):
        said = page(ask(address, follow=True))
        assert "makes a second order there" in said
        order.refresh_from_db()
        assert order.status == Status.RUNNING
    said = page(client.post(address, {"is_confirmed": "1"}, follow=True))
    assert "Given up; what is served stays as it is." in said
    assert "a key drawn for it is destroyed" in said
    assert "Next attempt by itself:" in said
    order.refresh_from_db()
    assert (order.status, order.csr.status) == (Status.CANCELLED, "cancelled")


def test_one_that_is_handed_in_and_in_the_hands_of_a_worker_is_not_given_up(
    client: Client,
) -> None:
    until = timezone.now() + timedelta(minutes=1)
    order = make_order(csr=make_request(), lease=uuid.uuid4(), leased_until=until)
    assert "Give it up" not in page(client.get(order.get_absolute_url()))
    address = reverse("acme:order_cancel", args=[order.pk])
    said = page(client.post(address, {"is_confirmed": "1"}, follow=True))
    assert "a worker is just fetching" in said
    order.refresh_from_db()
    assert order.status == Status.RUNNING


@pytest.mark.parametrize("button", ["order_continue", "order"])
def test_one_that_waits_for_the_authority_goes_on_when_somebody_asks(
    button: str, client: Client
) -> None:
    later = timezone.now() + timedelta(minutes=100)
    order = make_order(csr=make_request(), resume_at=later)
    pk = order.pk if button == "order_continue" else order.acme_certificate_id
    response = client.post(reverse(f"acme:{button}", args=[pk]), follow=True)
    assert response.redirect_chain[-1][0] == order.get_absolute_url()
    order.refresh_from_db()
    assert order.resume_at is not None
    assert order.resume_at <= timezone.now()
    assert AcmeOrder.objects.count() == 1


def test_for_other_names_one_that_waits_does_not_go_on(client: Client) -> None:
    later = timezone.now() + timedelta(minutes=100)
    wanted = make_acme_certificate("a.example.org", "b.example.org")
    order = make_order(wanted, names=["a.example.org"], csr=make_request(), resume_at=later)
    said = page(client.post(reverse("acme:order", args=[wanted.pk]), follow=True))
    assert "is under way already" in said
    order.refresh_from_db()
    assert order.resume_at == later


def test_rows_of_another_version_are_shown_by_their_code(client: Client) -> None:
    order = make_order(
        status=Status.FAILED,
        problem={"code": "acme.of_the_future", "severity": "error", "subject": "", "params": {}},
    )
    AcmeEvent.objects.create(
        acme_certificate=order.acme_certificate,
        order=order,
        at=timezone.now(),
        code="acme.issued",
        severity="info",
        params={},
    )
    said = page(client.get(order.get_absolute_url()))
    assert "acme.of_the_future" in said
    assert "acme.issued" in said


@pytest.mark.parametrize("kind", ["orders", "looks"])
def test_what_is_not_there_is_not_found(kind: str, client: Client) -> None:
    assert client.get(f"/renewals/{kind}/999/").status_code == 404


def test_whoever_watches_a_rehearsal_is_led_on_to_the_order_for_real(client: Client) -> None:
    rehearsal = make_order(trigger="rehearsal", followed_by="first")
    address = rehearsal.get_absolute_url()
    response = client.get(address, headers=HTMX)
    assert "HX-Redirect" not in response
    assert "the order for real follows" in page(response)
    AcmeOrder.objects.update(status=Status.ISSUED)
    order = make_order(rehearsal.acme_certificate)
    assert client.get(address, headers=HTMX)["HX-Redirect"] == order.get_absolute_url()
    assert f'<a href="{order.get_absolute_url()}">The order for real</a>' in page(
        client.get(address)
    )
    assert client.get(f"{address}?follow=1").url == order.get_absolute_url()
    look = make_look(wanted=rehearsal.acme_certificate, order=rehearsal)
    shown = client.get(reverse("acme:preflight", args=[look.pk]), follow=True)
    assert shown.redirect_chain[-1][0] == order.get_absolute_url()
