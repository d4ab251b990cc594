"""Lists of keys whose private half is known: taken in, looked in, and never claimed without."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from badkeys.allkeys import block
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.known_keys import find_known_keys, open_known_keys
from mailadmin.certificates.models import Certificate, CertificateSigningRequest
from mailadmin.certificates.requesting import create_request_with_kept_key
from mailadmin.certificates.sentences import say
from mailadmin.pki.csr import CsrSubject, build_csr
from mailadmin.pki.problems import Problem
from mailadmin.pki.weak_keys import key_digest
from tests.factories import make_actor
from tests.throwaway_pki import ThrowawayCa, draw_key
from tests.weak_keys import CORPUS, certify_key, public_key_of
from tests.web.certificates.conftest import Upload, store, text_of

HOST = "mail.example.org"
DEBIAN = "rsa-debianweak.key"
NAMES = {1: "debianssl", 22: "firmware"}
ONE_NAME = '{"blocklists": [{"id": 1, "name": "debianssl"}]}'


@pytest.fixture
def _no_list(settings: Any, tmp_path: Path) -> None:
    settings.KNOWN_KEYS_FILES = [tmp_path / "kept" / "blocklist.dat", tmp_path / "cache.dat"]


pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_no_list")]


def test_the_page_says_what_the_key_was_not_looked_at_for(
    upload: Upload, settings: Any, tmp_path: Path
) -> None:
    issued = ThrowawayCa().issue([HOST])
    whole = (issued.fullchain_pem + issued.key_pem).decode()
    assert "It was not compared with those that Debian drew" in text_of(upload(pasted=whole))
    settings.KNOWN_KEYS_FILES = [write_list(tmp_path / "lists")]
    assert "and compared with those that Debian drew" in text_of(upload(pasted=whole))


def write_list(
    folder: Path,
    *keys: tuple[CertificatePublicKeyTypes, int],
    names: Mapping[int, str] = NAMES,
) -> Path:
    """Write a list as badkeys has it, with many other keys around ours."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [(key_digest(key) or b"") + bytes([number]) for key, number in keys]
    records += [number.to_bytes(15) + b"\x01" for number in range(0, 2**119, 2**110)]
    path = folder / "blocklist.dat"
    path.write_bytes(b"".join(sorted(records)))
    about = {"bkformat": 0, "blocklists": [{"id": i, "name": name} for i, name in names.items()]}
    (folder / "badkeysdata.json").write_text(json.dumps(about))
    return path


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("weak_keys", *arguments, stdout=out)
    return out.getvalue()


def inspect(path: Path, *options: str) -> str:
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("certificate_inspect", str(path), *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def debian_certificate(tmp_path: Path) -> Path:
    path = tmp_path / "debian.pem"
    path.write_bytes(
        certify_key(public_key_of(DEBIAN), [HOST], datetime.now(UTC)).public_bytes(Encoding.PEM)
    )
    return path


def test_a_key_of_debian_is_refused_once_its_list_is_there(
    tmp_path: Path, debian_certificate: Path
) -> None:
    before = json.loads(inspect(debian_certificate, "--json"))
    assert not [item for item in before["problems"] if item["code"].startswith("key.weak")]
    assert before["weak_key_checks"]["not_made"] == ["debian", "published"]
    assert "not compared with those that Debian drew" in inspect(debian_certificate)

    answer = run("update", str(write_list(tmp_path / "brought", (public_key_of(DEBIAN), 1))))

    assert answer == "513 known keys are looked for now.\n"
    after = json.loads(inspect(debian_certificate, "--json"))
    (found,) = [item for item in after["problems"] if item["code"] == "key.weak_debian"]
    assert found["severity"] == "error"
    assert found["message"].startswith(f"Anyone has the private key of {HOST}: it is one of the")
    assert "debian" in after["weak_key_checks"]["made"]
    assert after["weak_key_checks"]["not_made"] == []
    assert "not compared" not in inspect(debian_certificate)


def test_a_public_key_alone_is_looked_for_in_the_lists(tmp_path: Path) -> None:
    run("update", str(write_list(tmp_path / "brought", (public_key_of(DEBIAN), 1))))
    answer = json.loads(inspect(CORPUS / DEBIAN, "--json"))
    codes = {item["code"] for item in answer["problems"] if item["severity"] == "error"}
    assert codes == {"bundle.no_certificate", "key.weak_debian"}


def test_badkeys_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own reader is the measure of whether the file is in its form."""
    key = draw_key().public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    rsa_key = public_key_of(DEBIAN)
    folder = tmp_path / "badkeys"
    write_list(folder, (key, 22), (rsa_key, 1))
    monkeypatch.setattr(block, "_cachedir", lambda: str(folder))
    for name in ("_blmeta", "_bldata"):
        monkeypatch.setattr(block, name, False)
    run("update", str(folder / "blocklist.dat"))
    known = find_known_keys()

    for public, number in ((key, key.public_numbers().x), (rsa_key, rsa_key.public_numbers().n)):
        theirs = block.blocklist(number)
        assert theirs
        assert known.find(key_digest(public) or b"") == theirs["subtest"]
    other = draw_key().public_key()
    assert known.find(key_digest(other) or b"") is None


def test_the_list_that_badkeys_fetched_is_used(settings: Any, tmp_path: Path) -> None:
    path = write_list(tmp_path / "fetched", names={22: "firmware"})
    settings.KNOWN_KEYS_FILES = [tmp_path / "none.dat", path]
    assert "512 known keys" in run("list")
    assert "not checked, for want of a list: debian" in run("list")


def test_without_any_list_none_is_claimed() -> None:
    answer = run("list")
    assert "not checked, for want of a list: debian, published" in answer
    assert "roca" in answer
    assert open_known_keys() is None


def test_a_list_without_names_is_not_used(settings: Any, tmp_path: Path) -> None:
    path = write_list(tmp_path / "brought")
    path.with_name("badkeysdata.json").unlink()
    settings.KNOWN_KEYS_FILES = [path]
    assert open_known_keys() is None


def test_a_list_of_an_unnamed_number_is_told_by_it(tmp_path: Path) -> None:
    key = draw_key().public_key()
    run("update", str(write_list(tmp_path / "brought", (key, 9))))
    assert find_known_keys().find(key_digest(key) or b"") == "list 9"


def test_a_list_taken_away_meanwhile_finds_nothing(tmp_path: Path) -> None:
    key = draw_key().public_key()
    run("update", str(write_list(tmp_path / "brought", (key, 1))))
    known = open_known_keys()
    assert known is not None
    known.path.unlink()
    assert known.find(key_digest(key) or b"") is None


@pytest.mark.parametrize(
    ("content", "names", "code"),
    [
        (None, ONE_NAME, "known_keys.not_found"),
        (b"", ONE_NAME, "known_keys.not_a_list"),
        (b"x" * 17, ONE_NAME, "known_keys.not_a_list"),
        (
            b"b" * 16 + b"a" * 16,
            ONE_NAME,
            "known_keys.not_a_list",
        ),
        (b"a" * 16, None, "known_keys.no_names"),
        (b"a" * 16, "[]", "known_keys.no_names"),
        (b"a" * 16, '{"blocklists": []}', "known_keys.no_names"),
        (b"a" * 16, "no json", "known_keys.no_names"),
    ],
)
def test_what_is_no_list_is_refused_and_changes_nothing(
    tmp_path: Path, content: bytes | None, names: str | None, code: str
) -> None:
    run("update", str(write_list(tmp_path / "good")))
    folder = tmp_path / "bad"
    folder.mkdir()
    path = folder / "blocklist.dat"
    if content is not None:
        path.write_bytes(content)
    if names is not None:
        (folder / "badkeysdata.json").write_text(names)

    with pytest.raises(CommandError) as refused:
        run("update", str(path))

    about = folder / "badkeysdata.json" if code == "known_keys.no_names" else path
    assert str(refused.value) == say(Problem(code, params={"path": str(about)}))
    assert str(refused.value) != code
    assert "512 known keys" in run("list")
    assert AuditEvent.objects.filter(verb="known_keys.updated").count() == 1


def test_a_folder_that_cannot_be_written_is_told(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings.KNOWN_KEYS_FILES = [tmp_path / "file" / "blocklist.dat"]
    with pytest.raises(CommandError, match="cannot be written"):
        run("update", str(write_list(tmp_path / "good")))
    assert not AuditEvent.objects.filter(verb="known_keys.updated").exists()


def test_the_event_says_what_came(tmp_path: Path) -> None:
    run("update", str(write_list(tmp_path / "brought")))
    event = AuditEvent.objects.get(verb="known_keys.updated")
    assert event.after == {"count": 512, "lists": ["debianssl", "firmware"]}


def test_a_list_is_copied_before_the_transaction(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred megabytes would keep every other writer waiting."""
    brought, begun = write_list(tmp_path / "brought"), len(connection.savepoint_ids)

    def copy(source: Path, target: Path) -> None:
        assert len(connection.savepoint_ids) == begun
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr("mailadmin.certificates.known_keys.shutil.copyfile", copy)
    run("update", str(brought))
    target: Path = settings.KNOWN_KEYS_FILES[0]
    assert {path.name for path in target.parent.iterdir()} == {target.name, "badkeysdata.json"}


@pytest.fixture
def published(ca: ThrowawayCa, tmp_path: Path) -> Certificate:
    """A certificate that was stored before its key came on a list."""
    key = draw_key()
    row = store(ca.issue([HOST], key=key))
    run("update", str(write_list(tmp_path / "brought", (key.public_key(), 22))))
    return row


def test_a_stored_certificate_is_told_of(client: Client, published: Certificate) -> None:
    page = text_of(client.get(published.get_absolute_url()))
    assert f"Anyone has the private key of {HOST}" in page


def test_such_a_key_is_not_kept_at_renewal(client: Client, published: Certificate) -> None:
    url = reverse("certificates:renew", args=[published.pk])
    page = text_of(client.get(url))
    assert f"Anyone has the private key of {HOST}" in page
    assert "key_choice" not in client.get(url).context["form"].fields  # there is no choice
    with pytest.raises(CertificateRefusedError) as refused:
        create_request_with_kept_key(
            actor=make_actor(), subject=CsrSubject(), names=[HOST], renews=published
        )
    assert [item.code for item in refused.value.problems] == ["key.weak_published"]
    with pytest.raises(CommandError, match="Anyone has the private key"):
        call_command("csr_create", "--renew", str(published.pk), "--keep-key")


def test_a_request_made_with_such_a_key_is_not_tracked(client: Client, tmp_path: Path) -> None:
    key = draw_key()
    request = build_csr(key, CsrSubject(), [HOST])
    run("update", str(write_list(tmp_path / "brought", (key.public_key(), 1))))
    (tmp_path / "request.csr").write_bytes(request)

    url = reverse("certificates:request_track")
    page = text_of(client.post(url, {"pasted": request.decode()}))

    assert f"Anyone has the private key of {HOST}" in page
    assert not CertificateSigningRequest.objects.exists()
    with pytest.raises(CommandError, match="draw before May 2008"):
        call_command("csr_track", str(tmp_path / "request.csr"))


def test_an_authority_with_such_a_key_is_not_trusted(tmp_path: Path) -> None:
    ca = ThrowawayCa()
    path = tmp_path / "root.pem"
    path.write_bytes(ca.root_pem)
    run("update", str(write_list(tmp_path / "brought", (ca.root.key.public_key(), 22))))
    with pytest.raises(CommandError, match="Anyone has the private key"):
        call_command("authority", "add", str(path))
