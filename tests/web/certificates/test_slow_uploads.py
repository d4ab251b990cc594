"""What is made to be slow costs two seconds at most, on the page and on the command line.

Time is counted as the processor's, for the machine may be busy: ours, and that of the children.
"""

from __future__ import annotations

import io
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from mailadmin.certificates.bounded import LIMITS
from mailadmin.certificates.bounded import reader as reader_module
from mailadmin.certificates.models import Certificate, PrivateKey, SealedUpload, TrustedAuthority
from mailadmin.pki.keys import KeyKind, generate_key
from tests.throwaway_pki import ThrowawayCa, common_name, encode_der, sign_certificate
from tests.unit.pki.test_keys import PASSWORD, md5_des_key, pbkdf2_key, scrypt_key
from tests.unit.pki.test_zips import pack
from tests.web.certificates.conftest import Upload, text_of, token_in

pytestmark = pytest.mark.django_db
OURS = 1.5  # seconds of this process, for two requests
GIVEN_UP = "took longer than 1.5 seconds, so it was given up"
# Fewer than are refused by their number, and more than any machine does in that time.
ENDLESS = pbkdf2_key(1, told_rounds=19_999_999)


@dataclass(frozen=True)
class Hostile:
    files: tuple[bytes, ...]
    says: str


def nest(content: bytes, depth: int) -> bytes:
    for _ in range(depth):
        content = pack({"inner.zip": content})
    return content


def deep(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = encode_der(0x30, content)
    return content


HOSTILE = {
    "PBKDF2 of billions of rounds": Hostile(
        (pbkdf2_key(1, told_rounds=2**31 - 1),), "opening it would take very long"
    ),
    "PBKDF2 of just too many rounds": Hostile((ENDLESS,), GIVEN_UP),
    "four slow keys": Hostile(tuple(pbkdf2_key(n, 8_000_000) for n in range(1, 5)), GIVEN_UP),
    "scrypt of a terabyte": Hostile((scrypt_key(2, 2**30),), "opening it would take very long"),
    "a zip bomb": Hostile((pack({"bomb.pem": bytes(200_000_000)}),), "zip"),
    "zips in zips": Hostile((nest(ENDLESS, 20),), "zip"),
    "ASN.1 of ten thousand levels": Hostile((deep(10_000),), "no certificate and no key"),
    "garbage": Hostile((os.urandom(65_536),), "no certificate and no key"),
    "garbage in DER": Hostile((encode_der(0x30, os.urandom(65_000)),), "no certificate and no key"),
}


@pytest.fixture(autouse=True)
def _costs_little_and_leaves_nothing() -> Iterator[None]:
    """No test may cost more than it may, or leave a child, a zombie or a row."""
    children, ours, theirs = _children(), time.process_time(), _time_of_children()
    yield
    assert _children() <= children
    assert time.process_time() - ours < OURS
    # Up to three children, of which one may use all it is given; the others only start.
    assert _time_of_children() - theirs < LIMITS.processor_seconds + 1.5
    assert not Certificate.objects.exists()
    assert not PrivateKey.objects.exists()


def _children() -> set[str]:
    me = os.getpid()
    return set(Path(f"/proc/{me}/task/{me}/children").read_text().split())


def _time_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def answer(upload: Upload, files: tuple[bytes, ...]) -> HttpResponse:
    """Upload, and give the password if it is asked for."""
    response = upload(*files)
    if 'name="password"' in text_of(response) and response.context.get("question"):
        return upload(token=token_in(response), password=PASSWORD)
    return response


@pytest.mark.parametrize("what", HOSTILE)
def test_the_page_says_it(what: str, upload: Upload) -> None:
    response = answer(upload, HOSTILE[what].files)
    assert response.status_code == 200
    page = text_of(response)
    assert HOSTILE[what].says in page
    assert "password does not open" not in page


@pytest.mark.parametrize("what", HOSTILE)
def test_the_command_says_it(what: str, tmp_path: Path) -> None:
    names = []
    for number, content in enumerate(HOSTILE[what].files):
        (tmp_path / f"{number}").write_bytes(content)
        names.append(str(tmp_path / f"{number}"))
    (tmp_path / "password").write_text(PASSWORD)
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command(
            "certificate_inspect", *names, password_file=str(tmp_path / "password"), stdout=out
        )
    assert ended.value.code == 2
    assert HOSTILE[what].says in out.getvalue()


def crossed_authorities(levels: int, each: int) -> list[bytes]:
    """Return a leaf, and authorities that are each signed by every one of the next level.

    All of a level have one name and one key, so there are ``each ** levels`` ways to the top.
    """
    root = ThrowawayCa("Crossed").root.certificate
    begin, end = root.not_valid_before_utc, root.not_valid_after_utc
    keys = [generate_key(KeyKind.ECDSA_P256) for _ in range(levels + 2)]
    certificates = [
        sign_certificate(
            common_name(f"Level {level}"),
            keys[level].public_key(),
            signer=common_name(f"Level {level + 1}"),
            signer_key=keys[level + 1],
            not_before=begin,
            not_after=end,
            names=["mail.example.org"] if level == 0 else (),
            is_ca=level > 0,
            usages=frozenset({"key_cert_sign"} if level else {"digital_signature"}),
        )
        for level in range(levels + 1)
        for _ in range(each if level else 1)
    ]
    return [certificate.public_bytes(Encoding.PEM) for certificate in certificates]


def test_a_chain_with_very_many_ways_is_judged_soon(upload: Upload) -> None:
    response = upload(b"".join(crossed_authorities(levels=6, each=3)))
    assert response.status_code == 200
    page = text_of(response)
    assert GIVEN_UP not in page
    assert "Level 6" in page


def test_an_upload_that_was_given_up_is_not_kept(upload: Upload) -> None:
    response = answer(upload, (ENDLESS,))
    assert GIVEN_UP in text_of(response)
    assert response.context["token"] == ""
    assert not SealedUpload.objects.exists()


def test_an_authority_with_a_slow_file_is_refused(client: Client) -> None:
    """The container is opened without a password, for it may have none."""
    response = client.post(
        reverse("certificates:authority_add"), {"pasted": "", "parts": [io.BytesIO(slow_pkcs12())]}
    )
    assert GIVEN_UP in text_of(response)
    assert not TrustedAuthority.objects.exists()


def slow_pkcs12() -> bytes:
    """Return a file whose MAC takes longer than all that is left of the time."""
    oid, octets, number = (
        lambda digits: encode_der(0x06, bytes.fromhex(digits)),
        lambda content: encode_der(0x04, content),
        lambda value: encode_der(0x02, value.to_bytes(value.bit_length() // 8 + 1)),
    )

    def seq(*items: bytes) -> bytes:
        return encode_der(0x30, b"".join(items))

    data = oid("2a864886f70d010701")
    method = seq(oid("2a864886f70d010c0103"), seq(octets(b"salt"), number(1)))
    locked = seq(data, method, encode_der(0x80, bytes(32)))
    safe = seq(oid("2a864886f70d010706"), encode_der(0xA0, seq(number(0), locked)))
    content = seq(data, encode_der(0xA0, octets(seq(safe))))
    mac = seq(seq(seq(oid("2b0e03021a")), octets(bytes(20))), octets(b"salt"), number(9_999_999))
    return seq(number(3), content, mac)


@pytest.mark.parametrize("way", ["page", "command"])
def test_without_a_process_more_it_is_said(
    way: str, upload: Upload, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(reader_module.subprocess, "Popen", refuse)
    words = "could not be started, so nothing was read"
    if way == "page":
        assert words in text_of(upload(b"x"))
        return
    (tmp_path / "file").write_bytes(b"x")
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("certificate_inspect", str(tmp_path / "file"), stdout=out)
    assert words in out.getvalue()


def test_a_tracked_request_is_read_by_a_child_too(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "_CHILD", "a.module.that.is.not.there")
    response = client.post(reverse("certificates:request_track"), {"pasted": "x"})
    assert "could not be started, so nothing was read" in text_of(response)


def test_an_old_method_and_a_million_rounds_are_opened(upload: Upload) -> None:
    for content in (md5_des_key(), pbkdf2_key(1_000_000)):
        page = text_of(answer(upload, (content,)))
        assert "1 private key" in page
        assert GIVEN_UP not in page
