"""The page of trusted authorities: what is taken, what is refused, what depends on them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.authorities import find_dependents, trust_authority
from mailadmin.certificates.models import Certificate, TrustedAuthority
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.keys import private_key_to_pem
from tests.factories import make_actor
from tests.throwaway_pki import (
    SERVER_USAGES,
    ThrowawayCa,
    common_name,
    draw_key,
    sign_certificate,
    small_rsa_key,
)
from tests.web.certificates.conftest import store, text_of

pytestmark = pytest.mark.django_db
ADD = "certificates:authority_add"
Give = Callable[..., HttpResponse]


@pytest.fixture
def own() -> ThrowawayCa:
    return ThrowawayCa("Own Authority")


@pytest.fixture
def give(client: Client) -> Give:
    """Return a function that gives files on the page to add an authority."""

    def send(*files: bytes, **fields: str) -> HttpResponse:
        parts = [SimpleUploadedFile(f"{n}.pem", content) for n, content in enumerate(files)]
        response: HttpResponse = client.post(reverse(ADD), {"parts": parts, **fields})
        return response

    return send


def trusted(ca: ThrowawayCa, now: datetime) -> TrustedAuthority:
    root = read_certificate(ca.root_pem)
    return trust_authority(actor=make_actor(), root=root, now=now)


@pytest.mark.parametrize("way", ["file", "pasted", "der"])
def test_a_root_is_added_and_listed(client: Client, give: Give, own: ThrowawayCa, way: str) -> None:
    if way == "pasted":
        response = give(pasted=own.root_pem.decode(), note="The office's own")
    elif way == "der":
        der = own.root.certificate.public_bytes(Encoding.DER)
        response = give(der, note="The office's own")
    else:
        response = give(own.root_pem, note="The office's own")
    assert response["Location"] == reverse("certificates:authorities")
    row = TrustedAuthority.objects.get()
    assert (row.title, row.note) == ("Own Authority", "The office's own")
    event = AuditEvent.objects.get(verb="authority.trusted")
    assert event.after["fingerprint"] == row.fingerprint
    page = text_of(client.get(response["Location"]))
    assert "“Own Authority” is trusted from now on." in page
    assert "The office's own" in page


def _weak(ca: ThrowawayCa, _now: datetime) -> bytes:
    return ca.add_authority("Weak", None, key=small_rsa_key()).pem


def _no_sign(ca: ThrowawayCa, now: datetime) -> bytes:
    key = draw_key()
    return sign_certificate(
        common_name("Mute"), key.public_key(), signer=common_name("Mute"), signer_key=key,
        not_before=now - timedelta(days=1), not_after=now + timedelta(days=9), is_ca=True,
        usages=SERVER_USAGES,
    ).public_bytes(Encoding.PEM)  # fmt: skip


REFUSED: dict[str, tuple[Callable[[ThrowawayCa, datetime], bytes], str]] = {
    "nothing": (lambda _ca, _now: b"", "There is no certificate in what you gave"),
    "a text": (lambda _ca, _now: b"hello", "There is no certificate in what you gave"),
    "two": (lambda ca, _now: ca.root_pem + ca.intermediate_pems[0], "trust is given to one"),
    "an intermediate": (lambda ca, _now: ca.intermediate_pems[0], "is an intermediate"),
    "a server's": (lambda ca, _now: ca.issue().cert_pem, "is not the certificate of an authority"),
    "one that signs nothing": (_no_sign, "lacks keyCertSign"),
    "a weak one": (_weak, "1024"),
    "expired": (
        lambda ca, now: ca.add_authority("Old", None, not_after=now - timedelta(days=1)).pem,
        "“Old” expired on",
    ),
    "not yet valid": (
        lambda ca, now: ca.add_authority("New", None, not_before=now + timedelta(days=1)).pem,
        "“New” is not valid before",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_root_is_refused_with_the_reason(
    give: Give, own: ThrowawayCa, now: datetime, case: str
) -> None:
    make, words = REFUSED[case]
    assert words in text_of(give(make(own, now)))
    assert not TrustedAuthority.objects.exists()
    assert not AuditEvent.objects.filter(object_type="authority").exists()


@pytest.mark.parametrize("is_locked", [False, True])
@pytest.mark.parametrize("is_der", [False, True])
def test_the_key_of_an_authority_is_refused_with_all_that_came(
    give: Give, own: ThrowawayCa, is_locked: bool, is_der: bool
) -> None:
    encryption = BestAvailableEncryption(b"word")
    key = private_key_to_pem(own.root.key)
    if is_locked or is_der:
        key = own.root.key.private_bytes(
            Encoding.DER if is_der else Encoding.PEM, PrivateFormat.PKCS8, encryption
        )
    page = text_of(give(own.root_pem, key))
    assert "must never leave the place where it signs" in page
    assert "BEGIN" not in page.replace("-----BEGIN CERTIFICATE-----", "")
    assert not TrustedAuthority.objects.exists()


def test_a_public_root_needs_no_entry(
    give: Give, own: ThrowawayCa, settings: Settings, tmp_path: Path
) -> None:
    settings.TRUST_STORE_FILE = tmp_path / "roots.pem"
    settings.TRUST_STORE_FILE.write_bytes(own.root_pem)
    assert "is a public authority that is trusted already" in text_of(give(own.root_pem))


def test_the_same_root_is_not_added_twice(give: Give, own: ThrowawayCa, now: datetime) -> None:
    trusted(own, now)
    assert "is on the list already" in text_of(give(own.root_pem))
    assert AuditEvent.objects.filter(verb="authority.trusted").count() == 1


def test_too_much_is_refused(client: Client) -> None:
    big = SimpleUploadedFile("a.pem", b"x" * 2_000_000)
    response = client.post(reverse(ADD), {"parts": [big]})
    assert response.status_code == 413


def test_removing_says_what_depends_on_it_and_keeps_that(
    client: Client,
    own: ThrowawayCa,
    ca: ThrowawayCa,
    now: datetime,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    authority = trusted(own, now)
    names = ("mail.example.org", "imap.example.org")
    ours = {store(own.issue([name])).pk for name in names}
    direct = ThrowawayCa("Flat", intermediates=0)
    flat = trusted(direct, now)
    store(direct.issue(["flat.example.org"]))
    store(ca.issue(["other.example.org"]))
    with django_assert_num_queries(2):
        assert {row.pk for row in find_dependents(authority)} == ours
    assert [row.label for row in find_dependents(flat)] == ["flat.example.org"]

    address = reverse("certificates:authority_remove", args=[authority.pk])
    page = text_of(client.get(address))
    assert all(name in page for name in names)
    assert "other.example.org" not in page

    page = text_of(client.post(address, follow=True))
    assert "“Own Authority” is not trusted any more. 2 certificates lead to it" in page
    assert list(TrustedAuthority.objects.all()) == [flat]
    assert Certificate.objects.filter(deleted_at=None).count() == 4
    event = AuditEvent.objects.get(verb="authority.distrusted")
    assert event.before["fingerprint"] == authority.fingerprint
    assert sorted(event.before["certificates"]) == sorted(names)


def test_an_authority_of_the_same_name_and_another_key_has_no_dependents(
    own: ThrowawayCa, now: datetime
) -> None:
    for intermediates in (0, 1):
        ca, other = (ThrowawayCa("Twin", intermediates=intermediates) for _ in range(2))
        authority = trusted(ca, now)
        stored = store(ca.issue(["mail.example.org"]))
        assert find_dependents(authority) == [stored]
        twin = trusted(other, now)
        assert find_dependents(twin) == []


def test_everybody_reads_the_list_and_a_viewer_changes_nothing(
    own: ThrowawayCa, now: datetime, client_of: Callable[[str], Client]
) -> None:
    authority = trusted(own, now)
    remove = reverse("certificates:authority_remove", args=[authority.pk])
    viewer = client_of("viewer")
    page = text_of(viewer.get(reverse("certificates:authorities")))
    assert "Own Authority" in page
    assert remove not in page
    assert reverse(ADD) not in page
    for address in (reverse(ADD), remove):
        assert viewer.get(address).status_code == 403
        assert viewer.post(address).status_code == 403
        assert client_of("operator").get(address).status_code == 200
        assert Client().get(address).status_code == 302
    assert TrustedAuthority.objects.exists()


def test_the_list_says_where_public_roots_come_from(client: Client) -> None:
    page = text_of(client.get(reverse("certificates:authorities")))
    assert "roots (the package certifi)" in page
    assert "No authority of your own" in page
    assert "none yet: missing intermediates are completed only from" in page
