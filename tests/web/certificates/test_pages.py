"""The list, the page of one certificate, self-signed ones, and deleting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate, PrivateKey
from mailadmin.certificates.services import register_found_certificate
from mailadmin.listeners.models import Listener, SniBinding
from mailadmin.listeners.selectors import desired_state
from mailadmin.mailconf.services import TlsMode
from mailadmin.pki.keys import load_private_key
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import set_default_certificate
from tests.factories import make_actor
from tests.throwaway_pki import ThrowawayCa
from tests.web.certificates.conftest import Upload, store, text_of, token_in

pytestmark = pytest.mark.django_db
LIST = "/certificates/"


def titles(page: str) -> list[str]:
    """Return the names of the rows of the list, from top to bottom."""
    return [part.split("</a>")[0].split(">")[-1] for part in page.split('class="row-link"')[1:]]


def test_an_empty_list_says_what_to_do(client: Client, client_of: Callable[[str], Client]) -> None:
    page = text_of(client.get(LIST))
    assert "No certificate yet" in page
    assert reverse("certificates:add") in page
    assert "An operator can add the first one" in text_of(client_of("viewer").get(LIST))


def test_the_most_urgent_comes_first(
    client: Client, ca: ThrowawayCa, now: datetime, server: MailServer
) -> None:
    def make(name: str, days: int) -> Certificate:
        row = store(ca.issue([name], days=365))
        Certificate.objects.filter(pk=row.pk).update(not_after=now + timedelta(days=days))
        return row

    make("spare-later.example.org", 50)
    make("spare-expired.example.org", -5)
    make("spare-sooner.example.org", 10)
    used = make("used.example.org", 60)
    expired = make("used-expired.example.org", -1)
    set_default_certificate(actor=make_actor(), server=server, certificate=used)
    SniBinding.objects.create(server=server, host_name="x.example.org", certificate=expired)

    page = text_of(client.get(LIST))

    assert titles(page) == [
        "used-expired.example.org",
        "used.example.org",
        "spare-sooner.example.org",
        "spare-later.example.org",
        "spare-expired.example.org",
    ]
    assert page.count('class="is-broken"') == 1


def test_the_bar_shows_what_is_left_of_the_whole_lifetime(
    client: Client, ca: ThrowawayCa, now: datetime
) -> None:
    store(
        ca.issue(
            ["mail.example.org"],
            not_before=now - timedelta(days=30),
            not_after=now + timedelta(days=30, hours=1),
        )
    )
    page = text_of(client.get(LIST))
    bar = page.split("<meter")[1].split(">")[0]
    values = dict(part.split("=") for part in bar.replace('"', "").split() if "=" in part)
    assert int(values["value"]) / int(values["max"]) == pytest.approx(0.5, abs=0.01)
    assert "in 30 days" in page


def test_the_list_costs_the_same_queries_for_any_number(
    client: Client, ca: ThrowawayCa, server: MailServer
) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(LIST).status_code == 200
        return len(queries)

    first = store(ca.issue(["one.example.org"]))
    set_default_certificate(actor=make_actor(), server=server, certificate=first)
    Listener.objects.create(
        server=server, service="imaps", port=993, tls_mode=TlsMode.IMPLICIT, is_enabled=True
    )
    few = count()
    for number in range(12):
        row = store(ca.issue([f"h{number}.example.org"]))
        SniBinding.objects.create(
            server=server, host_name=f"h{number}.example.org", certificate=row
        )
    assert count() == few


def test_the_page_of_one_costs_the_same_queries_for_any_number(
    client: Client, ca: ThrowawayCa
) -> None:
    certificate = store(ca.issue(["mail.example.org"]))

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(certificate.get_absolute_url()).status_code == 200
        return len(queries)

    few = count()
    for _ in range(8):
        store(ca.issue(["mail.example.org"]))
    assert count() == few


def test_a_long_list_has_pages(client: Client, ca: ThrowawayCa) -> None:
    template = store(ca.issue(["mail.example.org"]))
    for number in range(60):
        template.pk = None
        template.fingerprint = f"{number:064x}"
        template._state.adding = True
        template.save()
    assert len(titles(text_of(client.get(LIST)))) == 50
    page = text_of(client.get(LIST, {"page": "2"}))
    assert len(titles(page)) == 11
    assert "Page 2 of 2" in page
    assert client.get(LIST, {"page": "bogus"}).status_code == 200


@pytest.mark.parametrize(
    "wanted", ["bücher", "BÜCHER.example", "xn--bcher", "test authority", "fingerprint"]
)
def test_the_list_is_searched(wanted: str, client: Client, ca: ThrowawayCa) -> None:
    row = store(ca.issue(["xn--bcher-kva.example"]))
    store(ThrowawayCa("Other").issue(["mail.example.org"]))
    if wanted == "fingerprint":
        wanted = row.fingerprint[:20].upper()
    assert titles(text_of(client.get(LIST, {"q": wanted}))) == ["bücher.example"]


def test_a_search_without_result_says_so(client: Client, ca: ThrowawayCa) -> None:
    store(ca.issue(["mail.example.org"]))
    assert "No certificate matches" in text_of(client.get(LIST, {"q": "nowhere"}))


def test_the_page_of_a_certificate_tells_all_its_public_parts(
    client: Client, ca: ThrowawayCa, server: MailServer
) -> None:
    issued = ca.issue(["mail.example.org", "xn--bcher-kva.example"])
    row = store(issued)
    set_default_certificate(actor=make_actor(), server=server, certificate=row)
    page = text_of(client.get(row.get_absolute_url()))
    pairs = ":".join(row.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    for fact in (
        "bücher.example (xn--bcher-kva.example)",
        "Test Authority Intermediate 1",
        "stored here, encrypted",
        row.serial,
        pairs,
        row.public_key_id,
        issued.cert_pem.decode().strip(),
        issued.chain_pem.decode().strip(),
        "uploaded certificate",
    ):
        assert fact in page
    download = client.get(reverse("certificates:download", args=[row.pk]))
    assert download.content == issued.fullchain_pem


def test_a_stored_chain_with_a_gap_is_shown_as_such(
    client: Client, ca: ThrowawayCa, upload: Upload
) -> None:
    issued = ca.issue(["mail.example.org"])
    token = token_in(upload(issued.cert_pem, issued.key_pem))
    upload(token=token, save="1", is_confirmed="on")
    page = text_of(client.get(Certificate.objects.get().get_absolute_url()))
    assert 'class="gap"' in page
    assert "is missing. Browsers may hide that" in page


def test_certificates_for_the_same_names_are_told_apart_by_age(
    client: Client, ca: ThrowawayCa, now: datetime
) -> None:
    old = store(ca.issue(["mail.example.org"], not_before=now - timedelta(days=30)))
    new = store(ca.issue(["mail.example.org"]))
    store(ca.issue(["other.example.org"]))
    page = text_of(client.get(old.get_absolute_url()))
    assert new.get_absolute_url() in page
    assert ", newer, ends" in page
    assert ", older, ends" in text_of(client.get(new.get_absolute_url()))


def test_ten_thousand_names_stay_legible(client: Client, ca: ThrowawayCa) -> None:
    row = store(ca.issue(["mail.example.org"]))
    row.names = [f"host-{number}.example.org" for number in range(10_000)]
    row.save()
    page = text_of(client.get(row.get_absolute_url()))
    assert page.index("host-11.example.org") < page.index("<summary>and 9988 more")
    assert "host-9999.example.org" in page
    listed = text_of(client.get(LIST))
    assert "and 9999 more" in listed
    assert len(listed) < 30_000


def test_a_found_certificate_has_its_key_on_the_mail_server(
    client: Client, ca: ThrowawayCa, upload: Upload
) -> None:
    issued = ca.issue(["mail.example.org"])
    row = register_found_certificate(
        actor=make_actor(),
        leaf_pem=issued.cert_pem.decode(),
        chain_pem=issued.chain_pem.decode(),
    )
    assert row == register_found_certificate(actor=make_actor(), leaf_pem=issued.cert_pem.decode())
    assert AuditEvent.objects.get(object_type="certificate").verb == "certificate.found"
    assert "on the mail server, not here" in text_of(client.get(row.get_absolute_url()))

    token = token_in(upload(issued.fullchain_pem, issued.key_pem))
    upload(token=token, save="1")

    row.refresh_from_db()
    assert row.private_key is not None
    assert row.origin == Certificate.Origin.FOUND


def test_a_deleted_certificate_that_is_found_again_is_listed_again(
    client: Client, ca: ThrowawayCa
) -> None:
    issued = ca.issue(["mail.example.org"])
    row = store(issued)
    client.post(delete_url(row))
    register_found_certificate(actor=make_actor(), leaf_pem=issued.cert_pem.decode())
    assert titles(text_of(client.get(LIST))) == ["mail.example.org"]
    row.refresh_from_db()
    assert row.private_key is None


def test_a_self_signed_certificate_is_made_and_offered_for_use(
    client: Client, server: MailServer
) -> None:
    response = client.post(
        reverse("certificates:self_signed"),
        {"names": "mail.example.org\nbücher.example", "key_kind": "ecdsa-p384", "days": "90"},
    )
    row = Certificate.objects.get()
    assert response["Location"] == f"{reverse('listeners:assign')}?certificate={row.pk}"
    assert row.is_self_signed
    assert row.names == ["mail.example.org", "xn--bcher-kva.example"]
    assert row.key_description == "ECDSA P-384"
    assert row.origin == Certificate.Origin.SELF_SIGNED
    assert row.private_key is not None
    assert AuditEvent.objects.get(object_type="certificate").verb == "certificate.self_signed"
    assert "signed by itself" in text_of(client.get(LIST))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"names": ""}, "This field is required."),
        ({"names": "localhost"}, "“localhost” is not a full host name"),
        ({"days": "0"}, "greater than or equal to 1"),
        ({"days": "100000"}, "less than or equal to 3650"),
    ],
)
def test_what_no_self_signed_certificate_can_hold_is_told(
    changes: dict[str, str], sentence: str, client: Client
) -> None:
    fields = {"names": "mail.example.org", "key_kind": "ecdsa-p256", "days": "90"} | changes
    response = client.post(reverse("certificates:self_signed"), fields)
    assert sentence in text_of(response)
    assert not Certificate.objects.exists()


def delete_url(row: Certificate) -> str:
    return reverse("certificates:delete", args=[row.pk])


def test_deleting_destroys_the_key_and_keeps_the_public_part(
    client: Client, ca: ThrowawayCa
) -> None:
    row = store(ca.issue(["mail.example.org"]))
    assert "Its private key will be destroyed" in text_of(client.get(delete_url(row)))

    page = text_of(client.post(delete_url(row), follow=True))

    assert "was deleted and its private key destroyed" in page
    assert not PrivateKey.objects.exists()
    assert row.label not in titles(page)
    kept = text_of(client.get(row.get_absolute_url()))
    assert "This certificate was deleted" in kept
    assert row.leaf_pem.strip() in kept
    assert AuditEvent.objects.filter(verb="certificate.deleted").count() == 1
    assert client.get(delete_url(row)).status_code == 404
    assert "is deleted already" in text_of(client.post(delete_url(row)))
    assert AuditEvent.objects.filter(verb="certificate.deleted").count() == 1


USES: dict[str, tuple[Callable[[MailServer, Certificate], Any], str]] = {
    "default": (
        lambda server, row: set_default_certificate(
            actor=make_actor(), server=server, certificate=row
        ),
        "default certificate of mail.example.org",
    ),
    "listener": (
        lambda server, row: Listener.objects.create(
            server=server, service="imaps", port=993, tls_mode="implicit", certificate=row
        ),
        "imaps (993)",
    ),
    "host name": (
        lambda server, row: SniBinding.objects.create(
            server=server, host_name="xn--bcher-kva.example", certificate=row
        ),
        "host name: bücher.example (xn--bcher-kva.example)",
    ),
}


@pytest.mark.parametrize("use", USES)
def test_a_certificate_in_use_is_not_deleted_and_the_page_says_where(
    use: str, client: Client, ca: ThrowawayCa, server: MailServer
) -> None:
    row = store(ca.issue(["mail.example.org"]))
    take_into_use, where = USES[use]
    take_into_use(server, row)
    asked = text_of(client.get(delete_url(row)))
    assert where in asked
    assert "btn-danger" not in asked

    page = text_of(client.post(delete_url(row)))

    assert "This certificate is still used" in page
    assert where in page
    row.refresh_from_db()
    assert row.deleted_at is None
    assert row.private_key is not None


def test_a_certificate_that_is_still_served_is_not_deleted(
    client: Client, ca: ThrowawayCa, server: MailServer
) -> None:
    served, wanted = store(ca.issue(["mail.example.org"])), store(ca.issue(["mail.example.org"]))
    set_default_certificate(actor=make_actor(), server=server, certificate=served)
    Listener.objects.create(
        server=server, service="imaps", port=993, tls_mode="implicit", is_enabled=True
    )
    server.applied_state = desired_state(MailServer.objects.get()).as_dict()
    server.save(update_fields=["applied_state"])
    set_default_certificate(actor=make_actor(), server=server, certificate=wanted)

    page = text_of(client.post(delete_url(served)))

    assert "mail.example.org serves it until the pending changes are applied" in page
    served.refresh_from_db()
    assert served.private_key is not None


def test_a_key_that_another_certificate_needs_survives(client: Client, ca: ThrowawayCa) -> None:
    issued = ca.issue(["mail.example.org"])
    first = store(issued)
    renewed = ca.issue(["mail.example.org"], key=load_private_key(issued.key_pem))
    second = store(renewed)
    page = text_of(client.post(delete_url(first), follow=True))
    assert "private key destroyed" not in page
    assert PrivateKey.objects.get() == second.private_key
    client.post(delete_url(second))
    assert not PrivateKey.objects.exists()


def test_a_deleted_certificate_comes_back_when_it_is_uploaded_again(
    client: Client, ca: ThrowawayCa, upload: Upload
) -> None:
    issued = ca.issue(["mail.example.org"])
    row = store(issued)
    client.post(delete_url(row))
    response = upload(token=token_in(upload(issued.fullchain_pem, issued.key_pem)), save="1")
    assert response.status_code == 302
    row.refresh_from_db()
    assert row.deleted_at is None
    assert row.private_key is not None
    assert AuditEvent.objects.filter(verb="certificate.restored").count() == 1
