"""An authority, somebody at the browser, and short ways to say what tests say often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from mailadmin.certificates.judging import judge_upload
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.services import store_certificate
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import register_server
from tests.factories import make_actor
from tests.loopback_web import OfferedFile, offering
from tests.throwaway_pki import Issued, ThrowawayCa

Upload = Callable[..., HttpResponse]


@pytest.fixture(autouse=True)
def _own_master_key(tmp_path: Path, settings: Settings) -> None:
    """Give each test a master key of its own."""
    settings.MASTER_KEY_FILE = tmp_path / "secrets" / "master.key"


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def ca() -> ThrowawayCa:
    return ThrowawayCa("Test Authority")


@pytest.fixture
def server(db: None) -> MailServer:
    return register_server(actor=make_actor(), host_name="mail.example.org")


@pytest.fixture
def client(client_of: Callable[[str], Client]) -> Client:
    """Return the browser of an operator."""
    return client_of("operator")


@pytest.fixture
def upload(client: Client) -> Upload:
    """Return a function that uploads files, with whatever other fields the form has."""

    def send(*files: bytes, **fields: str) -> HttpResponse:
        parts = [SimpleUploadedFile(f"part-{n}.pem", content) for n, content in enumerate(files, 1)]
        response: HttpResponse = client.post(
            reverse("certificates:upload"), {"parts": parts, **fields}
        )
        return response

    return send


def token_in(response: HttpResponse) -> str:
    """Return the token of the upload that the page continues."""
    token: str = response.context["token"]
    return token


def text_of(response: HttpResponse) -> str:
    """Return the page as text, with quotes as people see them."""
    page = response.content.decode()
    return page.replace("&#x27;", "'").replace("&quot;", '"').replace("&amp;", "&")


def store(issued: Issued) -> Certificate:
    """Store an issued certificate with its key, as an upload would."""
    verdict = judge_upload([issued.fullchain_pem, issued.key_pem], now=datetime.now(UTC))
    return store_certificate(actor=make_actor(), verdict=verdict).certificate


@pytest.fixture
def known_root(settings: Settings, tmp_path: Path, ca: ThrowawayCa) -> None:
    """Know the root of our authority and no other, and let it be asked."""
    settings.TRUST_STORE_FILE = tmp_path / "roots.pem"
    settings.TRUST_STORE_FILE.write_bytes(ca.root_pem)
    settings.MOZILLA_ROOTS_FILE = tmp_path / "none.pem"
    settings.IS_PRIVATE_FETCH_ALLOWED = True


@pytest.fixture
def offered(ca: ThrowawayCa) -> Iterator[OfferedFile]:
    """Offer the intermediate where an authority would."""
    with offering(ca.intermediates[0].certificate.public_bytes(Encoding.DER)) as file:
        yield file
