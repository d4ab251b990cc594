"""A fixed day, a known trust store, and the corpora's folders."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from django.utils import timezone

from mailadmin.certificates.bounded import BoundedReader
from mailadmin.certificates.bounded.questions import QUESTIONS
from mailadmin.certificates.bounded.wire import LENGTH_BYTES, from_wire, to_wire

VECTORS = Path(cryptography_vectors.__file__).parent
PKITS = VECTORS / "x509" / "PKITS_data"
# All that PKITS made is valid on this day, and most of what real authorities made has ended.
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def armored(der: bytes) -> str:
    """Return a certificate as PEM."""
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


@pytest.fixture(scope="session")
def trust_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a trust store that holds the one root of PKITS."""
    path = tmp_path_factory.mktemp("trust") / "roots.pem"
    path.write_text(armored((PKITS / "certs" / "TrustAnchorRootCertificate.crt").read_bytes()))
    return path


@pytest.fixture
def _on_the_day(
    settings: Any, monkeypatch: pytest.MonkeyPatch, trust_store: Path, _read_here: None
) -> None:
    settings.TRUST_STORE_FILE = trust_store
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def password_file(tmp_path: Path) -> Callable[[str], Path | None]:
    """Return a function that puts a password into a file, and says nothing about none."""

    def write(password: str) -> Path | None:
        if not password:
            return None
        path = tmp_path / "password"
        path.write_text(password + "\n")
        return path

    return write


@pytest.fixture
def _read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer without a child, which costs a tenth of a second for each of thousands of files.

    What is asked and answered passes the wire all the same; ``test_command_line`` starts children.
    """

    def ask(reader: BoundedReader, name: str, asked: object) -> Any:
        question = QUESTIONS[name]
        received = from_wire(to_wire(asked, question.asked)[LENGTH_BYTES:], question.asked)
        answer = to_wire(question.answer(received), question.answered)
        return from_wire(answer[LENGTH_BYTES:], question.answered)

    monkeypatch.setattr(BoundedReader, "_ask", ask)
