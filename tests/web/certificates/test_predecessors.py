"""What an upload replaces: guessed, shown with what it changes, chosen, and stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.judging import judge_upload
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.requesting import create_request
from mailadmin.certificates.services import StoreResult, store_certificate
from mailadmin.certificates.succession import find_predecessor
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.csr import CsrSubject
from mailadmin.pki.keys import KeyKind
from tests.factories import make_actor
from tests.server_factories import make_binding, make_certificate, make_server
from tests.throwaway_pki import CLIENT_AUTH, SERVER_AUTH, Issued, ThrowawayCa, draw_key
from tests.web.certificates.conftest import Upload, store, text_of, token_in
from tests.web.certificates.test_commands import run

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
BEFORE = NOW - timedelta(days=70)
NAMES = ("mail.example.org", "imap.example.org")
ACTOR = make_actor()


@pytest.fixture
def old(ca: ThrowawayCa) -> Certificate:
    """Store a certificate that is due for renewal."""
    uses = (SERVER_AUTH, CLIENT_AUTH)
    return store(ca.issue(NAMES, not_before=BEFORE, days=90, eku=uses))


@pytest.fixture
def renewed(ca: ThrowawayCa) -> Issued:
    return ca.issue(["mail.example.org"])


def guessed(issued: Issued) -> Certificate | None:
    return find_predecessor(read_certificate(issued.cert_pem))


def row(*names: str, **values: Any) -> Certificate:
    """Return a stored certificate from before those that are issued now, and due."""
    lived = {"not_before": BEFORE, "not_after": NOW + timedelta(days=20)}
    return make_certificate(*names, **(lived | values))


# The rule


def test_the_newest_with_the_same_names_and_kind_of_key_is_guessed(ca: ThrowawayCa) -> None:
    row(*NAMES, not_before=BEFORE - timedelta(days=60))
    newest = row(*NAMES)
    row("other.example.org")
    row(*NAMES, key_description="RSA 2048")
    row(*NAMES, deleted_at=NOW)
    assert guessed(ca.issue(NAMES)) == newest


def test_one_in_use_comes_before_a_newer_spare_one(ca: ThrowawayCa) -> None:
    used = row(*NAMES, not_before=BEFORE - timedelta(days=20))
    row(*NAMES)
    make_server(default_certificate=used)
    assert guessed(ca.issue(NAMES)) == used


def test_the_companion_of_one_in_use_is_in_use(ca: ThrowawayCa) -> None:
    ecdsa = row(*NAMES, not_before=BEFORE - timedelta(days=20))
    rsa = row(*NAMES, key_description="RSA 2048", companion=ecdsa)
    Certificate.objects.filter(pk=ecdsa.pk).update(companion=rsa)
    row(*NAMES)
    make_server(default_certificate=rsa)
    assert guessed(ca.issue(NAMES)) == ecdsa
    assert guessed(ca.issue(NAMES, key=draw_key(KeyKind.RSA_2048))) == rsa


def test_more_names_in_common_win_over_the_newer(ca: ThrowawayCa) -> None:
    both = row(*NAMES, not_before=BEFORE - timedelta(days=1))
    row("mail.example.org")
    assert guessed(ca.issue(NAMES)) == both


def test_half_of_the_old_names_must_be_covered(ca: ThrowawayCa) -> None:
    row("mail.example.org", "a.example.org", "b.example.org")
    assert guessed(ca.issue(["mail.example.org"])) is None
    half = row("mail.example.org", "a.example.org")
    assert guessed(ca.issue(["mail.example.org"])) == half


def test_wildcards_count_both_ways(ca: ThrowawayCa) -> None:
    single = row("mail.example.org")
    assert guessed(ca.issue(["*.example.org"])) == single
    single.delete()
    wildcard = row("*.example.org")
    assert guessed(ca.issue(["*.example.org"])) == wildcard
    assert guessed(ca.issue(["mail.example.org"])) is None


def test_another_kind_of_key_is_guessed_only_when_it_is_due(ca: ThrowawayCa) -> None:
    fresh = row(*NAMES, key_description="RSA 2048", not_after=NOW + timedelta(days=60))
    assert guessed(ca.issue(NAMES)) is None
    fresh.delete()
    due = row(*NAMES, key_description="RSA 2048")
    assert guessed(ca.issue(NAMES)) == due


def test_one_that_began_later_is_not_replaced(ca: ThrowawayCa) -> None:
    row(*NAMES, not_before=NOW + timedelta(days=1))
    assert guessed(ca.issue(NAMES)) is None
    assert guessed(ca.issue([], cn="mail.example.org")) is None


def test_what_the_request_renews_wins(ca: ThrowawayCa, old: Certificate) -> None:
    renewed = row("other.example.org")
    csr = create_request(
        actor=ACTOR,
        names=NAMES,
        subject=CsrSubject(common_name=NAMES[0]),
        key_kind=KeyKind.ECDSA_P256,
        renews=renewed,
    )
    answer = ca.issue(csr_pem=csr.pem.encode())
    assert guessed(answer) == renewed
    assert store(answer).replaces == renewed
    assert old.replaced_by.count() == 0


# The page


def lead_to_save(upload: Upload, issued: Issued) -> HttpResponse:
    return upload(issued.fullchain_pem, issued.key_pem)


def test_the_verdict_shows_what_it_replaces_and_what_that_changes(
    upload: Upload, old: Certificate, renewed: Issued
) -> None:
    page = text_of(lead_to_save(upload, renewed))
    assert f'Replaces <a href="{old.get_absolute_url()}">mail.example.org</a>' in page
    assert "1 name of the old certificate is missing: imap.example.org." in page
    assert "could also be used to log in to other servers (clientAuth)" in page
    assert "It has another key than the old certificate." in page
    assert not Certificate.objects.exclude(pk=old.pk).exists()


def test_saving_links_the_two_in_the_same_event(
    upload: Upload, old: Certificate, renewed: Issued, client: Client
) -> None:
    response = lead_to_save(upload, renewed)
    upload(token=token_in(response), save="1", predecessor=str(old.pk))
    new = Certificate.objects.get(replaces=old)
    event = AuditEvent.objects.get(object_type="certificate", object_id=str(new.pk))
    assert event.after["replaces"] == f"mail.example.org ({old.fingerprint[:16]})"
    page = text_of(client.get(old.get_absolute_url()))
    assert f'Replaced by</strong> <a href="{new.get_absolute_url()}"' in page or (
        f'Replaced by <a href="{new.get_absolute_url()}"' in page
    )


def test_it_can_replace_another_one_or_nothing(
    upload: Upload, old: Certificate, ca: ThrowawayCa, renewed: Issued
) -> None:
    other = store(ca.issue(["mail.example.org"], not_before=BEFORE, days=200))
    response = lead_to_save(upload, renewed)
    compared = upload(token=token_in(response), compare="1", predecessor=str(other.pk))
    page = text_of(compared)
    assert f'Replaces <a href="{other.get_absolute_url()}"' in page
    assert "It ends before the old one does" in page
    assert "It is valid for 90 days, the old one was for 200" in page

    nothing = upload(token=token_in(compared), compare="1", predecessor="none")
    assert "It replaces no certificate that is here." in text_of(nothing)
    upload(token=token_in(nothing), save="1", predecessor="none")
    assert Certificate.objects.exclude(pk__in=[old.pk, other.pk]).get().replaces is None


def test_a_choice_that_is_not_offered_is_refused(
    upload: Upload, old: Certificate, renewed: Issued
) -> None:
    stranger = make_certificate("stranger.example.net")
    response = lead_to_save(upload, renewed)
    for typed in (str(stranger.pk), "999999", "-1"):
        answer = upload(token=token_in(response), save="1", predecessor=typed)
        assert answer.status_code == 200
        assert "is not one of those offered any more" in text_of(answer)
    assert Certificate.objects.count() == 2


def test_nothing_is_asked_where_there_is_nothing_to_replace(
    upload: Upload, renewed: Issued
) -> None:
    assert "What it replaces" not in text_of(lead_to_save(upload, renewed))


def test_a_choice_that_no_page_makes_is_answered_with_a_sentence(upload: Upload) -> None:
    response = upload(pasted="x", predecessor="1\0")
    assert "is not one of those offered" in text_of(response)


def test_what_is_here_already_keeps_its_predecessor(
    upload: Upload, old: Certificate, renewed: Issued
) -> None:
    new = store(renewed)
    assert new.replaces == old
    response = lead_to_save(upload, renewed)
    assert "What it replaces" not in text_of(response)
    upload(token=token_in(response), save="1")
    new.refresh_from_db()
    assert new.replaces == old


def test_a_row_whose_text_cannot_be_read_is_offered_without_differences(
    upload: Upload, renewed: Issued
) -> None:
    unreadable = row("mail.example.org")
    response = lead_to_save(upload, renewed)
    assert response.context["proposal"].chosen == unreadable
    assert response.context["proposal"].differences == ()


def test_another_root_is_told(upload: Upload, old: Certificate) -> None:
    other = ThrowawayCa("Another Authority")
    issued = other.issue(NAMES)
    roots = other.root_pem
    page = text_of(upload(issued.fullchain_pem + roots, issued.key_pem))
    assert "Another authority issued it" in page


def test_the_page_costs_no_more_for_many(upload: Upload, old: Certificate, renewed: Issued) -> None:
    counts = []
    for more in (0, 40):
        for _ in range(more):
            row(*NAMES)
        with CaptureQueriesContext(connection) as queries:
            lead_to_save(upload, renewed)
        counts.append(len(queries))
    assert counts[1] <= counts[0]


def test_several_places_are_no_reason_to_offer_one_twice(upload: Upload, renewed: Issued) -> None:
    used = row("mail.example.org")
    server = make_server(default_certificate=used)
    make_binding(server, "mail.example.org", used)
    make_binding(server, "imap.example.org", used)
    response = lead_to_save(upload, renewed)
    assert response.context["proposal"].predecessors.rows == (used,)
    assert "in use" in text_of(response)


# The verb


def test_a_circle_is_refused(ca: ThrowawayCa, old: Certificate) -> None:
    new = store(ca.issue(NAMES))
    assert new.replaces == old
    issued = ca.issue(NAMES, not_before=BEFORE - timedelta(days=30), days=200)
    first = store(issued)
    Certificate.objects.filter(pk=old.pk).update(replaces=first)
    verdict = judge_upload([issued.fullchain_pem, issued.key_pem], now=datetime.now(UTC))
    with pytest.raises(CertificateRefusedError, match=r"succession\.circle"):
        store_certificate(actor=ACTOR, verdict=verdict, predecessor=new)


def test_a_known_one_can_be_told_what_it_replaces(ca: ThrowawayCa, old: Certificate) -> None:
    issued = ca.issue(["else.example.org"])
    new = store(issued)
    assert new.replaces is None
    verdict = judge_upload([issued.fullchain_pem, issued.key_pem], now=datetime.now(UTC))
    stored = store_certificate(actor=ACTOR, verdict=verdict, predecessor=old)
    assert stored.result is StoreResult.COMPLETED
    assert stored.certificate.replaces == old


# The command line


@pytest.fixture
def files(tmp_path: Path) -> Callable[[Issued], str]:
    def write(issued: Issued) -> str:
        path = tmp_path / "upload.pem"
        path.write_bytes(issued.fullchain_pem + issued.key_pem)
        return str(path)

    return write


def test_inspect_says_what_it_would_replace(
    files: Callable[[Issued], str], old: Certificate, renewed: Issued
) -> None:
    code, out, _ = run("certificate_inspect", files(renewed))
    assert code == 0
    assert "Replaces mail.example.org (ECDSA P-256, until " in out
    assert "warning: 1 name of the old certificate is missing: imap.example.org." in out
    _, out, _ = run("certificate_inspect", files(renewed), "--json")
    replaces = json.loads(out)["replaces"]
    assert replaces["id"] == old.pk
    assert replaces["is_asked_for"] is False
    assert {item["code"] for item in replaces["differences"]} == {
        "predecessor.names_lost",
        "predecessor.client_use_gone",
        "predecessor.other_key",
    }


def test_import_takes_the_likeliest_or_what_is_said(
    files: Callable[[Issued], str], old: Certificate, ca: ThrowawayCa
) -> None:
    assert run("certificate_import", files(ca.issue(NAMES)))[0] == 0
    second = Certificate.objects.get(replaces=old)
    code, out, _ = run("certificate_import", files(ca.issue(NAMES)), "--replaces", "none")
    assert (code, "Replaces" in out) == (0, False)
    prefix = second.fingerprint[:12].upper()
    issued = ca.issue(NAMES, not_before=datetime.now(UTC) + timedelta(0))
    assert run("certificate_import", files(issued), "--replaces", prefix)[0] == 0
    assert second.replaced_by.count() == 1
    code, _, err = run("certificate_import", files(ca.issue(NAMES)), "--replaces", "abc")
    assert code == 1
    assert "is not one of those offered" in err
