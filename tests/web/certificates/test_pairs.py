"""Two certificates side by side: on the page of a certificate, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates import selectors
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.pairing import pair_certificates, unpair_certificate
from mailadmin.certificates.services import delete_certificate
from mailadmin.pki.keys import KeyKind
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import set_default_certificate
from tests.factories import make_actor
from tests.server_factories import make_certificate
from tests.throwaway_pki import ThrowawayCa, draw_key
from tests.web.certificates.conftest import store, text_of

pytestmark = pytest.mark.django_db
NAME = "mail.example.org"
OTHERS = ("imap.example.org", "pop.example.org")


@pytest.fixture
def rsa(ca: ThrowawayCa) -> Certificate:
    return store(ca.issue([NAME], key=draw_key(KeyKind.RSA_2048)))


@pytest.fixture
def ecdsa(ca: ThrowawayCa) -> Certificate:
    return store(ca.issue([NAME]))


def pair(first: Certificate, second: Certificate, *, is_confirmed: bool = False) -> None:
    pair_certificates(
        actor=make_actor(),
        certificate=first,
        companion=second,
        now=timezone.now(),
        is_confirmed=is_confirmed,
    )
    first.refresh_from_db()
    second.refresh_from_db()


def refusals(first: Certificate, second: Certificate) -> list[str]:
    """Return why the two cannot be paired; nothing is stored then."""
    events = AuditEvent.objects.count()
    with pytest.raises(CertificateRefusedError) as refused:
        pair(first, second)
    assert AuditEvent.objects.count() == events
    return [problem.code for problem in refused.value.problems]


def choose(client: Client, first: Certificate, second: object, **more: str) -> HttpResponse:
    companion = second.pk if isinstance(second, Certificate) else second
    address = f"/certificates/{first.pk}/pair/"
    answer: HttpResponse = client.post(address, {"companion": companion, **more}, follow=True)
    return answer


# The service


def test_a_pair_names_each_other_and_is_one_event(rsa: Certificate, ecdsa: Certificate) -> None:
    events = AuditEvent.objects.count()
    pair(rsa, ecdsa)
    assert (rsa.companion, ecdsa.companion) == (ecdsa, rsa)
    event = AuditEvent.objects.latest("pk")
    assert AuditEvent.objects.count() == events + 1
    assert (event.verb, event.object_id) == ("certificate.paired", str(rsa.pk))
    assert event.before == {"served_beside": None}
    assert event.after["served_beside"] == {
        "label": NAME,
        "key": "ECDSA P-256",
        "fingerprint": ecdsa.fingerprint,
    }


def test_either_of_the_two_can_be_asked_to_stand_alone(
    rsa: Certificate, ecdsa: Certificate
) -> None:
    pair(rsa, ecdsa)
    assert unpair_certificate(actor=make_actor(), certificate=ecdsa) == rsa
    rsa.refresh_from_db()
    ecdsa.refresh_from_db()
    assert (rsa.companion, ecdsa.companion) == (None, None)
    assert AuditEvent.objects.latest("pk").verb == "certificate.separated"
    with pytest.raises(CertificateRefusedError) as refused:
        unpair_certificate(actor=make_actor(), certificate=rsa)
    assert refused.value.problems[0].code == "pairing.none"


@pytest.mark.parametrize("kind", [KeyKind.ECDSA_P384, KeyKind.ECDSA_P256])
def test_two_of_one_kind_are_refused(ca: ThrowawayCa, ecdsa: Certificate, kind: KeyKind) -> None:
    other = store(ca.issue([NAME], key=draw_key(kind)))
    assert refusals(ecdsa, other) == ["pairing.same_algorithm"]
    assert refusals(ecdsa, ecdsa) == ["pairing.same_algorithm"]


def test_a_kind_of_key_that_is_neither_is_refused(rsa: Certificate) -> None:
    other = make_certificate(NAME, key_description="Ed25519")
    assert refusals(rsa, other) == ["pairing.same_algorithm"]


def test_one_that_is_not_good_for_it_is_refused_with_the_reason(
    rsa: Certificate, ecdsa: Certificate, now: datetime
) -> None:
    rows = Certificate.objects.filter(pk=ecdsa.pk)
    rows.update(not_after=now - timedelta(days=1))
    assert refusals(rsa, ecdsa) == ["pairing.expired"]
    rows.update(not_after=now + timedelta(days=9), private_key=None)
    assert refusals(rsa, ecdsa) == ["pairing.key_missing"]
    rows.update(deleted_at=now)
    assert refusals(rsa, ecdsa) == ["certificate.deleted"]


def test_one_found_on_the_mail_server_has_its_key_there(
    rsa: Certificate, ecdsa: Certificate
) -> None:
    found = Certificate.Origin.FOUND
    Certificate.objects.filter(pk=ecdsa.pk).update(private_key=None, origin=found)
    pair(rsa, ecdsa)
    assert rsa.companion == ecdsa


def test_one_that_stands_beside_another_already_is_refused(
    ca: ThrowawayCa, rsa: Certificate, ecdsa: Certificate
) -> None:
    pair(rsa, ecdsa)
    third = store(ca.issue([NAME], key=draw_key(KeyKind.RSA_2048, "third")))
    assert refusals(third, ecdsa) == ["pairing.taken"]
    assert refusals(rsa, ecdsa) == ["pairing.taken", "pairing.taken"]


def test_fewer_names_are_named_and_can_be_confirmed(ca: ThrowawayCa, rsa: Certificate) -> None:
    wide = store(ca.issue([NAME, *OTHERS]))
    with pytest.raises(CertificateRefusedError) as refused:
        pair(wide, rsa)
    (problem,) = refused.value.problems
    assert problem.code == "pairing.names_missing"
    assert problem.params["names"] == ", ".join(OTHERS)
    pair(wide, rsa, is_confirmed=True)
    assert wide.companion == rsa


def test_a_wildcard_covers_what_the_other_names(ca: ThrowawayCa, rsa: Certificate) -> None:
    wild = store(ca.issue(["*.example.org", NAME]))
    assert refusals(rsa, wild) == ["pairing.names_missing"]
    only_wild = store(ca.issue(["*.example.org"]))
    assert refusals(rsa, only_wild) == ["pairing.names_missing"]


# Used, and deleted


def test_a_certificate_whose_companion_is_used_counts_as_used(
    rsa: Certificate, ecdsa: Certificate, server: MailServer, now: datetime
) -> None:
    set_default_certificate(actor=make_actor(), server=server, certificate=rsa)
    assert not selectors.find_uses(ecdsa)
    pair(rsa, ecdsa)
    assert [(use.kind, use.where) for use in selectors.find_uses(ecdsa)] == [
        (selectors.UseKind.BESIDE, server.host_name)
    ]
    rows = selectors.list_certificates(now=now)
    assert {row.pk: row.is_used for row in rows} == {rsa.pk: True, ecdsa.pk: True}
    with pytest.raises(CertificateRefusedError) as refused:
        delete_certificate(actor=make_actor(), certificate=ecdsa)
    assert refused.value.problems[0].code == "certificate.in_use"
    assert server.host_name in str(refused.value.problems[0].params["where"])


def test_deleting_one_of_an_unused_pair_frees_the_other(
    rsa: Certificate, ecdsa: Certificate
) -> None:
    pair(rsa, ecdsa)
    delete_certificate(actor=make_actor(), certificate=ecdsa)
    rsa.refresh_from_db()
    ecdsa.refresh_from_db()
    assert (rsa.companion, ecdsa.companion) == (None, None)
    assert AuditEvent.objects.latest("pk").before["served_beside"] == rsa.fingerprint


# What could stand beside it


def test_candidates_have_the_other_key_a_name_in_common_and_are_free(
    ca: ThrowawayCa, rsa: Certificate, ecdsa: Certificate, now: datetime
) -> None:
    wild = store(ca.issue(["*.example.org"]))
    store(ca.issue(["mail.example.net"]))
    store(ca.issue([f"x{NAME}"]))
    store(ca.issue([NAME], key=draw_key(KeyKind.RSA_2048, "second")))
    gone = store(ca.issue([NAME]))
    delete_certificate(actor=make_actor(), certificate=gone)
    expired = store(ca.issue([NAME]))
    Certificate.objects.filter(pk=expired.pk).update(not_after=now)
    taken = store(ca.issue([NAME]))
    pair(taken, store(ca.issue([NAME], key=draw_key(KeyKind.RSA_2048, "third"))))
    assert selectors.find_companions(rsa, now) == [ecdsa, wild]
    assert selectors.find_companions(make_certificate(NAME, key_description="Ed25519"), now) == []


# The page


def test_the_page_offers_and_makes_the_pair(
    client: Client, rsa: Certificate, ecdsa: Certificate
) -> None:
    page = text_of(client.get(rsa.get_absolute_url()))
    assert "Served beside" in page
    assert f'name="companion" value="{ecdsa.pk}"' in page
    page = text_of(choose(client, rsa, ecdsa))
    assert "From the next apply on, ECDSA P-256 is served beside RSA 2048." in page
    assert "Separate them" in page
    assert ecdsa.get_absolute_url() in page
    assert "put another one beside certificate" in page
    page = text_of(client.post(f"/certificates/{ecdsa.pk}/separate/", follow=True))
    assert "this certificate stands alone" in page
    page = text_of(client.post(f"/certificates/{ecdsa.pk}/separate/", follow=True))
    assert "nothing to separate" in page


def test_the_page_asks_before_names_are_left_out(
    client: Client, ca: ThrowawayCa, rsa: Certificate
) -> None:
    wide = store(ca.issue([NAME, *OTHERS]))
    page = text_of(choose(client, wide, rsa))
    assert "imap.example.org, pop.example.org" in page
    assert "RSA 2048 does not cover 2 names" in page
    assert "all the same" in page
    wide.refresh_from_db()
    assert wide.companion is None
    assert "From the next apply on" in text_of(choose(client, wide, rsa, is_confirmed="1"))


def test_the_page_says_why_not(client: Client, ca: ThrowawayCa, ecdsa: Certificate) -> None:
    other = store(ca.issue([NAME]))
    page = text_of(choose(client, ecdsa, other))
    assert "cannot be served side by side" in page
    assert "all the same" not in page


@pytest.mark.parametrize("odd", ["", "abc", "9" * 30, "-1", "²"])
def test_an_odd_choice_is_no_error(client: Client, rsa: Certificate, odd: str) -> None:
    assert "Choose the certificate" in text_of(choose(client, rsa, odd))


def test_what_is_not_there_is_not_found(client: Client, rsa: Certificate) -> None:
    assert choose(client, rsa, "999999").status_code == 404
    assert client.post("/certificates/999999/separate/").status_code == 404
    assert client.get(f"/certificates/{rsa.pk}/pair/").status_code == 405


def test_a_viewer_sees_the_pair_and_can_change_nothing(
    client_of: Callable[[str], Client], rsa: Certificate, ecdsa: Certificate
) -> None:
    viewer = client_of("viewer")
    assert "Serve beside this one" not in text_of(viewer.get(rsa.get_absolute_url()))
    assert choose(viewer, rsa, ecdsa).status_code == 403
    pair(rsa, ecdsa)
    page = text_of(viewer.get(rsa.get_absolute_url()))
    assert "ECDSA P-256" in page
    assert "Separate them" not in page
    assert viewer.post(f"/certificates/{rsa.pk}/separate/").status_code == 403


def test_a_lone_certificate_says_what_could_stand_beside_it(
    client: Client, rsa: Certificate
) -> None:
    assert "A certificate with an ECDSA key" in text_of(client.get(rsa.get_absolute_url()))


def test_deleting_from_the_page_names_the_companion_s_uses(
    client: Client, rsa: Certificate, ecdsa: Certificate, server: MailServer
) -> None:
    set_default_certificate(actor=make_actor(), server=server, certificate=rsa)
    pair(rsa, ecdsa)
    page = text_of(client.get(f"/certificates/{ecdsa.pk}/delete/"))
    assert f"beside its companion: {server.host_name}" in page


def test_many_candidates_cost_no_more_queries(
    client: Client, ca: ThrowawayCa, rsa: Certificate, ecdsa: Certificate
) -> None:
    address = rsa.get_absolute_url()
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    for _ in range(5):
        store(ca.issue([NAME]))
    with CaptureQueriesContext(connection) as many:
        client.get(address)
    assert len(many) == len(few)
