"""The upload from the browser: what people have, what they are told, what is stored."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.custody import open_key_pem
from mailadmin.certificates.models import Certificate, PrivateKey, SealedUpload
from mailadmin.pki.certificate import make_self_signed
from mailadmin.pki.keys import private_key_to_pem
from mailadmin.servers.models import MailServer
from tests.throwaway_pki import CLIENT_AUTH, Issued, ThrowawayCa, draw_key, small_rsa_key
from tests.web.certificates.conftest import Upload, store, text_of, token_in

pytestmark = pytest.mark.django_db
PASSWORD = "open sesame"


def lock(key_pem: bytes, password: str = PASSWORD) -> bytes:
    """Return the key encrypted with a password."""
    key = load_pem_private_key(key_pem, None)
    encryption = BestAvailableEncryption(password.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.fixture
def issued(ca: ThrowawayCa) -> Issued:
    return ca.issue(["mail.example.org", "xn--bcher-kva.example"])


def test_the_parts_may_come_in_the_wrong_order(upload: Upload) -> None:
    """Of all the orders there are, see the tests of ``bundle``."""
    deep = ThrowawayCa("Deep Authority", intermediates=2)
    issued = deep.issue(["mail.example.org"])
    lower, upper = deep.intermediate_pems
    wrong = [deep.root_pem, upper, lower, issued.key_pem, issued.cert_pem]
    verdict = upload(b"\n".join(wrong)).context["verdict"]
    assert verdict.is_accepted
    assert verdict.chain_pem.encode() == lower + upper
    assert not Certificate.objects.exists()


def test_files_and_pasted_text_are_one_upload(issued: Issued, upload: Upload) -> None:
    response = upload(issued.cert_pem, issued.chain_pem, pasted=issued.key_pem.decode())
    assert response.context["verdict"].is_accepted
    page = text_of(response)
    assert "1 server certificate, 1 intermediate certificate and 1 private key" in page
    assert "bücher.example (xn--bcher-kva.example)" in page
    assert "Its private key was in the upload and matches." in page


def test_the_verdict_says_which_listeners_would_use_it(
    server: MailServer, issued: Issued, upload: Upload
) -> None:
    page = text_of(upload(issued.fullchain_pem, issued.key_pem))
    assert "mail.example.org</strong>, the name of this server" in page.replace("\n", "")


def test_nothing_is_stored_before_save(
    client: Client, issued: Issued, upload: Upload, server: MailServer
) -> None:
    verdict = upload(issued.fullchain_pem, issued.key_pem)
    assert not Certificate.objects.exists()
    assert not PrivateKey.objects.exists()

    response = upload(token=token_in(verdict), save="1")

    certificate = Certificate.objects.get()
    assert response["Location"] == f"{reverse('listeners:assign')}?certificate={certificate.pk}"
    assert certificate.names == ["mail.example.org", "xn--bcher-kva.example"]
    assert certificate.chain_pem.encode() == issued.chain_pem
    assert certificate.origin == Certificate.Origin.UPLOADED
    assert certificate.private_key is not None
    assert open_key_pem(certificate.private_key).encode() == issued.key_pem
    assert not SealedUpload.objects.exists()
    event = AuditEvent.objects.get(object_type="certificate")
    assert event.verb == "certificate.uploaded"
    assert event.after["fingerprint"] == certificate.fingerprint
    assert "was saved" in text_of(client.get(certificate.get_absolute_url()))


REFUSALS: dict[str, tuple[Callable[[ThrowawayCa, datetime], bytes], str]] = {
    "the key of another certificate": (
        lambda ca, _now: (
            ca.issue(["mail.example.org"]).fullchain_pem + ca.issue(["b.test"]).key_pem
        ),
        "The private key belongs to another certificate, not to the one for mail.example.org",
    ),
    "no key": (
        lambda ca, _now: ca.issue(["mail.example.org"]).fullchain_pem,
        "The private key for mail.example.org is missing",
    ),
    "expired": (
        lambda ca, now: whole(ca.issue(["mail.example.org"], not_after=now - timedelta(days=1))),
        "The certificate for mail.example.org expired on",
    ),
    "not yet valid": (
        lambda ca, now: whole(ca.issue(["mail.example.org"], not_before=now + timedelta(days=1))),
        "The certificate for mail.example.org is not valid before",
    ),
    "not for servers": (
        lambda ca, _now: whole(ca.issue(["mail.example.org"], eku=(CLIENT_AUTH,))),
        "may not be used by a server (it lacks serverAuth)",
    ),
    "no usable name": (
        lambda ca, _now: whole(ca.issue([], cn="mail.example.org")),
        "The certificate “mail.example.org” names no host",
    ),
    "a small RSA key": (
        lambda ca, _now: whole(ca.issue(["mail.example.org"], key=small_rsa_key())),
        "The RSA key of mail.example.org has only 1024 bits",
    ),
    "a SHA-1 signature": (
        lambda ca, _now: whole(ca.issue(["mail.example.org"], sha1=True)),
        "signed with a method that can be forged (SHA-1)",
    ),
    "garbage": (
        lambda _ca, _now: os.urandom(3000),
        "Part 1 holds no certificate and no key that is understood here",
    ),
    "a damaged block": (
        lambda ca, _now: ca.issue().cert_pem[:200] + b"\n-----END CERTIFICATE-----\n",
        "begins in line 1 is incomplete or damaged",
    ),
    "only the authority": (
        lambda ca, _now: ca.intermediate_pems[0],
        "There are only certificates of authorities: Test Authority Intermediate 1",
    ),
    "two servers": (
        lambda ca, _now: whole(ca.issue(["a.example.org"])) + whole(ca.issue(["b.example.org"])),
        "There are certificates for 2 servers (a.example.org, b.example.org)",
    ),
    "only a key": (
        lambda ca, _now: ca.issue().key_pem,
        "There is no certificate in the upload",
    ),
    "nothing": (lambda _ca, _now: b"", "There is nothing to read."),
}


def whole(issued: Issued) -> bytes:
    return issued.fullchain_pem + issued.key_pem


@pytest.mark.parametrize("what", REFUSALS)
def test_it_is_refused_with_the_reason(
    what: str, ca: ThrowawayCa, now: datetime, upload: Upload
) -> None:
    make, sentence = REFUSALS[what]
    response = upload(make(ca, now))
    assert response.status_code == 200
    page = text_of(response)
    assert "This cannot be saved as it is" in page
    assert sentence in page
    assert 'name="save"' not in page

    again = upload(token=token_in(response), save="1")

    assert again.status_code == 200
    assert not Certificate.objects.exists()
    assert not PrivateKey.objects.exists()


def test_part_numbers_are_told_with_file_names(issued: Issued, upload: Upload) -> None:
    response = upload(issued.fullchain_pem, b"%PDF-1.7 invoice", pasted=issued.key_pem.decode())
    page = text_of(response)
    assert response.context["verdict"].is_accepted
    assert "Part 2 is a PDF document, which is not read here." in page
    assert response.context["part_names"] == ["part-1.pem", "part-2.pem", "pasted text"]


def test_a_missing_intermediate_must_be_confirmed(issued: Issued, upload: Upload) -> None:
    response = upload(issued.cert_pem, issued.key_pem)
    page = text_of(response)
    assert "The certificate of “Test Authority Intermediate 1” is missing" in page
    assert 'class="gap"' in page
    assert 'name="is_confirmed"' in page
    token = token_in(response)

    unconfirmed = upload(token=token, save="1")

    assert "Before this is saved, confirm" in text_of(unconfirmed)
    assert not Certificate.objects.exists()

    confirmed = upload(token=token, save="1", is_confirmed="on")

    assert confirmed.status_code == 302
    assert Certificate.objects.get().chain_pem == ""


def test_what_is_missing_can_be_added_to_the_same_upload(issued: Issued, upload: Upload) -> None:
    first = upload(issued.cert_pem)
    assert "The private key for mail.example.org is missing" in text_of(first)
    second = upload(issued.key_pem, token=token_in(first))
    assert second.context["verdict"].needs_confirmation
    third = upload(issued.chain_pem, token=token_in(second))
    assert third.context["verdict"].is_accepted
    assert not third.context["verdict"].needs_confirmation
    assert SealedUpload.objects.count() == 1

    assert upload(token=token_in(third), save="1").status_code == 302
    assert Certificate.objects.get().chain_pem.encode() == issued.chain_pem


def test_a_known_intermediate_is_added_by_itself(
    ca: ThrowawayCa, issued: Issued, upload: Upload
) -> None:
    store(ca.issue(["other.example.org"]))
    response = upload(issued.cert_pem, issued.key_pem)
    assert not response.context["verdict"].needs_confirmation
    assert "was missing in the upload and is added" in text_of(response)


def test_the_password_is_asked_for_only_when_it_is_needed(issued: Issued, upload: Upload) -> None:
    page = text_of(upload(issued.fullchain_pem, issued.key_pem))
    assert 'type="password"' not in page

    asked = upload(issued.fullchain_pem, lock(issued.key_pem))

    page = text_of(asked)
    assert "The private key is protected by a password" in page
    assert 'name="password"' in page
    assert " autofocus" in page
    assert not PrivateKey.objects.exists()


def test_a_wrong_password_asks_again_and_the_right_one_opens(
    issued: Issued, upload: Upload
) -> None:
    asked = upload(issued.cert_pem, issued.chain_pem, lock(issued.key_pem))
    wrong = upload(token=token_in(asked), password="wrong")
    assert "could not be opened with this password" in text_of(wrong)

    right = upload(token=token_in(wrong), password=PASSWORD)

    assert right.context["verdict"].is_accepted
    assert upload(token=token_in(right), save="1").status_code == 302
    row = Certificate.objects.get().private_key
    assert row is not None
    assert open_key_pem(row).encode() == issued.key_pem


def test_an_upload_is_opened_by_nobody_else(
    issued: Issued, upload: Upload, client_of: Callable[[str], Client]
) -> None:
    token = token_in(upload(issued.fullchain_pem, issued.key_pem))
    response = client_of("administrator").post(
        reverse("certificates:upload"), {"token": token, "save": "1"}
    )
    assert "What you uploaded is not here any more" in text_of(response)
    assert not Certificate.objects.exists()


def test_an_upload_waits_no_longer_than_a_quarter_of_an_hour(
    issued: Issued, upload: Upload
) -> None:
    token = token_in(upload(issued.fullchain_pem, issued.key_pem))
    SealedUpload.objects.update(
        expires_at=SealedUpload.objects.get().expires_at - timedelta(minutes=15)
    )
    response = upload(token=token, save="1")
    assert "What you uploaded is not here any more" in text_of(response)
    assert not Certificate.objects.exists()


def test_uploading_a_known_certificate_again_says_so(
    issued: Issued, upload: Upload, client: Client, server: MailServer
) -> None:
    store(issued)
    token = token_in(upload(issued.fullchain_pem, issued.key_pem))
    response = upload(token=token, save="1")
    page = text_of(client.get(response["Location"]))
    assert "was here already; nothing changed" in page
    assert Certificate.objects.count() == 1
    assert AuditEvent.objects.filter(object_type="certificate").count() == 1


def test_a_chain_that_was_missing_is_added_by_a_second_upload(
    issued: Issued, upload: Upload
) -> None:
    token = token_in(upload(issued.cert_pem, issued.key_pem))
    upload(token=token, save="1", is_confirmed="on")
    token = token_in(upload(issued.fullchain_pem, issued.key_pem))
    upload(token=token, save="1")
    assert Certificate.objects.get().chain_pem.encode() == issued.chain_pem
    verbs = AuditEvent.objects.filter(object_type="certificate").values_list("verb", flat=True)
    assert list(verbs) == ["certificate.completed", "certificate.uploaded"]


def test_of_two_certificates_for_one_key_the_newer_is_taken(
    ca: ThrowawayCa, now: datetime, upload: Upload
) -> None:
    key = draw_key()
    older = ca.issue(["mail.example.org"], key=key, not_before=now - timedelta(days=30))
    newer = ca.issue(["mail.example.org"], key=key)
    for first, second in ((older, newer), (newer, older)):
        response = upload(first.cert_pem, second.cert_pem, ca.intermediate_pems[0], newer.key_pem)
        assert response.context["verdict"].leaf.pem.encode() == newer.cert_pem


def test_a_chain_that_ends_at_a_trusted_root_needs_no_warning(
    ca: ThrowawayCa, issued: Issued, upload: Upload, settings: Settings, tmp_path: Path
) -> None:
    settings.TRUST_STORE_FILE = tmp_path / "roots.pem"
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    settings.TRUST_STORE_FILE.write_bytes(broken + ca.root_pem)
    page = text_of(upload(issued.fullchain_pem, issued.key_pem))
    assert "Root, known to clients" in page
    assert f"Its chain leads to {ca.name}, which this system trusts." in page
    assert "not among the public roots" not in page


def test_without_a_trust_store_the_root_is_not_judged(
    issued: Issued, upload: Upload, settings: Settings, tmp_path: Path
) -> None:
    settings.TRUST_STORE_FILE = settings.MOZILLA_ROOTS_FILE = tmp_path / "missing.pem"
    response = upload(issued.fullchain_pem, issued.key_pem)
    assert response.context["verdict"].is_accepted
    assert 'class="note note-warning">' not in text_of(response)


def test_a_certificate_signed_by_itself_is_the_whole_of_its_chain(
    now: datetime, upload: Upload
) -> None:
    key = draw_key()
    pem = make_self_signed(key, ["mail.example.org"], now)
    response = upload(pem, private_key_to_pem(key))
    page = text_of(response)
    assert "is signed by nobody but itself" in page
    assert len(response.context["links"]) == 1


def test_a_broken_length_header_is_refused(client: Client) -> None:
    response = client.post(reverse("certificates:upload"), CONTENT_LENGTH="many")
    assert response.status_code in (400, 413)
