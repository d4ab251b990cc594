"""Completing what an upload lacks: from the authority's address, and by trusting its root."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates import fetching
from mailadmin.certificates.models import Certificate, SealedUpload, TrustedAuthority
from mailadmin.pki.keys import private_key_to_pem
from tests.loopback_web import OfferedFile
from tests.throwaway_pki import Issued, ThrowawayCa
from tests.web.certificates.conftest import Upload, text_of, token_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("known_root")]
FETCH, TRUST = "certificates:upload_fetch", "certificates:upload_trust"
NOTHING_FETCHED = "Nothing was fetched from"


@pytest.fixture
def issued(ca: ThrowawayCa, offered: OfferedFile) -> Issued:
    return ca.issue(["mail.example.org"], ca_issuers=[offered.address])


def press(client: Client, name: str, shown: HttpResponse, **fields: str) -> HttpResponse:
    response: HttpResponse = client.post(reverse(name), {"token": token_in(shown), **fields})
    return response


def test_the_address_is_shown_and_nothing_is_fetched_by_itself(
    upload: Upload, issued: Issued, offered: OfferedFile
) -> None:
    page = text_of(upload(issued.cert_pem, issued.key_pem))
    assert "The authority offers the missing certificate" in page
    assert f">{offered.address}</span>" in page
    assert "Fetch it from there" in page
    assert offered.asked == []
    assert not AuditEvent.objects.filter(verb="authority.fetched").exists()


def test_what_was_fetched_completes_the_chain_and_can_be_saved(
    client: Client, upload: Upload, ca: ThrowawayCa, issued: Issued, offered: OfferedFile
) -> None:
    shown = press(client, FETCH, upload(issued.cert_pem, issued.key_pem), address=offered.address)
    assert offered.asked == ["/ca.der"]
    page = text_of(shown)
    assert "Test Authority Intermediate 1” was fetched from" in page
    assert "leads to Test Authority, which this system trusts" in page
    assert "Fetch it from there" not in page
    assert not shown.context["verdict"].needs_confirmation
    event = AuditEvent.objects.get(verb="authority.fetched")
    assert event.outcome == "ok"
    assert event.after["address"] == offered.address
    assert event.after["ip"] == "127.0.0.1"
    assert event.after["for"] == "mail.example.org"

    upload(token=token_in(shown), save="1")
    assert Certificate.objects.get().chain_pem.encode() == ca.intermediate_pems[0]
    assert not SealedUpload.objects.exists()


@pytest.mark.parametrize("form", ["pem", "p7c", "p7b"])
def test_authorities_offer_it_in_several_forms(
    client: Client,
    upload: Upload,
    ca: ThrowawayCa,
    issued: Issued,
    offered: OfferedFile,
    form: str,
) -> None:
    both = [x509.load_pem_x509_certificate(pem) for pem in (ca.root_pem, *ca.intermediate_pems)]
    offered.content = {
        "pem": ca.intermediate_pems[0],
        "p7c": pkcs7.serialize_certificates(both, Encoding.DER),
        "p7b": pkcs7.serialize_certificates(both, Encoding.PEM),
    }[form]
    shown = press(client, FETCH, upload(issued.cert_pem, issued.key_pem), address=offered.address)
    assert not shown.context["verdict"].needs_confirmation


OTHER = ThrowawayCa("Test Authority")  # the same names, other keys
NO_CERTIFICATES: dict[str, tuple[bytes, str]] = {
    "of the same name but another key": (OTHER.intermediate_pems[0], "did not sign this"),
    "a page": (b"<html>Not here any more</html>", "is no certificate"),
    "nothing": (b"", "is no certificate"),
    "garbage in DER": (b"\x30\x82\xff\xff" + b"\0" * 100, "is no certificate"),
    "a private key": (private_key_to_pem(OTHER.root.key), "is no certificate"),
    "a CMS that is none": (b"\x30\x0b\x06\x09*\x86H\x86\xf7\r\x01\x07\x02", "is no certificate"),
}


@pytest.mark.parametrize("case", NO_CERTIFICATES)
def test_what_does_not_fit_is_not_taken(
    client: Client, upload: Upload, issued: Issued, offered: OfferedFile, case: str
) -> None:
    offered.content, words = NO_CERTIFICATES[case]
    shown = press(client, FETCH, upload(issued.cert_pem, issued.key_pem), address=offered.address)
    assert words in text_of(shown)
    assert shown.context["verdict"].needs_confirmation
    assert "Fetch it from there" in text_of(shown)
    event = AuditEvent.objects.get(verb="authority.fetched")
    assert (event.outcome, words in event.reason) == ("failed", True)


def test_an_error_of_the_server_is_a_sentence(
    client: Client, upload: Upload, issued: Issued, offered: OfferedFile
) -> None:
    offered.status = 404
    shown = press(client, FETCH, upload(issued.cert_pem, issued.key_pem), address=offered.address)
    assert "the server answered with error 404" in text_of(shown)


def test_without_the_setting_the_own_network_is_not_asked(
    client: Client, upload: Upload, issued: Issued, offered: OfferedFile, settings: Settings
) -> None:
    settings.IS_PRIVATE_FETCH_ALLOWED = False
    shown = press(client, FETCH, upload(issued.cert_pem, issued.key_pem), address=offered.address)
    assert NOTHING_FETCHED in text_of(shown)
    assert offered.asked == []
    event = AuditEvent.objects.get(verb="authority.fetched")
    assert event.outcome == "failed"


def test_a_loopback_address_in_a_certificate_is_refused_as_such(
    client: Client,
    upload: Upload,
    ca: ThrowawayCa,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.IS_PRIVATE_FETCH_ALLOWED = False
    address = "http://127.0.0.1/ca.der"
    issued = ca.issue(["mail.example.org"], ca_issuers=[address])
    monkeypatch.setattr(fetching, "connect", lambda *_: pytest.fail("it was asked"))
    shown = press(client, FETCH, upload(issued.cert_pem, issued.key_pem), address=address)
    assert "127.0.0.1, which is not on the internet" in text_of(shown)


def test_only_an_address_of_the_certificate_is_asked(
    client: Client, upload: Upload, issued: Issued, offered: OfferedFile
) -> None:
    elsewhere = offered.address.replace("ca.der", "elsewhere")
    shown = press(client, FETCH, upload(issued.cert_pem, issued.key_pem), address=elsewhere)
    assert "does not say that anything is at" in text_of(shown)
    assert offered.asked == []


def test_pressing_twice_asks_once(
    client: Client, upload: Upload, issued: Issued, offered: OfferedFile
) -> None:
    first = press(client, FETCH, upload(issued.cert_pem, issued.key_pem), address=offered.address)
    second = press(client, FETCH, first, address=offered.address)
    assert second.context["verdict"].is_accepted
    assert offered.asked == ["/ca.der"]


@pytest.mark.parametrize("name", [FETCH, TRUST])
def test_an_upload_that_is_gone_is_asked_for_again(client: Client, name: str) -> None:
    response = client.post(reverse(name), {"token": "of nobody"}, follow=True)
    assert response.redirect_chain == [(reverse("certificates:upload"), 302)]
    assert "is not here any more" in text_of(response)


def test_a_whole_chain_offers_nothing(upload: Upload, issued: Issued) -> None:
    page = text_of(upload(issued.fullchain_pem, issued.key_pem))
    assert "Fetch it from there" not in page
    assert "Trust this authority" not in page


# Trusting the root that came along


@pytest.fixture
def own() -> ThrowawayCa:
    return ThrowawayCa("Own Authority")


def test_a_private_root_is_offered_to_be_trusted_and_then_known(
    client: Client, upload: Upload, own: ThrowawayCa
) -> None:
    issued = own.issue(["mail.example.org"])
    first = upload(issued.fullchain_pem, issued.key_pem, own.root_pem)
    page = text_of(first)
    root = first.context["unknown_root"]
    assert "Trust this authority" in page
    assert "Compare it with what your authority says." in page
    assert not TrustedAuthority.objects.exists()

    shown = press(client, TRUST, first, fingerprint=root.fingerprint)

    page = text_of(shown)
    assert "“Own Authority” is trusted from now on." in page
    assert "Trust this authority" not in page
    assert "not among the public roots" not in page
    row = TrustedAuthority.objects.get()
    assert row.fingerprint == root.fingerprint
    event = AuditEvent.objects.get(verb="authority.trusted")
    assert event.after["fingerprint"] == root.fingerprint
    upload(token=token_in(shown), save="1")
    stored = Certificate.objects.get()
    detail = text_of(client.get(stored.get_absolute_url()))
    assert "leads to Own Authority, which your list of own authorities trusts" in detail
    assert "Root, trusted here as an authority of your own" in detail
    assert "not among the public roots" not in detail


def test_only_the_root_that_was_shown_is_trusted(
    client: Client, upload: Upload, own: ThrowawayCa
) -> None:
    issued = own.issue(["mail.example.org"])
    first = upload(issued.fullchain_pem, issued.key_pem, own.root_pem)
    press(client, TRUST, first, fingerprint="0" * 64)
    assert not TrustedAuthority.objects.exists()


def test_a_root_that_nobody_should_trust_is_refused_with_the_reason(
    client: Client, upload: Upload, own: ThrowawayCa, now: object
) -> None:
    issued = own.issue(["mail.example.org"])
    old = own.add_authority(
        "Own Authority", None, key=own.root.key, not_after=own.root.certificate.not_valid_before_utc
    )
    first = upload(issued.fullchain_pem, issued.key_pem, old.pem)
    root = first.context["unknown_root"]
    shown = press(client, TRUST, first, fingerprint=root.fingerprint)
    assert "expired on" in text_of(shown)
    assert not TrustedAuthority.objects.exists()


def test_a_viewer_presses_neither(client_of: Callable[[str], Client]) -> None:
    for name in (FETCH, TRUST):
        assert client_of("viewer").post(reverse(name), {"token": "x"}).status_code == 403
        assert client_of("operator").get(reverse(name)).status_code == 405


def test_the_root_of_a_stored_certificate_is_offered_on_its_page(
    client: Client, client_of: Callable[[str], Client], upload: Upload, own: ThrowawayCa
) -> None:
    issued = own.issue(["mail.example.org"])
    judged = upload(issued.fullchain_pem, issued.key_pem, own.root_pem)
    upload(token=token_in(judged), save="1")
    stored = Certificate.objects.get()
    detail = client.get(stored.get_absolute_url())
    assert "Trust this authority" in text_of(detail)
    assert "Trust this authority" not in text_of(client_of("viewer").get(stored.get_absolute_url()))
    root, address = detail.context["unknown_root"], reverse("certificates:trust", args=[stored.pk])

    assert client_of("viewer").post(address, {"fingerprint": root.fingerprint}).status_code == 403
    client.post(address, {"fingerprint": "0" * 64})
    assert not TrustedAuthority.objects.exists()
    page = text_of(client.post(address, {"fingerprint": root.fingerprint}, follow=True))

    assert "“Own Authority” is trusted from now on." in page
    assert "Trust this authority" not in page
    assert TrustedAuthority.objects.get().fingerprint == root.fingerprint
    assert AuditEvent.objects.filter(verb="authority.trusted").count() == 1


def test_a_stored_root_that_nobody_should_trust_is_refused_with_the_reason(
    client: Client, upload: Upload, own: ThrowawayCa
) -> None:
    issued = own.issue(["mail.example.org"])
    old = own.add_authority(
        "Own Authority", None, key=own.root.key, not_after=own.root.certificate.not_valid_before_utc
    )
    judged = upload(issued.fullchain_pem, issued.key_pem, old.pem)
    upload(token=token_in(judged), save="1", is_confirmed="on")
    stored = Certificate.objects.get()
    root = client.get(stored.get_absolute_url()).context["unknown_root"]
    address = reverse("certificates:trust", args=[stored.pk])
    page = text_of(client.post(address, {"fingerprint": root.fingerprint}, follow=True))
    assert "expired on" in page
    assert not TrustedAuthority.objects.exists()
