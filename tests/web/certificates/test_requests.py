"""Requests (CSR): making one, having it signed, bringing back the answer, giving it up."""

from __future__ import annotations

import pytest
from cryptography import x509
from django.test import Client
from django.urls import reverse

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.custody import open_key_pem
from mailadmin.certificates.models import Certificate, CertificateSigningRequest, PrivateKey
from mailadmin.pki.keys import KeyKind
from mailadmin.servers.models import MailServer
from tests.throwaway_pki import ThrowawayCa
from tests.web.certificates.conftest import Upload, text_of, token_in

pytestmark = pytest.mark.django_db
FIELDS = {
    "common_name": "mail.example.org",
    "names": "smtp.example.org, Bücher.example\n*.example.org 192.0.2.7",
    "key_kind": "ecdsa-p256",
}


def make_request(client: Client, **changes: str) -> CertificateSigningRequest:
    """Fill in the form and return the request that it made."""
    response = client.post(reverse("certificates:request_create"), FIELDS | changes)
    assert response.status_code == 302, text_of(response)
    return CertificateSigningRequest.objects.latest("pk")


def test_a_request_asks_for_every_name_and_keeps_its_key_sealed(client: Client) -> None:
    csr = make_request(client, organization="Example GmbH", country="de")
    parsed = x509.load_pem_x509_csr(csr.pem.encode())
    san = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in san] == csr.names
    assert csr.names == [
        "mail.example.org",
        "smtp.example.org",
        "xn--bcher-kva.example",
        "*.example.org",
        "192.0.2.7",
    ]
    assert parsed.subject.rfc4514_string() == "CN=mail.example.org,O=Example GmbH,C=DE"
    assert csr.private_key is not None
    assert "PRIVATE KEY" in open_key_pem(csr.private_key)
    event = AuditEvent.objects.get(object_type="csr")
    assert event.verb == "csr.created"
    assert event.object_id == str(csr.pk)


@pytest.mark.parametrize("kind", list(KeyKind))
def test_each_of_the_five_kinds_of_keys_can_be_had(kind: KeyKind, client: Client) -> None:
    csr = make_request(client, key_kind=str(kind))
    expected = str(kind).upper().replace("ECDSA-P", "ECDSA P-").replace("RSA-", "RSA ")
    assert csr.key_description == expected


def test_the_page_shows_names_in_both_forms_and_what_comes_next(client: Client) -> None:
    csr = make_request(client)
    page = text_of(client.get(csr.get_absolute_url()))
    assert "bücher.example (xn--bcher-kva.example)" in page
    assert "What happens next" in page
    assert csr.pem in page
    assert f'action="{reverse("certificates:upload")}"' in page
    download = client.get(reverse("certificates:request_download", args=[csr.pk]))
    assert download.content.decode() == csr.pem
    assert "attachment" in download["Content-Disposition"]


def test_the_list_shows_who_waits(client: Client) -> None:
    csr = make_request(client)
    page = text_of(client.get(reverse("certificates:list")))
    assert "Requests that wait for their certificate" in page
    assert csr.get_absolute_url() in page


def test_the_signed_answer_finds_its_key_and_the_request_is_answered(
    client: Client, upload: Upload, ca: ThrowawayCa, server: MailServer
) -> None:
    csr = make_request(client)
    answer = ca.issue(csr_pem=csr.pem.encode())

    verdict = upload(answer.fullchain_pem)

    assert "Its private key is already here and matches." in text_of(verdict)
    response = upload(token=token_in(verdict), save="1")
    certificate = Certificate.objects.get()
    csr.refresh_from_db()
    assert csr.status == CertificateSigningRequest.Status.ISSUED
    assert certificate.origin == Certificate.Origin.REQUESTED
    assert certificate.private_key == csr.private_key
    assert PrivateKey.objects.count() == 1
    assert "It answers the request for" in text_of(client.get(response["Location"]))
    assert certificate.get_absolute_url() in text_of(client.get(csr.get_absolute_url()))
    assert csr.get_absolute_url() in text_of(client.get(certificate.get_absolute_url()))


def test_a_cancelled_request_loses_its_key_and_its_answer_is_refused(
    client: Client, upload: Upload, ca: ThrowawayCa
) -> None:
    csr = make_request(client)
    answer = ca.issue(csr_pem=csr.pem.encode())
    cancel = reverse("certificates:request_cancel", args=[csr.pk])
    assert "that cannot be taken back" in text_of(client.get(cancel))

    page = text_of(client.post(cancel, follow=True))

    assert "was cancelled and its private key destroyed" in page
    assert not PrivateKey.objects.exists()
    assert "The private key for mail.example.org is missing" in text_of(
        upload(answer.fullchain_pem)
    )
    event = AuditEvent.objects.filter(verb="csr.cancelled").get()
    assert event.after["is_key_destroyed"] is True


def test_a_request_is_not_cancelled_twice_nor_after_its_answer(
    client: Client, upload: Upload, ca: ThrowawayCa
) -> None:
    csr = make_request(client)
    token = token_in(upload(ca.issue(csr_pem=csr.pem.encode()).fullchain_pem))
    upload(token=token, save="1")
    cancel = reverse("certificates:request_cancel", args=[csr.pk])
    assert client.get(cancel)["Location"] == csr.get_absolute_url()

    page = text_of(client.post(cancel, follow=True))

    assert "does not wait for a certificate any more" in page
    assert PrivateKey.objects.count() == 1
    assert not AuditEvent.objects.filter(verb="csr.cancelled").exists()


def test_a_key_cancelled_between_verdict_and_save_is_missed(
    client: Client, upload: Upload, ca: ThrowawayCa
) -> None:
    csr = make_request(client)
    token = token_in(upload(ca.issue(csr_pem=csr.pem.encode()).fullchain_pem))
    client.post(reverse("certificates:request_cancel", args=[csr.pk]))
    response = upload(token=token, save="1")
    assert "The private key for mail.example.org is missing" in text_of(response)
    assert not Certificate.objects.exists()


def test_a_hundred_names_with_the_main_one_are_asked_for(client: Client) -> None:
    more = [f"h{number}.example.org" for number in range(99)]
    csr = make_request(client, names=" ".join(more))
    assert csr.names == ["mail.example.org", *more]


def test_a_name_in_two_forms_is_asked_for_once(client: Client) -> None:
    typed = "*.Bücher.example xn--bcher-kva.example bücher.example. [2001:DB8::1] 2001:db8:0:0::1"
    csr = make_request(client, names=f"MAIL.example.org {typed}")
    assert csr.names == [
        "mail.example.org",
        "*.xn--bcher-kva.example",
        "xn--bcher-kva.example",
        "2001:db8::1",
    ]
    parsed = x509.load_pem_x509_csr(csr.pem.encode())
    assert len(list(parsed.extensions)) == 1  # no extended key usage: some authorities refuse it


@pytest.mark.parametrize("length", [253, 254])
def test_a_name_has_253_characters_at_most(length: int, client: Client) -> None:
    name = ".".join(["a" * 60] * 4)[: length - 12].rstrip(".") + ".example.org"
    name = "b" * (length - len(name)) + name
    fields = FIELDS | {"common_name": "mail.example.org", "names": name}
    response = client.post(reverse("certificates:request_create"), fields)
    assert response.status_code == (302 if length == 253 else 200)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"common_name": "mail"}, "“mail” is not a full host name"),
        ({"common_name": "mail example.org"}, "is not a host name"),
        ({"common_name": ""}, "This field is required."),
        ({"names": "a.example.org *.com"}, "would stand for the domains of other people"),
        ({"names": "a..example.org"}, "“a..example.org” is not a host name"),
        ({"names": " ".join(f"h{n}.example.org" for n in range(100))}, "101 names are more than"),
        ({"names": " ".join(f"h{n}.example.org" for n in range(101))}, "101 names are more than"),
        ({"country": "Germany"}, "“GERMANY” is not a country code"),
        ({"organization": "x" * 65}, "has more than 64 characters"),
        ({"key_kind": "rsa-1024"}, "Select a valid choice"),
    ],
)
def test_what_no_request_can_hold_is_told_at_its_field(
    changes: dict[str, str], sentence: str, client: Client
) -> None:
    response = client.post(reverse("certificates:request_create"), FIELDS | changes)
    assert response.status_code == 200
    assert sentence in text_of(response)
    assert not CertificateSigningRequest.objects.exists()
    assert not PrivateKey.objects.exists()


def test_a_wrong_organisation_field_is_not_hidden(client: Client) -> None:
    url = reverse("certificates:request_create")
    assert "<details open>" not in text_of(client.get(url))
    assert "<details open>" in text_of(client.post(url, FIELDS | {"country": "Germany"}))


def test_a_main_name_too_long_for_a_common_name_is_an_alternative_name(client: Client) -> None:
    name = f"{'a' * 60}.example.org"
    csr = make_request(client, common_name=name, names="")
    assert csr.common_name == ""
    assert csr.names == [name]
    assert name in text_of(client.get(csr.get_absolute_url()))


def test_names_are_previewed_while_typing(client: Client) -> None:
    url = reverse("certificates:names_preview")
    page = text_of(client.post(url, {"common_name": "Mail.Example.ORG", "names": "bücher.example"}))
    assert "mail.example.org" in page
    assert "bücher.example (xn--bcher-kva.example)" in page
    assert "“mail” is not a full host name" in text_of(client.post(url, {"names": "mail"}))
    assert text_of(client.post(url)).strip() == ""
