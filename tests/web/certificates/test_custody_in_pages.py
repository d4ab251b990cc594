"""What people read when the master key cannot be used."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mailadmin.certificates.models import Certificate, CertificateSigningRequest, PrivateKey
from tests.throwaway_pki import ThrowawayCa
from tests.web.certificates.conftest import Upload, store, text_of, token_in

pytestmark = pytest.mark.django_db
FORMS = {
    "request_create": {"common_name": "mail.example.org", "key_kind": "ecdsa-p256"},
    "self_signed": {"names": "mail.example.org", "key_kind": "ecdsa-p256", "days": "30"},
}


def count_rows() -> list[int]:
    models = (Certificate, CertificateSigningRequest, PrivateKey)
    return [model.objects.count() for model in models]


@pytest.mark.parametrize("page", FORMS)
def test_nothing_is_made_while_others_can_read_the_master_key(
    page: str, client: Client, ca: ThrowawayCa, settings: Any
) -> None:
    store(ca.issue())
    settings.MASTER_KEY_FILE.chmod(0o644)
    before = count_rows()
    response = client.post(reverse(f"certificates:{page}"), FORMS[page])
    assert response.status_code == 200
    assert "chmod 600" in text_of(response)
    assert count_rows() == before


@pytest.mark.parametrize("page", FORMS)
def test_nothing_is_made_while_the_master_key_is_missing(
    page: str, client: Client, ca: ThrowawayCa, settings: Any
) -> None:
    store(ca.issue())
    settings.MASTER_KEY_FILE.unlink()
    before = count_rows()
    response = client.post(reverse(f"certificates:{page}"), FORMS[page])
    assert "is missing, and 1 secret here" in text_of(response)
    assert count_rows() == before
    assert not settings.MASTER_KEY_FILE.exists()


def test_an_upload_says_that_the_master_key_is_missing(
    upload: Upload, ca: ThrowawayCa, settings: Any
) -> None:
    store(ca.issue())
    settings.MASTER_KEY_FILE.unlink()
    issued = ca.issue(["new.example.org"])
    response = upload(issued.fullchain_pem, issued.key_pem)
    assert response.status_code == 200
    assert "is missing, and 1 secret here" in text_of(response)


def test_a_key_that_waits_under_another_master_key_is_not_promised(
    upload: Upload, client: Client, ca: ThrowawayCa, settings: Any
) -> None:
    client.post(reverse("certificates:request_create"), FORMS["request_create"])
    csr = CertificateSigningRequest.objects.get()
    settings.MASTER_KEY_FILE.write_text(base64.b64encode(os.urandom(32)).decode())
    token = token_in(upload(ca.issue(csr_pem=csr.pem.encode()).fullchain_pem))
    response = upload(token=token, save="1")
    assert "cannot be opened with the master key" in text_of(response)
    assert not Certificate.objects.exists()
    csr.refresh_from_db()
    assert csr.status == CertificateSigningRequest.Status.PENDING


def test_an_upload_sealed_under_another_master_key_is_gone(
    upload: Upload, ca: ThrowawayCa, settings: Any
) -> None:
    issued = ca.issue()
    token = token_in(upload(issued.fullchain_pem, issued.key_pem))
    settings.MASTER_KEY_FILE.write_text(base64.b64encode(os.urandom(32)).decode())
    assert "is not here any more" in text_of(upload(token=token, save="1"))
