"""A private key or password is in no page, session, log, audit event or database row in clear."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from django.apps import apps
from django.contrib.sessions.models import Session
from django.core.serializers import serialize
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate, PrivateKey, SealedUpload
from mailadmin.certificates.sealed_uploads import UploadGoneError, open_upload
from mailadmin.pki.keys import KeyKind, generate_key, load_private_key, private_key_to_pem
from mailadmin.servers.models import MailServer
from tests.throwaway_pki import ThrowawayCa
from tests.web.certificates.conftest import Upload, text_of, token_in

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct-battery-staple-7261"


class Secrets:
    """Every form in which a key could be found, in text or bytes."""

    def __init__(self, key_pem: bytes) -> None:
        key = load_private_key(key_pem)
        self.pem = key_pem
        plain = [
            key.private_bytes(encoding, form, NoEncryption())
            for encoding in (Encoding.PEM, Encoding.DER)
            for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
        ]
        number = key.private_numbers().private_value.to_bytes(32, "big")
        self._needles = {PASSWORD.encode(), number, number.hex().encode()}
        for der in plain[1::2]:
            self._needles |= {der, base64.b64encode(der), der.hex().encode()}
        for pem in plain[::2]:
            # The last line holds the public half alone, which a certificate may hold as well.
            lines = pem.split(b"\n")[1:-3]
            self._needles |= {line for line in lines if len(line) > 40}

    def found_in(self, haystack: bytes) -> bool:
        """Tell whether a form of the key is there; base64 inside base64 is undone first."""
        return any(needle in text for text in _unfolded(haystack) for needle in self._needles)


def _unfolded(content: bytes, depth: int = 2) -> Iterator[bytes]:
    yield content
    if depth:
        for found in re.findall(rb"[A-Za-z0-9+/_-]{60,}={0,2}", content):
            padded = found.replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
            try:
                inner = base64.b64decode(padded + b"=" * (-len(padded) % 4))
            except ValueError:
                continue
            yield from _unfolded(inner, depth - 1)


def dump_database() -> bytes:
    """Return every value of every row of every table, as bytes one after the other."""
    connection.ensure_connection()
    parts: list[bytes] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - names of our own tables
            for row in cursor.fetchall():
                for value in row:
                    is_binary = isinstance(value, bytes | memoryview)
                    parts.append(bytes(value) if is_binary else str(value).encode())
    return b"\n".join(parts)


def sessions() -> bytes:
    return json.dumps([session.get_decoded() for session in Session.objects.all()]).encode()


def test_the_search_itself_finds_a_key() -> None:
    pem = private_key_to_pem(generate_key(KeyKind.ECDSA_P256))
    secrets = Secrets(pem)
    assert secrets.found_in(pem)
    assert secrets.found_in(base64.b64encode(pem))
    assert secrets.found_in(json.dumps([base64.b64encode(pem).decode()]).encode())
    assert not secrets.found_in(private_key_to_pem(generate_key(KeyKind.ECDSA_P256)))


def test_an_uploaded_key_is_nowhere_in_clear_at_any_step(
    ca: ThrowawayCa,
    upload: Upload,
    client: Client,
    server: MailServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    issued = ca.issue(["mail.example.org"])
    secrets = Secrets(issued.key_pem)
    locked = load_private_key(issued.key_pem).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode())
    )

    def check(response: HttpResponse) -> HttpResponse:
        for place in (
            response.content,
            str(response.headers).encode(),
            dump_database(),
            sessions(),
            caplog.text.encode(),
        ):
            assert not secrets.found_in(place)
            assert locked.split(b"\n")[2] not in place
        return response

    check(upload(issued.fullchain_pem, issued.key_pem))
    asked = check(upload(issued.fullchain_pem, locked))
    asked = check(upload(token=token_in(asked), password=PASSWORD[:-1]))
    verdict = check(upload(token=token_in(asked), password=PASSWORD))
    check(upload(token=token_in(verdict), save="1"))
    row = Certificate.objects.get()
    check(client.get(row.get_absolute_url()))
    check(client.get(reverse("certificates:download", args=[row.pk])))
    check(client.get(reverse("certificates:list")))
    check(client.get("/audit/"))
    check(upload(issued.key_pem + b"garbage", pasted=issued.key_pem.decode()[:-40]))
    check(client.post(reverse("certificates:delete", args=[row.pk])))
    assert not PrivateKey.objects.exists()


def test_the_key_of_a_request_is_nowhere_in_clear(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = generate_key(KeyKind.ECDSA_P256)
    monkeypatch.setattr("mailadmin.certificates.services.generate_key", lambda kind: key)
    secrets = Secrets(private_key_to_pem(key))
    fields = {"common_name": "mail.example.org", "key_kind": "ecdsa-p256"}

    response = client.post(reverse("certificates:request_create"), fields, follow=True)

    assert "PRIVATE KEY" not in text_of(response)
    for place in (response.content, dump_database(), sessions(), caplog.text.encode()):
        assert not secrets.found_in(place)
    assert PrivateKey.objects.get().public_key_id in text_of(response)


def test_a_dump_of_every_model_holds_no_key(ca: ThrowawayCa, upload: Upload) -> None:
    issued = ca.issue(["mail.example.org"])
    upload(token=token_in(upload(issued.fullchain_pem, issued.key_pem)), save="1")
    secrets = Secrets(issued.key_pem)
    for model in apps.get_app_config("certificates").get_models():
        assert not secrets.found_in(serialize("json", model.objects.all()).encode())
    events = json.dumps([event.after for event in AuditEvent.objects.all()])
    assert not secrets.found_in(events.encode())


def test_an_upload_without_its_page_is_opened_by_nobody(
    ca: ThrowawayCa, upload: Upload, client: Client
) -> None:
    issued = ca.issue(["mail.example.org"])
    token = token_in(upload(issued.fullchain_pem, issued.key_pem))
    row = SealedUpload.objects.get()
    assert token.encode() not in dump_database()
    with pytest.raises(UploadGoneError):
        open_upload(user=row.user, token=row.token_hash, now=row.expires_at.replace(year=2020))


def test_a_form_that_comes_back_does_not_repeat_what_was_pasted(
    ca: ThrowawayCa, upload: Upload
) -> None:
    key = ca.issue().key_pem
    long_token = upload(pasted=key.decode(), token="x" * 200)
    assert long_token.status_code == 200
    assert not Secrets(key).found_in(long_token.content)
