"""Renewing a certificate: what is filled in, and what becomes of the key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from django.db import connection
from django.test import Client
from django.urls import reverse

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate, CertificateSigningRequest, PrivateKey
from mailadmin.certificates.services import delete_certificate, register_found_certificate
from mailadmin.servers.models import MailServer
from tests.factories import make_actor
from tests.throwaway_pki import ThrowawayCa
from tests.web.certificates.conftest import Upload, store, text_of, token_in

pytestmark = pytest.mark.django_db
Status = CertificateSigningRequest.Status


@pytest.fixture
def old(ca: ThrowawayCa, now: datetime) -> Certificate:
    names = ["mail.example.org", "xn--bcher-kva.example", "*.example.org", "192.0.2.7"]
    return store(ca.issue(names, not_before=now - timedelta(days=60)))


def renew(client: Client, old: Certificate, key_choice: str) -> CertificateSigningRequest:
    """Send the form as it is filled in, with a choice about the key."""
    url = reverse("certificates:renew", args=[old.pk])
    form = client.get(url).context["form"]
    fields = {name: form[name].value() or "" for name in form.fields} | {"key_choice": key_choice}
    response = client.post(url, fields)
    assert response.status_code == 302, text_of(response)
    return CertificateSigningRequest.objects.latest("pk")


def answer(upload: Upload, ca: ThrowawayCa, csr: CertificateSigningRequest) -> Certificate:
    """Have the request signed and bring back the answer."""
    token = token_in(upload(ca.issue(csr_pem=csr.pem.encode()).fullchain_pem))
    assert upload(token=token, save="1").status_code == 302
    return Certificate.objects.latest("pk")


def test_everything_is_filled_in_and_the_key_is_asked_about(
    client: Client, old: Certificate
) -> None:
    url = reverse("certificates:renew", args=[old.pk])
    assert f'href="{url}"' in text_of(client.get(old.get_absolute_url()))
    response = client.get(url)
    form = response.context["form"]
    assert form["common_name"].value() == "mail.example.org"
    assert form["names"].value() == "bücher.example\n*.example.org\n192.0.2.7"
    page = text_of(response)
    assert "TLSA records stay right" in page
    assert "publish the one for the new key before you switch" in page
    refused = client.post(url, {"common_name": "mail.example.org", "key_kind": "ecdsa-p256"})
    assert "Choose whether to keep the key." in text_of(refused)
    assert not CertificateSigningRequest.objects.exists()


def test_a_kept_key_signs_the_request_and_serves_the_answer(
    client: Client, old: Certificate, upload: Upload, ca: ThrowawayCa, server: MailServer
) -> None:
    csr = renew(client, old, "keep")
    assert csr.renews == old
    assert csr.private_key == old.private_key
    assert csr.public_key_id == old.public_key_id
    assert csr.names == old.names
    parsed = x509.load_pem_x509_csr(csr.pem.encode())
    assert parsed.is_signature_valid
    page = text_of(client.get(csr.get_absolute_url()))
    assert f"3 1 1 {old.public_key_id}" in page
    assert "records of this kind stay right" in page

    new = answer(upload, ca, csr)

    csr.refresh_from_db()
    assert csr.status == Status.ISSUED
    assert new.replaces == old
    assert new.private_key == old.private_key
    deleting = text_of(client.get(reverse("certificates:delete", args=[old.pk])))
    assert "because something else needs it" in deleting
    assert PrivateKey.objects.count() == 1
    assert csr.get_absolute_url() in text_of(client.get(new.get_absolute_url()))
    assert csr.get_absolute_url() not in text_of(client.get(old.get_absolute_url()))
    answers = text_of(client.get(csr.get_absolute_url()))
    assert answers.count(f'href="{new.get_absolute_url()}"') == 1


def test_a_new_key_is_told_before_its_certificate_comes(
    client: Client, old: Certificate, upload: Upload, ca: ThrowawayCa
) -> None:
    csr = renew(client, old, "new")
    assert csr.public_key_id != old.public_key_id
    page = text_of(client.get(csr.get_absolute_url()))
    assert f"3 1 1 {csr.public_key_id}" in page
    assert "before you switch" in page
    assert answer(upload, ca, csr).replaces == old


def test_the_old_certificate_is_no_answer_to_its_own_renewal(
    client: Client, old: Certificate, upload: Upload
) -> None:
    csr = renew(client, old, "keep")
    response = upload((old.leaf_pem + old.chain_pem).encode())
    assert "It answers the request" not in text_of(response)
    upload(token=token_in(response), save="1")
    csr.refresh_from_db()
    assert csr.status == Status.PENDING


def test_a_second_request_with_the_same_key_is_refused(client: Client, old: Certificate) -> None:
    csr = renew(client, old, "keep")
    url = reverse("certificates:renew", args=[old.pk])
    assert csr.get_absolute_url() in text_of(client.get(url))
    fields = {"common_name": "a.example.org", "key_kind": "ecdsa-p256", "key_choice": "keep"}
    assert "Another request with the same key waits here" in text_of(client.post(url, fields))
    assert CertificateSigningRequest.objects.count() == 1


def test_cancelling_spares_a_key_in_use_and_says_so(client: Client, old: Certificate) -> None:
    csr = renew(client, old, "keep")
    cancel = reverse("certificates:request_cancel", args=[csr.pk])
    page = text_of(client.get(cancel))
    assert "Its private key stays here, because a certificate uses it" in page
    assert "destroy its key" not in page
    assert "is in use by a certificate and stays here" in text_of(client.post(cancel, follow=True))
    old.refresh_from_db()
    assert old.private_key is not None
    event = AuditEvent.objects.get(verb="csr.cancelled")
    assert (event.after["is_key_destroyed"], event.after["key_fate"]) == (False, "still_used")


def test_a_kept_key_goes_with_the_last_that_needs_it(client: Client, old: Certificate) -> None:
    csr = renew(client, old, "keep")
    page = text_of(client.get(reverse("certificates:delete", args=[old.pk])))
    assert "Its private key stays here, because something else needs it" in page
    assert "destroy its key" not in page
    assert delete_certificate(actor=make_actor(), certificate=old) is False
    assert PrivateKey.objects.count() == 1
    client.post(reverse("certificates:request_cancel", args=[csr.pk]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM certificates_privatekey")
        assert cursor.fetchone() == (0,)
    assert AuditEvent.objects.get(verb="csr.cancelled").after["is_key_destroyed"] is True


def test_a_key_that_is_not_here_cannot_be_kept_and_the_way_is_shown(
    client: Client, ca: ThrowawayCa
) -> None:
    issued = ca.issue(["mail.example.org"])
    found = register_found_certificate(actor=make_actor(), leaf_pem=issued.cert_pem.decode())
    url = reverse("certificates:renew", args=[found.pk])
    page = text_of(client.get(url))
    assert 'name="key_choice"' not in page
    assert "openssl req -new -key KEY-FILE" in page
    assert f"{reverse('certificates:request_track')}?renews={found.pk}" in page
    assert renew(client, found, "keep").public_key_id != found.public_key_id


def test_a_deleted_certificate_is_not_renewed(client: Client, old: Certificate) -> None:
    delete_certificate(actor=make_actor(), certificate=old)
    url = reverse("certificates:renew", args=[old.pk])
    assert client.get(url).status_code == 404
    assert url not in text_of(client.get(old.get_absolute_url()))


@pytest.mark.parametrize(
    ("names", "cn", "sentence"),
    [
        (["mail.example.org", "localhost"], None, "1 name of the old certificate is left out"),
        ([f"h{n}.example.org" for n in range(120)], None, "The old certificate has 120 names"),
    ],
)
def test_an_odd_certificate_fills_in_what_it_can(
    names: list[str], cn: str | None, sentence: str, client: Client, ca: ThrowawayCa
) -> None:
    old = store(ca.issue(names, cn=cn))
    page = text_of(client.get(reverse("certificates:renew", args=[old.pk])))
    assert sentence in page
    csr = renew(client, old, "keep")
    assert csr.names == [name for name in names if "." in name][:100]


def test_a_kept_key_that_cannot_be_opened_is_told(
    client: Client, old: Certificate, client_of: Callable[[str], Client]
) -> None:
    PrivateKey.objects.update(nonce=b"\0" * 12)
    url = reverse("certificates:renew", args=[old.pk])
    fields = {"common_name": "mail.example.org", "key_kind": "ecdsa-p256", "key_choice": "keep"}
    assert "cannot be opened with the master key" in text_of(client.post(url, fields))
    assert not CertificateSigningRequest.objects.exists()
