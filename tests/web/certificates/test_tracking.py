"""Requests made elsewhere: judging and remembering them, and taking their certificates."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate, CertificateSigningRequest, PrivateKey
from mailadmin.pki.csr import CsrSubject, build_csr
from mailadmin.pki.keys import KeyKind, private_key_to_pem
from mailadmin.servers.models import MailServer
from tests.throwaway_pki import ThrowawayCa, draw_key, weakly_signed_csr
from tests.web.certificates.conftest import Upload, store, text_of, token_in

pytestmark = pytest.mark.django_db
KEY = draw_key()
SUBJECT = CsrSubject(common_name="mail.example.org")
CSR = build_csr(KEY, SUBJECT, ["mail.example.org", "smtp.example.org"])
Status = CertificateSigningRequest.Status


def bring(client: Client, content: bytes, **fields: object) -> HttpResponse:
    file = SimpleUploadedFile("request.csr", content)
    response: HttpResponse = client.post(
        reverse("certificates:request_track"), {"file": file, **fields}, follow=True
    )
    return response


@pytest.fixture
def csr(client: Client) -> CertificateSigningRequest:
    assert "waits for its certificate" in text_of(bring(client, CSR))
    return CertificateSigningRequest.objects.get()


def test_it_waits_in_the_list_with_its_key_elsewhere(
    client: Client, csr: CertificateSigningRequest
) -> None:
    assert csr.is_key_elsewhere
    assert csr.private_key is None
    assert csr.pem.encode() == CSR
    assert "(elsewhere)" in text_of(client.get(reverse("certificates:list")))
    page = text_of(client.get(csr.get_absolute_url()))
    assert "its private key is there" in page
    assert f"openssl req -verify -noout -text -in request-{csr.pk}.csr" in page
    assert "waiting for" in page
    event = AuditEvent.objects.get(object_type="csr")
    assert event.verb == "csr.tracked"
    assert event.after["is_key_elsewhere"] is True


def test_a_pasted_request_does_as_well(client: Client) -> None:
    client.post(reverse("certificates:request_track"), {"pasted": CSR.decode()})
    assert CertificateSigningRequest.objects.get().names == ["mail.example.org", "smtp.example.org"]


def test_the_same_request_again_is_said(client: Client, csr: CertificateSigningRequest) -> None:
    page = text_of(bring(client, CSR))
    assert "This request is here already" in page
    assert csr.get_absolute_url() in page
    other = build_csr(KEY, SUBJECT, ["other.example.org"])
    assert "Another request with the same key waits here" in text_of(bring(client, other))
    assert CertificateSigningRequest.objects.count() == 1


def test_its_certificate_is_stored_without_key_and_the_key_may_come_later(
    client: Client,
    csr: CertificateSigningRequest,
    upload: Upload,
    ca: ThrowawayCa,
    server: MailServer,
) -> None:
    issued = ca.issue(["mail.example.org", "www.example.org"], csr_pem=CSR)
    verdict = upload(issued.fullchain_pem)
    page = text_of(verdict)
    assert "It answers the request for mail.example.org that waits here." in page
    assert "the certificate is stored without it" in page
    assert "1 name was asked for and is not in the certificate: smtp.example.org" in page
    assert "1 name is in the certificate that was not asked for: www.example.org" in page
    upload(token=token_in(verdict), save="1")
    certificate = Certificate.objects.get()
    assert certificate.private_key is None
    csr.refresh_from_db()
    assert csr.status == Status.ISSUED
    assert "the request made elsewhere" in text_of(client.get(certificate.get_absolute_url()))

    later = upload(private_key_to_pem(KEY))
    assert "which is stored here without it" in text_of(later)
    upload(token=token_in(later), save="1")

    certificate.refresh_from_db()
    assert certificate.private_key is not None
    assert PrivateKey.objects.count() == 1
    assert AuditEvent.objects.filter(verb="certificate.completed").count() == 1


def test_a_key_before_its_certificate_is_told_what_it_is(
    csr: CertificateSigningRequest, upload: Upload
) -> None:
    page = text_of(upload(private_key_to_pem(KEY)))
    assert "This key belongs to the request for mail.example.org" in page
    assert not PrivateKey.objects.exists()


def test_a_request_cancelled_between_verdict_and_save_is_missed(
    client: Client, csr: CertificateSigningRequest, upload: Upload, ca: ThrowawayCa
) -> None:
    token = token_in(upload(ca.issue(csr_pem=CSR).fullchain_pem))
    cancel = reverse("certificates:request_cancel", args=[csr.pk])
    assert "Its private key was never here" in text_of(client.get(cancel))
    assert "Its private key was never here" in text_of(client.post(cancel, follow=True))
    assert "is missing" in text_of(upload(token=token, save="1"))
    assert not Certificate.objects.exists()
    assert AuditEvent.objects.get(verb="csr.cancelled").after["key_fate"] == "elsewhere"


def test_a_certificate_for_the_same_names_with_another_key_is_pointed_out(
    csr: CertificateSigningRequest, upload: Upload, ca: ThrowawayCa
) -> None:
    issued = ca.issue(["mail.example.org"])
    page = text_of(upload(issued.fullchain_pem, issued.key_pem))
    assert "this certificate is not its answer" in page


def test_a_request_with_a_key_that_is_here_is_not_elsewhere(
    client: Client, ca: ThrowawayCa
) -> None:
    old = store(ca.issue(["mail.example.org"], key=KEY))
    bring(client, CSR)
    csr = CertificateSigningRequest.objects.get()
    assert not csr.is_key_elsewhere
    assert (csr.private_key, csr.renews) == (old.private_key, old)


def test_it_may_renew_a_certificate_whose_key_is_not_here(client: Client, ca: ThrowawayCa) -> None:
    old = store(ca.issue(["mail.example.org"]))
    url = f"{reverse('certificates:request_track')}?renews={old.pk}"
    assert f'name="renews" value="{old.pk}"' in text_of(client.get(url))
    bring(client, CSR, renews=str(old.pk))
    assert CertificateSigningRequest.objects.get().renews == old
    assert client.get(f"{reverse('certificates:request_track')}?renews=x").status_code == 200


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "There is nothing to read"),
        (b"hello", "This is not a certificate request"),
        (b"\xff\xfe\x00" * 999, "This is not a certificate request"),
        (b"x" * 70_000, "more than 64 KiB"),
        (CSR * 2, "There are 2 requests in this text"),
        (CSR[:-60] + b"A" * 8 + CSR[-52:], "This"),
        (private_key_to_pem(KEY), "This is a private key, not a request"),
        (weakly_signed_csr(draw_key(KeyKind.RSA_2048), "sha1"), "signed with SHA-1"),
        (
            build_csr(ec.generate_private_key(ec.SECP256K1()), SUBJECT, ["mail.example.org"]),
            "on the curve secp256k1, which mail programs do not accept",
        ),
    ],
)
def test_a_useless_request_gets_a_sentence(client: Client, content: bytes, sentence: str) -> None:
    response = bring(client, content)
    page = text_of(response)
    assert response.status_code == 200
    assert sentence in page
    assert "PRIVATE KEY" not in page
    assert not CertificateSigningRequest.objects.exists()
