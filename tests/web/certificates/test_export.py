"""Taking a private key out: only administrators, only locked, only with a reason, on record."""

from __future__ import annotations

import logging
import re
import subprocess
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate, PrivateKey
from mailadmin.certificates.services import register_found_certificate
from mailadmin.pki.keys import private_key_to_pem
from tests.factories import PASSWORD as OWN_PASSWORD
from tests.factories import make_actor
from tests.throwaway_pki import Issued, ThrowawayCa
from tests.web.certificates.conftest import store, text_of
from tests.web.certificates.test_secrecy import Secrets, dump_database, sessions

pytestmark = pytest.mark.django_db
FILE_PASSWORD = "seven-lamps-under-water"
REASON = "Moves to the load balancer"


@pytest.fixture
def issued(ca: ThrowawayCa) -> Issued:
    return ca.issue(["mail.example.org"])


@pytest.fixture
def row(issued: Issued) -> Certificate:
    return store(issued)


@pytest.fixture
def client(client_of: Callable[[str], Client]) -> Client:
    return client_of("administrator")


def export(client: Client, row: Certificate, **changed: str) -> HttpResponse:
    fields = {
        "reason": REASON,
        "kind": "modern",
        "friendly_name": "Mail",
        "password": FILE_PASSWORD,
        "repeated": changed.get("password", FILE_PASSWORD),
        "own_password": OWN_PASSWORD,
        **changed,
    }
    response: HttpResponse = client.post(reverse("certificates:export", args=[row.pk]), fields)
    return response


def is_file(response: HttpResponse) -> bool:
    return response["Content-Type"] == "application/x-pkcs12"


def events() -> Any:
    return AuditEvent.objects.filter(verb="certificate.key_exported")


@pytest.mark.parametrize("kind", ["modern", "old"])
def test_an_administrator_gets_a_locked_file(
    kind: str, client: Client, row: Certificate, issued: Issued, tmp_path: Path
) -> None:
    response = export(client, row, kind=kind)
    assert response.status_code == 200
    assert is_file(response)
    assert "no-store" in response["Cache-Control"]
    assert response["Content-Disposition"].endswith('.p12"')
    packed = load_pkcs12(response.content, FILE_PASSWORD.encode())
    assert private_key_to_pem(packed.key) == issued.key_pem  # type: ignore[arg-type]
    assert len(packed.additional_certs) == issued.chain_pem.count(b"BEGIN")
    file = tmp_path / "key.p12"
    file.write_bytes(response.content)
    said = subprocess.run(
        ["openssl", "pkcs12", "-in", file, "-passin", f"pass:{FILE_PASSWORD}", "-nodes"],
        capture_output=True,
        timeout=90,
        check=True,
    ).stdout
    assert said.count(b"BEGIN CERTIFICATE") == issued.fullchain_pem.count(b"BEGIN")
    assert b"BEGIN PRIVATE KEY" in said
    assert b"friendlyName: Mail" in said


def test_it_is_on_record_with_its_reason_and_without_password(
    client: Client, row: Certificate
) -> None:
    export(client, row)
    event = events().get()
    assert event.reason == REASON
    assert event.actor_user is not None
    assert event.after["fingerprint"] == row.fingerprint
    assert event.after["file"] == "modern"
    assert "exported the private key of certificate" in text_of(client.get("/audit/"))
    shown = text_of(client.get(row.get_absolute_url()))
    assert "exported the private key of certificate" in shown


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_nobody_else_gets_it(
    role: str, row: Certificate, client_of: Callable[[str], Client]
) -> None:
    person = client_of(role)
    address = reverse("certificates:export", args=[row.pk])
    assert person.get(address).status_code == 403
    response = export(person, row)
    assert response.status_code == 403
    assert "Only an administrator may take a private key out" in text_of(response)
    assert f'"{address}"' not in text_of(person.get(row.get_absolute_url()))
    assert not events().exists()


def test_it_asks_for_a_login_first(row: Certificate) -> None:
    response = export(Client(), row)
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("account_login"))


def test_the_page_is_linked_and_asks(client: Client, row: Certificate) -> None:
    address = reverse("certificates:export", args=[row.pk])
    assert f'"{address}"' in text_of(client.get(row.get_absolute_url()))
    page = client.get(address)
    assert "no-store" in page["Cache-Control"]
    suggested = re.search(r"[a-z0-9]{5}(-[a-z0-9]{5}){3}", page.context["suggestion"])
    assert suggested
    assert suggested[0] in text_of(page)
    assert client.get(address).context["suggestion"] != suggested[0]
    assert is_file(export(client, row, password=suggested[0]))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"reason": "   "}, "This field is required"),
        ({"reason": "why"}, "Say in a few words"),
        ({"reason": "x" * 301}, "at most 300"),
        ({"password": "short-one"}, "needs 12 to 128 characters"),
        ({"password": "p" * 129}, "at most 128"),
        ({"password": "password1234"}, "too easy to guess"),
        ({"password": "123456789012"}, "too easy to guess"),
        ({"password": "ababababababab"}, "too easy to guess"),
        ({"password": "schöne-lampen-am-see"}, "English keyboard"),
        ({"password": "with-a\ttab-inside-it"}, "English keyboard"),
        ({"repeated": "seven-lamps-under-wafer"}, "The two passwords differ"),
        ({"password": OWN_PASSWORD}, "the password you log in with"),
        ({"own_password": "not-my-own"}, "This is not the password you log in with"),
        ({"kind": "none"}, "Select a valid choice"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_leaves(
    changed: dict[str, str], sentence: str, client: Client, row: Certificate
) -> None:
    response = export(client, row, **changed)
    assert response.status_code == 200
    assert not is_file(response)
    assert sentence in text_of(response)
    assert FILE_PASSWORD not in text_of(response)
    assert OWN_PASSWORD not in text_of(response)
    assert not events().exists()


def test_wrong_own_passwords_are_recorded_and_limited(client: Client, row: Certificate) -> None:
    for _ in range(6):
        response = export(client, row, own_password="not-my-own")
    assert "Too many failed login attempts" in text_of(response)
    assert not is_file(export(client, row))
    failed = AuditEvent.objects.filter(verb="user.login_failed", reason="wrong_password")
    assert failed.count() >= 5
    assert not events().exists()


def test_a_key_that_is_not_here_cannot_be_asked_for(client: Client, ca: ThrowawayCa) -> None:
    found = register_found_certificate(
        actor=make_actor(), leaf_pem=ca.issue(["found.example.org"]).cert_pem.decode()
    )
    assert export(client, found).status_code == 404
    address = reverse("certificates:export", args=[found.pk])
    assert f'"{address}"' not in text_of(client.get(found.get_absolute_url()))
    gone = store(ca.issue(["gone.example.org"]))
    client.post(reverse("certificates:delete", args=[gone.pk]))
    assert export(client, gone).status_code == 404


def test_a_missing_master_key_is_said(client: Client, row: Certificate, settings: Any) -> None:
    settings.MASTER_KEY_FILE.unlink()
    assert "is missing, and 1 secret here" in text_of(export(client, row))
    assert not events().exists()


def test_nothing_of_the_key_or_the_passwords_stays_anywhere(
    client: Client, row: Certificate, issued: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = Secrets(issued.key_pem)
    responses = [export(client, row, own_password="not-my-own"), export(client, row)]
    assert is_file(responses[1])
    places = [caplog.text.encode(), dump_database(), sessions()]
    places += [part for item in responses for part in (item.content, str(item.headers).encode())]
    for place in places:
        assert not secrets.found_in(place)
        for password in (FILE_PASSWORD, OWN_PASSWORD):
            assert password.encode() not in place


# The command


@pytest.fixture
def password_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "password"
    path.write_text(FILE_PASSWORD + "\n")
    yield path
    assert FILE_PASSWORD not in str(list(AuditEvent.objects.values()))


def run(row: Certificate | int, password_file: Path, out: Path, *more: str) -> str:
    told = StringIO()
    pk = row if isinstance(row, int) else row.pk
    arguments = ["--password-file", str(password_file), "--out", str(out), *more]
    if "--reason" not in more:
        arguments += ["--reason", REASON]
    call_command("certificate_export", str(pk), *arguments, stdout=told)
    return told.getvalue()


def test_the_command_writes_a_file_for_one_account(
    row: Certificate, issued: Issued, password_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "key.p12"
    assert str(out) in run(row, password_file, out, "--name", "Box")
    assert out.stat().st_mode & 0o777 == 0o600
    packed = load_pkcs12(out.read_bytes(), FILE_PASSWORD.encode())
    assert private_key_to_pem(packed.key) == issued.key_pem  # type: ignore[arg-type]
    event = events().get()
    assert (event.origin, event.reason) == ("cli", REASON)
    run(row, password_file, tmp_path / "old.p12", "--old-programs")
    assert events().first().after["file"] == "old"


def test_the_command_never_overwrites(
    row: Certificate, password_file: Path, tmp_path: Path
) -> None:
    out, link = tmp_path / "key.p12", tmp_path / "link.p12"
    out.write_text("precious")
    link.symlink_to(tmp_path / "nowhere")
    for path in (out, link):
        with pytest.raises(CommandError, match="never overwritten") as error:
            run(row, password_file, path)
        assert error.value.returncode == 1
    assert out.read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()
    assert not events().exists()


def test_the_command_leaves_no_file_when_it_refuses(
    row: Certificate, password_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "key.p12"
    with pytest.raises(CommandError, match="Say in a few words"):
        run(row, password_file, out, "--reason", "x")
    with pytest.raises(CommandError, match="There is no certificate 4711"):
        run(4711, password_file, out)
    with pytest.raises(CommandError, match="cannot be written"):
        run(row, password_file, tmp_path / "no" / "key.p12")
    with pytest.raises(CommandError) as error:
        run(row, tmp_path / "absent", out)
    assert error.value.returncode == 2
    password_file.write_text("short\n")
    with pytest.raises(CommandError, match="12 to 128"):
        run(row, password_file, out)
    password_file.write_text(FILE_PASSWORD)
    PrivateKey.objects.update(ciphertext=b"x" * 30)
    with pytest.raises(CommandError, match="damaged"):
        run(row, password_file, out)
    row.private_key = None
    row.save()
    with pytest.raises(CommandError, match="not stored here"):
        run(row, password_file, out)
    assert not out.exists()
    assert not events().exists()
