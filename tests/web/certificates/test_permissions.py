"""Every page of certificates, for every permission."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from mailadmin.certificates.models import Certificate, CertificateSigningRequest
from mailadmin.certificates.requesting import create_request
from mailadmin.pki.csr import CsrSubject
from mailadmin.pki.keys import KeyKind
from tests.factories import make_actor
from tests.throwaway_pki import ThrowawayCa
from tests.web.certificates.conftest import store, text_of

pytestmark = pytest.mark.django_db

READ = ("list", "detail", "download", "request_detail", "request_download")
CHANGE = (
    "add",
    "upload",
    "self_signed",
    "request_create",
    "request_cancel",
    "request_track",
    "renew",
    "delete",
)
ONLY_POST = ("names_preview",)
WITH_CERTIFICATE = {"detail", "download", "renew", "delete"}
WITH_REQUEST = {"request_detail", "request_download", "request_cancel"}


@pytest.fixture
def address(ca: ThrowawayCa) -> Callable[[str], str]:
    """Return a function from the name of a page to an address that exists."""
    certificate = store(ca.issue(["mail.example.org"]))
    csr = create_request(
        actor=make_actor(),
        subject=CsrSubject(common_name="new.example.org"),
        names=["new.example.org"],
        key_kind=KeyKind.ECDSA_P256,
    )

    def find(page: str) -> str:
        args = []
        if page in WITH_CERTIFICATE:
            args = [certificate.pk]
        elif page in WITH_REQUEST:
            args = [csr.pk]
        return reverse(f"certificates:{page}", args=args)

    return find


@pytest.mark.parametrize("page", READ + CHANGE + ONLY_POST)
def test_nobody_sees_a_page_before_logging_in(page: str, address: Callable[[str], str]) -> None:
    for method in ("get", "post"):
        response = getattr(Client(), method)(address(page))
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("account_login"))


@pytest.mark.parametrize("page", READ)
@pytest.mark.parametrize("role", ["viewer", "operator", "administrator"])
def test_everybody_reads(
    page: str, role: str, address: Callable[[str], str], client_of: Callable[[str], Client]
) -> None:
    assert client_of(role).get(address(page)).status_code == 200


@pytest.mark.parametrize("page", READ)
def test_pages_to_read_take_no_post(
    page: str, address: Callable[[str], str], client: Client
) -> None:
    assert client.post(address(page)).status_code == 405


@pytest.mark.parametrize("page", CHANGE + ONLY_POST)
def test_a_viewer_changes_nothing(
    page: str, address: Callable[[str], str], client_of: Callable[[str], Client]
) -> None:
    viewer = client_of("viewer")
    for method in ("get", "post"):
        response = getattr(viewer, method)(address(page))
        assert response.status_code == 403
        assert "Your role is viewer" in text_of(response)
    assert Certificate.objects.filter(deleted_at=None).count() == 1
    assert CertificateSigningRequest.objects.get().status == "pending"


@pytest.mark.parametrize("page", CHANGE)
@pytest.mark.parametrize("role", ["operator", "administrator"])
def test_an_operator_gets_every_form(
    page: str, role: str, address: Callable[[str], str], client_of: Callable[[str], Client]
) -> None:
    assert client_of(role).get(address(page)).status_code == 200


def test_a_viewer_sees_no_button_that_would_be_refused(
    address: Callable[[str], str], client_of: Callable[[str], Client]
) -> None:
    refused = {address(page) for page in CHANGE}
    for page in ("list", "detail", "request_detail"):
        seen = text_of(client_of("viewer").get(address(page)))
        offered = text_of(client_of("operator").get(address(page)))
        assert not [link for link in refused if f'"{link}"' in seen]
        assert [link for link in refused if f'"{link}"' in offered]


def test_what_does_not_exist_is_not_found(client: Client) -> None:
    for page in WITH_CERTIFICATE | WITH_REQUEST:
        assert client.get(reverse(f"certificates:{page}", args=[4711])).status_code == 404
