"""``manage.py acme_account``: the same answers, refusals and secrecy as the page."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from mailadmin.acme.models import AcmeAccount
from mailadmin.acme.sealing import open_secret
from mailadmin.audit.models import AuditEvent
from tests.throwaway_pki import ThrowawayCa

pytestmark = pytest.mark.django_db
DIRECTORY = "https://ca.example.org/acme/directory"
HMAC_KEY = "c2VjcmV0LWtleS1vZi1hLWN1c3RvbWVyLWFjY291bnQ"


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("acme_account", *arguments, stdout=out)
    return out.getvalue()


def test_an_account_is_opened_once() -> None:
    assert "a worker registers" in run(DIRECTORY, "--agree", "--contact", "a@example.org")
    row = AcmeAccount.objects.get()
    assert (row.title, row.directory_url, row.contact) == (
        "ca.example.org",
        DIRECTORY,
        "a@example.org",
    )
    assert (row.errand, row.terms_url) == ("register", DIRECTORY)
    assert "known already" in run(DIRECTORY, "--agree")
    assert AcmeAccount.objects.count() == 1


def test_a_known_authority_brings_its_directories() -> None:
    run("letsencrypt", "--agree")
    row = AcmeAccount.objects.get()
    assert "staging" in row.staging_url
    assert row.title == "Let’s Encrypt"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([DIRECTORY], "say --agree"),
        (["http://ca.example.org/dir", "--agree"], "begins with https://"),
        (["https://[", "--agree"], "begins with https://"),
        (["ca.example.org", "--agree"], "begins with https://"),
        ([DIRECTORY, "--agree", "--contact", "nobody"], "valid email address"),
        ([DIRECTORY, "--agree", "--eab-key-id", "kid-1"], "go together"),
        (["zerossl", "--agree"], "opens no account without it"),
        ([DIRECTORY, "--agree", "--roots", "/nowhere.pem"], "/nowhere.pem cannot be read"),
    ],
)
def test_what_the_page_refuses_is_refused_in_words(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(*arguments)
    assert not AcmeAccount.objects.exists()


def test_the_key_of_a_customer_account_comes_from_a_file_and_is_sealed(tmp_path: Path) -> None:
    path = tmp_path / "hmac"
    path.write_text(f"{HMAC_KEY}\n")
    said = run("zerossl", "--agree", "--eab-key-id", "kid-1", "--eab-key-file", str(path))
    row = AcmeAccount.objects.get()
    assert row.eab_key_id == "kid-1"
    assert row.eab_secret is not None
    assert open_secret(row.eab_secret) == HMAC_KEY
    rows = json.dumps(list(AuditEvent.objects.values("before", "after", "verb")), default=str)
    assert HMAC_KEY not in said + rows


def test_roots_are_certificates_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "roots.pem"
    path.write_bytes(ThrowawayCa("Inner Root").root_pem)
    run(DIRECTORY, "--agree", "--roots", str(path))
    assert "BEGIN CERTIFICATE" in AcmeAccount.objects.get().ca_bundle
    path.write_text("no certificate")
    with pytest.raises(CommandError, match="no certificate"):
        run("https://other.example.org/dir", "--agree", "--roots", str(path))
    path.write_bytes(b"\xff\x00")
    with pytest.raises(CommandError, match="more than plain text"):
        run("https://other.example.org/dir", "--agree", "--roots", str(path))
