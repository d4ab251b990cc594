"""Whatever is thrown at the upload is answered with a sentence, soon, and never with a 500."""

from __future__ import annotations

import os
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509 import load_pem_x509_certificate
from django.test import Client
from django.urls import reverse

from mailadmin.certificates.models import Certificate, PrivateKey
from mailadmin.pki.keys import KeyKind, generate_key, load_private_key
from mailadmin.pki.parts import MAX_TEXT_BYTES
from tests.throwaway_pki import ThrowawayCa, common_name, sign_certificate
from tests.unit.pki.test_keys import pbkdf2_key
from tests.web.certificates.conftest import Upload, store, text_of, token_in

pytestmark = pytest.mark.django_db
LIMIT = 2.0  # seconds of our own processor; test_slow_uploads counts those of the children too
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\n"
END = b"-----END CERTIFICATE-----\n"

HOSTILE = {
    "random bytes": os.urandom(60_000),
    "zero bytes": bytes(60_000),
    "only begin lines": CERTIFICATE * 2000,
    "an endless block": CERTIFICATE + b"A" * 60_000,
    "dashes": b"-" * 60_000,
    "many empty blocks": (CERTIFICATE + END) * 1000,
    "a DER length of four gigabytes": b"\x30\x84\xff\xff\xff\xff" + b"\0" * 1000,
    "nested sequences": b"\x30\x80" * 30_000,
    "UTF-16 nonsense": "-----BEGIN CERTIFICATE-----\nÄÖÜ\n-----END CERTIFICATE-----".encode(
        "utf-16"
    ),
    "latin-1": "-----BEGIN CERTIFICATE-----\nÄÖÜ\n".encode("latin-1"),
    "an HTML page": b"<script>alert(1)</script>" * 1000,
    "half a UTF-8 letter": b"\xc3" * 1000,
    "an odd label": b"-----BEGIN <img src=x onerror=alert(1)>-----\nAAAA\n",
    "key of nothing": b"-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----\n",
    "encrypted nothing": b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
    b"DEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("way", ["file", "pasted", "both"])
def test_it_is_answered_soon_with_a_sentence(what: str, way: str, upload: Upload) -> None:
    content = HOSTILE[what]
    files = [content] if way != "pasted" else []
    fields = {} if way == "file" else {"pasted": content.decode("utf-8", "replace")}
    begin = time.process_time()
    response = upload(*files, **fields)
    assert time.process_time() - begin < LIMIT
    assert response.status_code == 200
    page = text_of(response)
    assert 'class="note note-error">' in page or 'name="password"' in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert not Certificate.objects.exists()


def test_a_file_above_the_limit_is_told_its_number(ca: ThrowawayCa, upload: Upload) -> None:
    page = text_of(upload(ca.issue().cert_pem, b"A" * 70_000))
    assert "Part 2 is larger than 64 KiB" in page


def test_an_upload_above_the_limit_of_the_whole_is_not_read(upload: Upload) -> None:
    begin = time.process_time()
    response = upload(*[b"x" * 300_000] * 10)
    assert time.process_time() - begin < LIMIT
    assert response.status_code == 413
    assert "This is more than 1024 KiB" in text_of(response)


def test_pasting_megabytes_is_answered_with_a_page(upload: Upload) -> None:
    response = upload(pasted="x" * 3_000_000)
    assert response.status_code in (400, 413)
    assert "too large" in text_of(response) or "This is more than" in text_of(response)


def test_a_hundred_files_are_answered_with_a_page(upload: Upload) -> None:
    response = upload(*[b"x"] * 100)
    assert response.status_code in (200, 400)
    assert "<h1>" in text_of(response)


def test_a_heap_of_certificates_is_bounded(ca: ThrowawayCa, upload: Upload) -> None:
    heap = [ca.issue([f"h{n}.example.org"]).cert_pem for n in range(60)]
    begin = time.process_time()
    page = text_of(upload(b"".join(heap[:30]), b"".join(heap[30:])))
    assert time.process_time() - begin < LIMIT
    assert "There are more than" in page


def test_authorities_that_sign_each_other_in_circles_end(upload: Upload) -> None:
    ca = ThrowawayCa("Circle")
    keys = [generate_key(KeyKind.ECDSA_P256) for _ in range(12)]
    name = common_name("Circle")
    begin, end = ca.root.certificate.not_valid_before_utc, ca.root.certificate.not_valid_after_utc
    crossed = [
        sign_certificate(
            name,
            key.public_key(),
            signer=name,
            signer_key=keys[number - 1],
            not_before=begin,
            not_after=end,
            is_ca=True,
            usages=frozenset({"key_cert_sign"}),
        ).public_bytes(Encoding.PEM)
        for number, key in enumerate(keys)
    ]
    leaf_key = generate_key(KeyKind.ECDSA_P256)
    leaf = sign_certificate(
        common_name("mail.example.org"),
        leaf_key.public_key(),
        signer=name,
        signer_key=keys[0],
        not_before=begin,
        not_after=end,
        names=["mail.example.org"],
    ).public_bytes(Encoding.PEM)
    started = time.process_time()
    assert upload(leaf, *crossed).status_code == 200
    assert time.process_time() - started < LIMIT


def test_a_certificate_with_as_many_names_as_fit_is_shown_legibly(
    ca: ThrowawayCa, upload: Upload, client: Client
) -> None:
    issued = ca.issue([f"h{number}.example.org" for number in range(2000)], days=60)
    begin = time.process_time()
    response = upload(issued.fullchain_pem, issued.key_pem)
    page = text_of(response)
    assert "h0.example.org" in page
    assert "and 1992 more names" in page
    saved = upload(token=token_in(response), save="1")
    assert saved.status_code == 302
    detail = text_of(client.get(Certificate.objects.get().get_absolute_url()))
    assert time.process_time() - begin < LIMIT
    assert "and 1988 more" in detail


def test_ten_thousand_names_in_a_container_are_saved_and_found(
    ca: ThrowawayCa, upload: Upload, client: Client
) -> None:
    """The certificate is larger than a text may be that is uploaded."""
    issued = ca.issue([f"h{number}.example.org" for number in range(10_000)], days=60)
    assert len(issued.cert_pem) > MAX_TEXT_BYTES
    container = serialize_key_and_certificates(
        b"many",
        load_private_key(issued.key_pem),
        load_pem_x509_certificate(issued.cert_pem),
        [ca.intermediates[0].certificate],
        NoEncryption(),
    )
    begin = time.process_time()
    response = upload(container)
    assert "and 9992 more names" in text_of(response)
    assert time.process_time() - begin < LIMIT
    begin = time.process_time()
    assert upload(token=token_in(response), save="1").status_code == 302
    assert time.process_time() - begin < LIMIT
    address = Certificate.objects.get().get_absolute_url()
    begin = time.process_time()
    page = text_of(client.get(address))
    assert time.process_time() - begin < LIMIT
    assert "10000 names." in page
    assert "and 9988 more" in page
    found = text_of(client.get(address, {"name": "H1234."}))
    assert "1 of 10000 names contains “H1234.”" in found
    assert found.count('<li class="exact">') == 1
    nothing = text_of(client.get(address, {"name": "<b>"}))
    assert "0 of 10000 names contain “&lt;b&gt;”" in nothing
    assert time.process_time() - begin < 2 * LIMIT


def test_texts_of_a_certificate_are_shown_as_text(
    ca: ThrowawayCa, upload: Upload, client: Client
) -> None:
    issued = ca.issue(["mail.example.org"], cn="<script>alert(1)</script>")
    response = upload(issued.fullchain_pem, issued.key_pem)
    assert b"<script>alert" not in response.content
    upload(token=token_in(response), save="1")
    for address in (Certificate.objects.get().get_absolute_url(), "/certificates/"):
        assert b"<script>alert" not in client.get(address).content


@pytest.mark.filterwarnings("ignore:Attribute's length")
def test_a_common_name_that_no_column_can_hold_is_stored_cut(
    ca: ThrowawayCa, upload: Upload
) -> None:
    title = "nul\0" + "x" * 5000
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, title, _validate=False)])
    key = generate_key(KeyKind.ECDSA_P256)
    root = ca.root.certificate
    certificate = sign_certificate(
        subject,
        key.public_key(),
        signer=root.subject,
        signer_key=ca.root.key,
        not_before=root.not_valid_before_utc,
        not_after=root.not_valid_after_utc,
        names=["mail.example.org"],
    )
    pem = certificate.public_bytes(Encoding.PEM)
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    response = upload(pem, key_pem)
    saved = upload(token=token_in(response), save="1", is_confirmed="on")
    assert saved.status_code == 302
    row = Certificate.objects.get()
    assert len(row.common_name) == 255
    assert row.common_name.startswith("nul\ufffdx")
    assert "\0" not in row.subject


def test_a_key_that_takes_minutes_to_open_is_refused(ca: ThrowawayCa, upload: Upload) -> None:
    slow = pbkdf2_key(1, told_rounds=2**31 - 1)
    begin = time.process_time()
    asked = upload(ca.issue().fullchain_pem, slow)
    answered = upload(token=token_in(asked), password="open sesame")
    assert time.process_time() - begin < LIMIT
    assert "opening it would take very long" in text_of(answered)
    assert not PrivateKey.objects.exists()


def test_forms_take_hostile_text_calmly(client: Client) -> None:
    for text in ("\0", "x" * 200_000, "*" * 5000, "xn--" * 500, "💥.example", ".", "[::1%eth0]"):
        for page, field in (("request_create", "common_name"), ("self_signed", "names")):
            begin = time.process_time()
            response = client.post(
                reverse(f"certificates:{page}"), {field: text, "names": text, "key_kind": "x"}
            )
            assert response.status_code == 200
            assert time.process_time() - begin < LIMIT
        assert (
            client.post(reverse("certificates:names_preview"), {"names": text}).status_code == 200
        )
        assert client.get("/certificates/", {"q": text[:1000]}).status_code == 200


def test_a_list_of_hostile_rows_is_shown(ca: ThrowawayCa, client: Client) -> None:
    row = store(ca.issue(["mail.example.org"]))
    Certificate.objects.filter(pk=row.pk).update(names=[], common_name="")
    assert row.fingerprint[:16] in text_of(client.get("/certificates/"))
    assert client.get(row.get_absolute_url()).status_code == 200
