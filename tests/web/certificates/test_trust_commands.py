"""``authority``, and what the command line says of a missing certificate and does about it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate, TrustedAuthority
from mailadmin.pki.keys import private_key_to_pem
from tests.loopback_web import OfferedFile, offering
from tests.throwaway_pki import Issued, ThrowawayCa
from tests.web.certificates.conftest import store

pytestmark = pytest.mark.django_db


def run(command: str, *args: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(command, *args, stdout=out, stderr=err)
    except SystemExit:
        pass
    except CommandError as error:
        err.write(str(error))
    return out.getvalue(), err.getvalue()


@pytest.fixture
def root(tmp_path: Path, ca: ThrowawayCa) -> str:
    (tmp_path / "root.pem").write_bytes(ca.root_pem)
    return str(tmp_path / "root.pem")


def test_an_authority_is_added_listed_and_removed(root: str, ca: ThrowawayCa) -> None:
    out, err = run("authority", "add", root, "--note", "ours")
    row = TrustedAuthority.objects.get()
    assert f"Test Authority ({row.fingerprint}) is trusted from now on." in out
    assert (row.note, err) == ("ours", "")
    store(ca.issue(["mail.example.org"]))
    listed = run("authority", "list")[0]
    assert f"{row.fingerprint}  {row.not_after:%Y-%m-%d}  Test Authority" in listed
    assert "(certificates: 1)" in listed

    out = run("authority", "remove", row.fingerprint[:16].upper())[0]
    assert "Test Authority is not trusted any more." in out
    assert "leads to it, and is served as before: mail.example.org" in out
    assert not TrustedAuthority.objects.exists()
    events = AuditEvent.objects.filter(object_type="authority")
    assert {(event.verb, event.origin) for event in events} == {
        ("authority.trusted", "cli"),
        ("authority.distrusted", "cli"),
    }


def test_what_cannot_be_done_is_said(root: str, tmp_path: Path, ca: ThrowawayCa) -> None:
    run("authority", "add", root)
    assert "is on the list already" in run("authority", "add", root)[1]
    assert "No such file" in run("authority", "add", str(tmp_path / "missing"))[1]
    (tmp_path / "key.pem").write_bytes(ca.root_pem + private_key_to_pem(ca.root.key))
    assert "must never leave" in run("authority", "add", str(tmp_path / "key.pem"))[1]
    for fingerprint in ("", "abc", "0" * 64, TrustedAuthority.objects.get().fingerprint[:8]):
        assert "nothing changed" in run("authority", "remove", fingerprint)[1]
    assert TrustedAuthority.objects.count() == 1


@pytest.fixture
def offered(ca: ThrowawayCa, settings: Settings, root: str) -> Iterator[OfferedFile]:
    settings.TRUST_STORE_FILE = Path(root)
    settings.IS_PRIVATE_FETCH_ALLOWED = True
    with offering(ca.intermediates[0].certificate.public_bytes(Encoding.DER)) as file:
        yield file


@pytest.fixture
def issued(ca: ThrowawayCa, offered: OfferedFile) -> Issued:
    return ca.issue(["mail.example.org"], ca_issuers=[offered.address])


@pytest.fixture
def file(issued: Issued, tmp_path: Path) -> str:
    (tmp_path / "both.pem").write_bytes(issued.cert_pem + issued.key_pem)
    return str(tmp_path / "both.pem")


def test_the_address_is_said_and_not_asked(file: str, offered: OfferedFile) -> None:
    for command in ("certificate_inspect", "certificate_import"):
        out = run(command, file)[0]
        assert f"certificate of Test Authority Intermediate 1 at {offered.address}" in out
    assert offered.asked == []
    assert not Certificate.objects.exists()


def test_it_is_fetched_on_request(file: str, offered: OfferedFile, ca: ThrowawayCa) -> None:
    out, err = run("certificate_import", file, "--fetch-missing")
    assert err == ""
    assert f"was fetched from {offered.address}. Its signature fits." in out
    assert "--fetch-missing" not in out
    assert Certificate.objects.get().chain_pem.encode() == ca.intermediate_pems[0]
    event = AuditEvent.objects.get(verb="authority.fetched")
    assert (event.origin, event.outcome) == ("cli", "ok")


def test_a_failure_to_fetch_is_said_and_nothing_is_stored(file: str, offered: OfferedFile) -> None:
    offered.status = 503
    err = run("certificate_import", file, "--fetch-missing")[1]
    assert "answered with error 503" in err
    assert not Certificate.objects.exists()


def test_nothing_is_fetched_for_a_whole_chain(
    issued: Issued, offered: OfferedFile, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.pem"
    whole.write_bytes(issued.fullchain_pem + issued.key_pem)
    run("certificate_import", str(whole), "--fetch-missing")
    assert offered.asked == []
    assert Certificate.objects.exists()
