"""A stored certificate: what its chain lacks is fetched by a button; a private root is no gap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.judging import judge_upload
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.services import complete_chain, delete_certificate, store_certificate
from tests.factories import make_actor
from tests.loopback_web import OfferedFile, offering
from tests.throwaway_pki import ThrowawayCa
from tests.web.certificates.conftest import Upload, text_of, token_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("known_root")]
BUTTON = "Fetch it from there"


def store(*parts: bytes) -> Certificate:
    verdict = judge_upload(parts, now=datetime.now(UTC))
    stored = store_certificate(actor=make_actor(), verdict=verdict, is_confirmed=True)
    return stored.certificate


@pytest.fixture
def stored(ca: ThrowawayCa, offered: OfferedFile) -> Certificate:
    """Return a certificate that was saved without its intermediate."""
    issued = ca.issue(["mail.example.org"], ca_issuers=[offered.address])
    return store(issued.cert_pem, issued.key_pem)


def press(client: Client, row: Certificate, address: str) -> str:
    url = reverse("certificates:fetch", args=[row.pk])
    return text_of(client.post(url, {"address": address}, follow=True))


def test_the_page_offers_to_fetch_what_is_missing_and_fetches_nothing_itself(
    client: Client, stored: Certificate, offered: OfferedFile
) -> None:
    page = text_of(client.get(stored.get_absolute_url()))
    assert f">{offered.address}</span>" in page
    assert BUTTON in page
    assert 'class="gap"' in page
    assert offered.asked == []


def test_what_was_fetched_completes_the_stored_chain(
    client: Client, ca: ThrowawayCa, stored: Certificate, offered: OfferedFile
) -> None:
    page = press(client, stored, offered.address)
    assert offered.asked == ["/ca.der"]
    assert f"“Test Authority Intermediate 1” was fetched from {offered.address}" in page
    assert BUTTON not in page
    assert 'class="gap"' not in page
    assert "leads to Test Authority, which this system trusts" in page
    stored.refresh_from_db()
    assert stored.chain_pem.encode() == ca.intermediate_pems[0]
    fetched = AuditEvent.objects.get(verb="authority.fetched")
    assert (fetched.outcome, fetched.after["address"]) == ("ok", offered.address)
    completed = AuditEvent.objects.get(verb="certificate.completed")
    assert (completed.before["intermediates"], completed.after["intermediates"]) == (0, 1)
    assert completed.object_id == str(stored.pk)


def test_pressing_twice_asks_once(
    client: Client, stored: Certificate, offered: OfferedFile
) -> None:
    press(client, stored, offered.address)
    page = press(client, stored, offered.address)
    assert "was fetched" not in page
    assert offered.asked == ["/ca.der"]
    assert AuditEvent.objects.filter(verb="certificate.completed").count() == 1


def test_a_chain_with_two_gaps_is_completed_in_two_steps(
    client: Client, settings: Settings
) -> None:
    long = ThrowawayCa("Long", intermediates=1)
    settings.TRUST_STORE_FILE.write_bytes(long.root_pem)
    upper = long.intermediates[0]
    with offering(upper.certificate.public_bytes(Encoding.DER)) as above:
        lower = long.add_authority("Long Lower", upper, ca_issuers=[above.address])
        long.intermediates.insert(0, lower)
        with offering(lower.certificate.public_bytes(Encoding.DER)) as below:
            issued = long.issue(["mail.example.org"], ca_issuers=[below.address])
            row = store(issued.cert_pem, issued.key_pem)
            assert BUTTON in press(client, row, below.address)
        assert BUTTON not in press(client, row, above.address)
    row.refresh_from_db()
    assert row.chain_pem.encode() == b"".join(long.intermediate_pems)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>Not here</html>", "is no certificate"),
        (ThrowawayCa("Test Authority").intermediate_pems[0], "did not sign this"),
    ],
)
def test_what_does_not_fit_is_not_taken(
    client: Client, stored: Certificate, offered: OfferedFile, content: bytes, words: str
) -> None:
    offered.content = content
    page = press(client, stored, offered.address)
    assert words in page
    assert BUTTON in page
    stored.refresh_from_db()
    assert stored.chain_pem == ""
    assert AuditEvent.objects.get(verb="authority.fetched").outcome == "failed"


def test_an_issuer_for_which_the_chain_would_be_refused_is_not_taken(
    client: Client, ca: ThrowawayCa, stored: Certificate, offered: OfferedFile
) -> None:
    now = datetime.now(UTC)
    old = ca.add_authority(
        "Test Authority Intermediate 1",
        ca.root,
        key=ca.intermediates[0].key,
        not_before=now - timedelta(9),
        not_after=now - timedelta(1),
    )
    offered.content = old.certificate.public_bytes(Encoding.DER)
    page = press(client, stored, offered.address)
    assert "The intermediate certificate “Test Authority Intermediate 1” expired on" in page
    assert "was fetched from" not in page
    stored.refresh_from_db()
    assert stored.chain_pem == ""


def test_only_an_address_of_the_certificate_is_asked(
    client: Client, stored: Certificate, offered: OfferedFile
) -> None:
    page = press(client, stored, offered.address.replace("ca.der", "elsewhere"))
    assert "does not say that anything is at" in page
    assert offered.asked == []


def test_without_the_setting_the_own_network_is_not_asked(
    client: Client, stored: Certificate, offered: OfferedFile, settings: Settings
) -> None:
    settings.IS_PRIVATE_FETCH_ALLOWED = False
    assert "Nothing was fetched from" in press(client, stored, offered.address)
    assert offered.asked == []


def test_a_viewer_sees_no_button_and_may_not_press_it(
    client_of: Callable[[str], Client], stored: Certificate, offered: OfferedFile
) -> None:
    viewer = client_of("viewer")
    assert BUTTON not in text_of(viewer.get(stored.get_absolute_url()))
    url = reverse("certificates:fetch", args=[stored.pk])
    assert viewer.post(url, {"address": offered.address}).status_code == 403
    assert client_of("operator").get(url).status_code == 405
    assert offered.asked == []


def test_a_deleted_certificate_is_not_completed(
    client: Client, stored: Certificate, offered: OfferedFile
) -> None:
    verdict = judge_upload([stored.leaf_pem.encode()], now=datetime.now(UTC))
    delete_certificate(actor=make_actor(), certificate=stored)
    assert BUTTON not in text_of(client.get(stored.get_absolute_url()))
    url = reverse("certificates:fetch", args=[stored.pk])
    assert client.post(url, {"address": offered.address}).status_code == 404
    with pytest.raises(CertificateRefusedError) as caught:
        complete_chain(actor=make_actor(), certificate=stored, verdict=verdict)
    assert [problem.code for problem in caught.value.problems] == ["certificate.deleted"]
    assert offered.asked == []


# A private root


@pytest.fixture
def own() -> ThrowawayCa:
    return ThrowawayCa("Own Authority", intermediates=0)


def test_a_stored_leaf_below_a_private_root_is_judged_as_its_upload_was(
    client: Client, upload: Upload, own: ThrowawayCa
) -> None:
    issued = own.issue(["mail.example.org"])
    shown = upload(issued.cert_pem, issued.key_pem, own.root_pem)
    uploaded = text_of(shown)
    upload(token=token_in(shown), save="1")
    row = Certificate.objects.get()
    page = text_of(client.get(row.get_absolute_url()))
    for words in ("ends at “Own Authority”, which is not among", "Issuer, not known here"):
        assert words in uploaded
        assert words in page
    assert 'class="gap"' not in page
    assert row.chain_pem == ""
    download = client.get(reverse("certificates:download", args=[row.pk]))
    assert download.content == issued.cert_pem


def test_the_root_that_comes_later_closes_the_gap(client: Client, own: ThrowawayCa) -> None:
    issued = own.issue(["mail.example.org"])
    row = store(issued.cert_pem, issued.key_pem)
    assert 'class="gap"' in text_of(client.get(row.get_absolute_url()))
    store(issued.cert_pem, issued.key_pem, own.root_pem)
    assert 'class="gap"' not in text_of(client.get(row.get_absolute_url()))
    event = AuditEvent.objects.get(verb="certificate.completed")
    assert (event.before["has_private_root"], event.after["has_private_root"]) == (False, True)


def test_a_public_root_is_not_kept(ca: ThrowawayCa) -> None:
    issued = ca.issue(["mail.example.org"])
    assert store(issued.fullchain_pem, issued.key_pem, ca.root_pem).root_pem == ""


def test_an_uploaded_key_alone_finds_the_private_root_of_its_certificate(own: ThrowawayCa) -> None:
    issued = own.issue(["mail.example.org"])
    store(issued.cert_pem, issued.key_pem, own.root_pem)
    verdict = judge_upload([issued.key_pem], now=datetime.now(UTC))
    assert verdict.anchor is not None
    assert not verdict.needs_confirmation
