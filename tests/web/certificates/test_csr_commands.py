"""``csr_create``, ``csr_track``, ``csr_list`` and ``csr_cancel``: requests for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import CertificateSigningRequest, PrivateKey
from mailadmin.pki.csr import CsrSubject, build_csr
from tests.throwaway_pki import ThrowawayCa, draw_key
from tests.web.certificates.conftest import store
from tests.web.certificates.test_commands import run

pytestmark = pytest.mark.django_db


def test_a_request_is_made_printed_listed_and_cancelled() -> None:
    code, out, err = run("csr_create", "mail.example.org", "Bücher.example", "--key", "ecdsa-p384")
    assert code == 0
    csr = CertificateSigningRequest.objects.get()
    assert x509.load_pem_x509_csr(out.encode()).is_signature_valid
    assert out == csr.pem
    assert csr.names == ["mail.example.org", "xn--bcher-kva.example"]
    assert csr.key_description == "ECDSA P-384"
    assert f"3 1 1 {csr.public_key_id}" in err

    _, out, _ = run("csr_list", "--json")
    (listed,) = json.loads(out)
    assert (listed["id"], listed["names"]) == (csr.pk, csr.names)
    assert "waiting for" in run("csr_list")[1]

    assert "its private key destroyed" in run("csr_cancel", str(csr.pk))[1]
    assert not PrivateKey.objects.exists()
    assert run("csr_list")[1] == "No request waits.\n"
    code, _, err = run("csr_cancel", str(csr.pk))
    assert (code, "nothing to cancel" in err) == (1, True)
    assert run("csr_cancel", "4711")[0] == 1
    events = AuditEvent.objects.order_by("pk")
    assert [event.verb for event in events] == ["csr.created", "csr.cancelled"]


def test_a_request_is_written_to_a_new_file_only(tmp_path: Path) -> None:
    target = tmp_path / "mail.csr"
    assert run("csr_create", "mail.example.org", "--out", str(target))[:2] == (0, "")
    assert target.read_text() == CertificateSigningRequest.objects.get().pem
    code, _, err = run("csr_create", "mail.example.org", "--out", str(target))
    assert (code, "No request was made" in err) == (1, True)
    assert CertificateSigningRequest.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "at least one name"),
        (["mail"], "is not a full host name"),
        ([f"h{number}.example.org" for number in range(101)], "101 names are more than"),
        (["mail.example.org", "--country", "Germany"], "is not a country code"),
        (["--renew", "4711"], "There is no certificate 4711"),
        (["mail.example.org", "--keep-key"], "--keep-key goes with --renew"),
    ],
)
def test_what_cannot_be_asked_for_is_told_and_leaves_nothing(
    arguments: list[str], sentence: str, tmp_path: Path
) -> None:
    target = tmp_path / "mail.csr"
    code, _, err = run("csr_create", *arguments, "--out", str(target))
    assert (code, sentence in err) == (1, True)
    assert not target.exists()
    assert not CertificateSigningRequest.objects.exists()
    assert not PrivateKey.objects.exists()


def test_a_renewal_keeps_the_key_or_draws_one_like_it(ca: ThrowawayCa) -> None:
    old = store(ca.issue(["mail.example.org", "smtp.example.org"]))
    assert run("csr_create", "--renew", str(old.pk), "--keep-key")[0] == 0
    kept = CertificateSigningRequest.objects.latest("pk")
    assert (kept.public_key_id, kept.names, kept.renews) == (old.public_key_id, old.names, old)
    assert "stays here" in run("csr_cancel", str(kept.pk))[1]
    assert run("csr_create", "--renew", str(old.pk), "only.example.org")[0] == 0
    new = CertificateSigningRequest.objects.latest("pk")
    assert new.public_key_id != old.public_key_id
    assert new.names == ["only.example.org"]


def test_a_request_made_elsewhere_is_tracked(tmp_path: Path) -> None:
    file = tmp_path / "a.csr"
    file.write_bytes(build_csr(draw_key(), CsrSubject(), ["mail.example.org"]))
    assert run("csr_track", str(file))[0] == 0
    assert "key elsewhere" in run("csr_list")[1]
    code, _, err = run("csr_track", str(file))
    assert (code, "is here already" in err) == (1, True)
    file.write_text("hello")
    assert run("csr_track", str(file))[0] == 1
    assert run("csr_track", str(tmp_path / "none"))[0] == 2
