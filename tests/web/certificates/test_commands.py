"""``certificate_inspect`` and ``certificate_import``: the verdict for scripts."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError
from pytest_django import Settings

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate, PrivateKey
from mailadmin.certificates.requesting import create_request
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.csr import CsrSubject
from mailadmin.pki.keys import KeyKind, load_private_key
from tests.factories import make_actor
from tests.throwaway_pki import Issued, ThrowawayCa

pytestmark = pytest.mark.django_db
Keep = Callable[[str, bytes], str]


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Return a function that writes a file and returns its name."""

    def write(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return write


@pytest.fixture
def issued(ca: ThrowawayCa) -> Issued:
    return ca.issue(["mail.example.org", "xn--bcher-kva.example"])


def run(command: str, *args: str) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it wrote to standard output and error."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(command, *args, stdout=out, stderr=err)
    except SystemExit as exit_:
        return int(exit_.code or 0), out.getvalue(), err.getvalue()
    except CommandError as error:
        return error.returncode, out.getvalue(), str(error)
    return 0, out.getvalue(), err.getvalue()


def inspect(*args: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the JSON of ``certificate_inspect``."""
    code, out, err = run("certificate_inspect", *args, "--json")
    assert err == ""
    return code, json.loads(out)


def test_an_accepted_certificate_is_told_in_json_and_nothing_is_stored(
    issued: Issued, keep: Keep
) -> None:
    files = keep("a.pem", issued.chain_pem + issued.cert_pem), keep("b.key", issued.key_pem)
    code, verdict = inspect(*files)
    assert code == 0
    assert verdict["accepted"] is True
    assert verdict["needs_confirmation"] is False
    assert [file["part"] for file in verdict["files"]] == list(range(1, len(verdict["files"]) + 1))
    assert sum(file["found"]["leaves"] for file in verdict["files"]) == 1
    assert verdict["key"] == {"matches": True, "source": "uploaded"}
    assert verdict["root"] is None
    assert verdict["leaf"]["names"] == ["mail.example.org", "xn--bcher-kva.example"]
    assert verdict["leaf"]["display_names"] == ["mail.example.org", "bücher.example"]
    assert [link["common_name"] for link in verdict["chain"]] == ["Test Authority Intermediate 1"]
    for problem in verdict["problems"]:
        assert {"code", "severity", "message"} <= problem.keys()
        assert problem["severity"] != "error"
    assert not Certificate.objects.exists()
    assert not PrivateKey.objects.exists()
    assert not AuditEvent.objects.exists()


def test_a_key_in_a_file_of_its_own_is_named_with_an_option(issued: Issued, keep: Keep) -> None:
    code, verdict = inspect(
        keep("a.pem", issued.fullchain_pem), "--key", keep("b.key", issued.key_pem)
    )
    assert (code, verdict["key"]["matches"]) == (0, True)


def test_a_refused_certificate_exits_with_one_and_says_why(
    ca: ThrowawayCa, now: datetime, keep: Keep
) -> None:
    expired = ca.issue(["mail.example.org"], not_after=now - timedelta(days=1))
    code, verdict = inspect(keep("a.pem", expired.fullchain_pem + expired.key_pem))
    assert code == 1
    assert verdict["accepted"] is False
    assert verdict["problems"][0]["code"] == "certificate.expired"
    assert verdict["problems"][0]["severity"] == "error"
    assert "expired on" in verdict["problems"][0]["message"]


def test_a_key_of_another_pair_does_not_match(ca: ThrowawayCa, issued: Issued, keep: Keep) -> None:
    other = keep("other.key", ca.issue().key_pem)
    code, verdict = inspect(keep("a.pem", issued.fullchain_pem), "--key", other)
    assert code == 1
    assert verdict["key"]["matches"] is False
    assert verdict["problems"][0]["code"] == "key.mismatch"


@pytest.mark.parametrize("content", [b"", b"hello", os.urandom(500), b"x" * 70_000])
def test_what_is_no_certificate_at_all_exits_with_two(content: bytes, keep: Keep) -> None:
    code, verdict = inspect(keep("junk", content))
    assert code == 2
    assert verdict["accepted"] is False
    assert verdict["leaf"] is None
    assert verdict["chain"] == []
    assert verdict["problems"][0]["severity"] == "error"
    assert len(verdict["problems"][0]["message"]) > 20


def test_a_file_that_is_not_there_exits_with_two(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    code, verdict = inspect(missing)
    assert code == 2
    assert verdict["problems"][0]["code"] == "file.unreadable"
    assert missing in verdict["problems"][0]["message"]
    code, out, err = run("certificate_inspect", missing)
    assert (code, out) == (2, "")
    assert "No such file" in err


def test_a_folder_exits_with_two(tmp_path: Path) -> None:
    assert inspect(str(tmp_path))[0] == 2


def test_a_password_is_read_from_a_file(issued: Issued, keep: Keep) -> None:
    key = load_private_key(issued.key_pem)
    locked = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass word ")
    )
    files = (keep("a.pem", issued.fullchain_pem), keep("b.key", locked))
    code, verdict = inspect(*files)
    assert (code, verdict["problems"][0]["code"]) == (1, "key.password_needed")
    code, verdict = inspect(*files, "--password-file", keep("wrong", b"nope\n"))
    assert (code, verdict["problems"][0]["code"]) == (1, "key.password_wrong")
    for ending in (b"", b"\n", b"\r\n"):
        password = keep("right", b"pass word " + ending)
        code, verdict = inspect(*files, "--password-file", password)
        assert (code, verdict["key"]["matches"]) == (0, True)


def test_the_key_of_a_pending_request_is_found(ca: ThrowawayCa, keep: Keep) -> None:
    csr = create_request(
        actor=make_actor(),
        subject=CsrSubject(common_name="mail.example.org"),
        names=["mail.example.org"],
        key_kind=KeyKind.ECDSA_P256,
    )
    answer = ca.issue(csr_pem=csr.pem.encode())
    code, verdict = inspect(keep("answer.pem", answer.fullchain_pem))
    assert (code, verdict["key"]) == (0, {"matches": True, "source": "pending"})


def test_inspecting_works_before_the_database_exists(
    issued: Issued, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise DatabaseError("no such table")

    monkeypatch.setattr(
        "mailadmin.certificates.management.commands.certificate_inspect.judge_upload", fail
    )
    assert inspect(keep("a.pem", issued.fullchain_pem + issued.key_pem))[0] == 0


def test_without_json_it_speaks_in_sentences(issued: Issued, keep: Keep) -> None:
    code, out, _err = run("certificate_inspect", keep("a.pem", issued.cert_pem))
    assert code == 1
    assert "Found: 1 server certificate." in out
    assert "It covers mail.example.org, bücher.example (xn--bcher-kva.example)." in out
    assert "refused: The private key for mail.example.org is missing" in out
    assert "warning: The certificate of “Test Authority Intermediate 1” is missing" in out
    assert "Test Authority Intermediate 1 (Missing intermediate)" in out


def test_importing_stores_what_an_upload_would(issued: Issued, keep: Keep) -> None:
    args = (keep("a.pem", issued.fullchain_pem), "--key", keep("b.key", issued.key_pem))
    code, out, _err = run("certificate_import", *args)
    row = Certificate.objects.get()
    assert code == 0
    assert row.fingerprint in out
    assert "saved." in out
    assert row.private_key is not None
    event = AuditEvent.objects.get()
    assert (event.verb, event.origin) == ("certificate.uploaded", "cli")
    assert event.request_id

    assert "was here already; nothing changed" in run("certificate_import", *args)[1]
    assert AuditEvent.objects.count() == 1


def test_importing_without_an_intermediate_needs_a_yes(issued: Issued, keep: Keep) -> None:
    args = (keep("a.pem", issued.cert_pem), keep("b.key", issued.key_pem))
    code, out, err = run("certificate_import", *args)
    assert code == 1
    assert "is missing" in out
    assert "--yes" in err
    assert not Certificate.objects.exists()
    assert not PrivateKey.objects.exists()
    assert run("certificate_import", *args, "--yes")[0] == 0
    assert Certificate.objects.exists()


def test_importing_what_is_refused_stores_nothing(
    ca: ThrowawayCa, issued: Issued, keep: Keep, tmp_path: Path
) -> None:
    other = keep("other.key", ca.issue().key_pem)
    code, out, err = run("certificate_import", keep("a.pem", issued.fullchain_pem), "--key", other)
    assert code == 1
    assert "belongs to another certificate" in out
    assert "Nothing was stored." in err
    assert run("certificate_import", keep("junk", b"hello"))[0] == 2
    assert run("certificate_import", str(tmp_path / "missing"))[0] == 2
    assert not Certificate.objects.exists()


def test_importing_without_a_usable_master_key_says_so(
    issued: Issued, keep: Keep, settings: Any
) -> None:
    settings.MASTER_KEY_FILE.parent.mkdir()
    settings.MASTER_KEY_FILE.write_text("not a key")
    settings.MASTER_KEY_FILE.chmod(0o600)
    code, _out, err = run(
        "certificate_import", keep("a.pem", issued.fullchain_pem + issued.key_pem)
    )
    assert code == 1
    assert "The master key" in err
    assert not Certificate.objects.exists()


def test_no_key_is_ever_printed(ca: ThrowawayCa, issued: Issued, keep: Keep) -> None:
    line = issued.key_pem.split(b"\n")[1].decode()
    files = (keep("a.pem", issued.fullchain_pem), keep("b.key", issued.key_pem))
    for command in (
        ("certificate_inspect", *files, "--json"),
        ("certificate_inspect", *files),
        ("certificate_import", *files),
    ):
        _code, out, err = run(*command)
        assert line not in out + err


def test_a_dash_reads_standard_input(issued: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(issued.fullchain_pem + issued.key_pem))
    monkeypatch.setattr("sys.stdin", stdin)
    assert inspect("-")[0] == 0


def test_the_root_of_the_chain_is_told_with_those_who_trust_it(
    ca: ThrowawayCa, issued: Issued, keep: Keep, settings: Settings
) -> None:
    settings.TRUST_STORE_FILE = Path(keep("roots.pem", ca.root_pem))
    _, verdict = inspect(keep("a.pem", issued.fullchain_pem), keep("b.key", issued.key_pem))
    root = read_certificate(ca.root_pem)
    assert verdict["root"] == {
        "name": ca.name,
        "fingerprint_sha256": root.fingerprint,
        "trusted_by": ["system"],
    }
