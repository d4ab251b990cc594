"""The store of well-known intermediates: what gets in, what is found, what it completes."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates import intermediates
from mailadmin.certificates.intermediates import Rejection, choose_intermediates, find_issuers_of
from mailadmin.pki.certificate import CertificateFacts, read_certificate
from tests.throwaway_pki import CLIENT_AUTH, ThrowawayCa, small_rsa_key
from tests.web.certificates.conftest import Upload, text_of

pytestmark = pytest.mark.django_db
PUBLIC = ThrowawayCa("Public Authority", intermediates=2)  # leaf < 2 < 1 < root
OTHER = ThrowawayCa("Other Authority")


@pytest.fixture(autouse=True)
def _own_files(settings: Settings, tmp_path: Path) -> None:
    settings.TRUST_STORE_FILE = tmp_path / "roots.pem"
    settings.TRUST_STORE_FILE.write_bytes(PUBLIC.root_pem)
    settings.MOZILLA_ROOTS_FILE = tmp_path / "none.pem"
    settings.INTERMEDIATES_FILE = tmp_path / "var" / "intermediates.zip"


def facts_of(pems: list[bytes]) -> list[CertificateFacts]:
    return [read_certificate(pem) for pem in pems]


def run(*args: str) -> str:
    out = io.StringIO()
    call_command("intermediates", *args, stdout=out)
    return out.getvalue()


def update(tmp_path: Path, *contents: bytes) -> str:
    names = []
    for number, content in enumerate(contents):
        path = tmp_path / f"list-{number}.pem"
        path.write_bytes(content)
        names.append(str(path))
    return run("update", *names)


def test_a_leaf_without_its_chain_is_completed_from_the_store(
    tmp_path: Path, upload: Upload, settings: Settings
) -> None:
    issued = PUBLIC.issue(["mail.example.org"])
    before = upload(issued.cert_pem, issued.key_pem)
    assert before.context["verdict"].needs_confirmation

    said = update(tmp_path, b"".join(PUBLIC.intermediate_pems))

    assert "The store holds 2 intermediates now." in said
    shown = upload(issued.cert_pem, issued.key_pem)
    verdict = shown.context["verdict"]
    assert verdict.is_accepted
    assert not verdict.needs_confirmation
    assert verdict.chain_pem.encode() == issued.chain_pem
    page = text_of(shown)
    assert "was missing in the upload and is added from those known here" in page
    assert "leads to Public Authority, which this system trusts" in page


def test_what_is_stored_must_fit_by_its_signature(tmp_path: Path, upload: Upload) -> None:
    """An authority of the same names and other keys gets nothing completed."""
    update(tmp_path, b"".join(PUBLIC.intermediate_pems))
    twin = ThrowawayCa("Public Authority", intermediates=2)
    issued = twin.issue(["mail.example.org"])
    verdict = upload(issued.cert_pem, issued.key_pem).context["verdict"]
    assert verdict.chain == ()
    assert verdict.needs_confirmation


def test_only_what_leads_to_a_public_root_is_taken(now: datetime) -> None:
    lower, upper = facts_of(PUBLIC.intermediate_pems)
    roots = facts_of([PUBLIC.root_pem])
    strangers = facts_of(OTHER.intermediate_pems)
    kept, rejected = choose_intermediates([lower, upper, upper, *strangers], roots, now)
    assert {facts.fingerprint for facts in kept} == {lower.fingerprint, upper.fingerprint}
    assert rejected == {Rejection.NO_KNOWN_ROOT: 1}
    assert choose_intermediates([lower], roots, now)[0] == []  # its own issuer is not there
    assert choose_intermediates([upper], [], now)[0] == []


def test_what_cannot_stand_in_a_chain_is_left_out(now: datetime) -> None:
    above, yesterday = PUBLIC.root, now - timedelta(days=1)
    candidates = [
        PUBLIC.root_pem,
        PUBLIC.issue().cert_pem,
        PUBLIC.add_authority("Old", above, not_after=yesterday).pem,
        PUBLIC.add_authority("Hashed", above, signature="sha1").pem,
        PUBLIC.add_authority("Small", above, key=small_rsa_key()).pem,
        PUBLIC.issue(is_ca=True, eku=(CLIENT_AUTH,), usages=frozenset({"key_cert_sign"})).cert_pem,
    ]
    kept, rejected = choose_intermediates(facts_of(candidates), facts_of([PUBLIC.root_pem]), now)
    assert kept == []
    assert rejected == {
        Rejection.ROOT: 1,
        Rejection.NOT_AN_AUTHORITY: 1,
        Rejection.OUT_OF_DATE: 1,
        Rejection.WEAK: 2,
        Rejection.NOT_FOR_SERVERS: 1,
    }


@pytest.mark.parametrize("form", ["csv", "der", "p7b"])
def test_lists_come_in_several_forms(tmp_path: Path, form: str) -> None:
    upper = PUBLIC.intermediates[-1].certificate
    content = {
        "csv": b'"Name","PEM Info"\r\n"Public","\'' + PUBLIC.intermediate_pems[-1] + b"'\"\r\n",
        "der": upper.public_bytes(Encoding.DER),
        "p7b": pkcs7.serialize_certificates([upper], Encoding.DER),
    }[form]
    assert "The store holds 1 intermediates now." in update(tmp_path, content)
    assert "Public Authority Intermediate 1 < Public Authority" in run("list")


def test_a_new_store_takes_the_place_of_the_old_one(tmp_path: Path, client: Client) -> None:
    update(tmp_path, b"".join(PUBLIC.intermediate_pems))
    leaf = read_certificate(PUBLIC.issue().cert_pem)
    assert len(find_issuers_of([leaf])) == 2
    update(tmp_path, PUBLIC.intermediate_pems[-1])
    assert find_issuers_of([leaf]) == []
    events = AuditEvent.objects.filter(verb="intermediates.updated").order_by("pk")
    assert [event.after["count"] for event in events] == [2, 1]
    page = text_of(client.get(reverse("certificates:authorities")))
    assert "from list-0.pem" in page


def test_a_list_that_holds_nothing_of_use_changes_nothing(tmp_path: Path) -> None:
    update(tmp_path, b"".join(PUBLIC.intermediate_pems))
    for content in (b"", b"<html>", OTHER.intermediate_pems[0]):
        with pytest.raises(CommandError, match="the store stays as it was"):
            update(tmp_path, content)
    with pytest.raises(CommandError, match="No such file"):
        run("update", str(tmp_path / "missing"))
    assert len(intermediates.read_all()) == 2
    assert AuditEvent.objects.filter(verb="intermediates.updated").count() == 1


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "file").write_bytes(b"")
    settings.INTERMEDIATES_FILE = tmp_path / "file" / "intermediates.zip"
    with pytest.raises(CommandError, match="The store stays as it was"):
        update(tmp_path, PUBLIC.intermediate_pems[-1])
    assert not AuditEvent.objects.filter(verb="intermediates.updated").exists()


def _zip(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as store:
        for name, content in members.items():
            store.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 broken", _zip(), _zip(**{"about.json": b"[1"})]
)
def test_a_broken_store_is_none(settings: Settings, content: bytes, upload: Upload) -> None:
    settings.INTERMEDIATES_FILE.parent.mkdir()
    settings.INTERMEDIATES_FILE.write_bytes(content)
    assert intermediates.read_about() is None
    assert intermediates.read_all() == []
    issued = PUBLIC.issue(["mail.example.org"])
    assert upload(issued.cert_pem, issued.key_pem).status_code == 200


def test_a_member_that_is_no_certificate_is_passed_over(settings: Settings) -> None:
    leaf = read_certificate(PUBLIC.issue().cert_pem)
    issuer = x509.load_der_x509_certificate(leaf.der).issuer
    key = intermediates.name_key(issuer)
    good = PUBLIC.intermediates[0].certificate.public_bytes(Encoding.DER)
    settings.INTERMEDIATES_FILE.parent.mkdir()
    settings.INTERMEDIATES_FILE.write_bytes(
        _zip(**{f"{key}/a.der": b"no", f"{key}/b.der": good, f"{key}/c.der": b"0" * 20_000})
    )
    assert [facts.der for facts in find_issuers_of([leaf])] == [good]


def test_the_same_list_makes_the_same_file(tmp_path: Path, settings: Settings) -> None:
    update(tmp_path, b"".join(PUBLIC.intermediate_pems))
    first = settings.INTERMEDIATES_FILE.read_bytes()
    update(tmp_path, b"".join(reversed(PUBLIC.intermediate_pems)))
    assert settings.INTERMEDIATES_FILE.read_bytes() == first
