"""The pages of certificates by ACME: asking for one, changing, stopping, and *Renewals*."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from mailadmin.accounts.roles import Role
from mailadmin.acme.models import AcmeAccount, AcmeCertificate, AcmeEvent, AcmeOrder, AcmePreflight
from tests.acme_factories import make_account, make_acme_certificate, make_authorization, make_order
from tests.server_factories import apply_wanted, make_certificate, make_server
from tests.throwaway_pki import ThrowawayCa
from tests.web.certificates.conftest import store

pytestmark = pytest.mark.django_db
Status = AcmeOrder.Status
ADD = "/renewals/add/"


@pytest.fixture(autouse=True)
def _own_master_key(tmp_path: Path, settings: Settings) -> None:
    settings.MASTER_KEY_FILE = tmp_path / "secrets" / "master.key"


@pytest.fixture
def client(client_of: Callable[[Role], Client]) -> Client:
    return client_of(Role.OPERATOR)


def answers(account: AcmeAccount | str, names: str = "mail.example.org", **values: Any) -> Any:
    """Return what the form sends when nothing else is touched."""
    return {
        "names": names,
        "account": account if isinstance(account, str) else str(account.pk),
        "challenge": "http-01",
        "http_way": "agent",
        "key_kind": "ecdsa-p256",
        "key_choice": "auto",
        "profile": "",
        "is_renewed_automatically": "on",
        "is_deployed_automatically": "on",
        **values,
    }


def page(response: Any) -> str:
    return " ".join(response.content.decode().split())


# Asking for one


def test_the_form_begins_with_the_names_that_are_served(client: Client) -> None:
    make_server(default_certificate=make_certificate("mail.example.org", "imap.example.org"))
    make_account(title="Our CA")
    said = page(client.get(ADD))
    assert "mail.example.org imap.example.org</textarea>" in said
    assert "Our CA" in said
    assert "an account is opened on the way" in said


def test_the_form_begins_with_the_names_of_the_one_to_be_replaced(client: Client) -> None:
    old = make_certificate("smtp.example.org")
    assert "smtp.example.org</textarea>" in page(client.get(f"{ADD}?replaces={old.pk}"))
    for odd in ("x", "-1", "9" * 40, "²"):
        assert client.get(ADD, {"replaces": odd}).status_code == 200


def test_one_click_keeps_it_and_has_the_names_looked_at(client: Client) -> None:
    server, account = make_server(), make_account()
    response = client.post(ADD, answers(account, "Mail.Example.ORG., imap.example.org"))
    wanted = AcmeCertificate.objects.get()
    look = AcmePreflight.objects.get()
    assert response.url == reverse("acme:preflight", args=[look.pk])
    assert wanted.names == ["mail.example.org", "imap.example.org"]
    assert (wanted.server, wanted.account) == (server, account)
    assert wanted.is_renewed_automatically
    assert look.is_order_wanted
    assert not look.is_rehearsal_wanted


def test_the_first_order_takes_the_place_of_the_one_that_is_named(client: Client) -> None:
    old = make_certificate("mail.example.org")
    client.post(f"{ADD}?replaces={old.pk}", answers(make_account()))
    assert AcmeCertificate.objects.get().certificate == old


def test_an_account_is_opened_on_the_way(client: Client) -> None:
    client.post(ADD, answers("open-letsencrypt", contact="a@example.org", agrees="on"))
    wanted, account = AcmeCertificate.objects.get(), AcmeAccount.objects.get()
    assert wanted.account == account
    assert account.title == "Let’s Encrypt"
    assert account.contact == "a@example.org"
    assert account.errand == AcmeAccount.Errand.REGISTER
    assert account.terms_agreed_at is not None
    assert account.private_key is not None
    assert AcmePreflight.objects.get().is_rehearsal_wanted


def test_no_account_is_opened_without_the_terms(client: Client) -> None:
    response = client.post(ADD, answers("open-letsencrypt"))
    assert "no authority opens an account" in page(response)
    assert not AcmeAccount.objects.exists()
    assert not AcmeCertificate.objects.exists()


def test_an_account_is_not_left_behind_by_a_refused_certificate(client: Client) -> None:
    make_acme_certificate("mail.example.org")
    response = client.post(ADD, answers("open-letsencrypt", agrees="on"))
    assert "is had by ACME already" in page(response)
    assert AcmeAccount.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"names": ""}, "This field is required"),
        ({"names": "*.example.org"}, "Wildcards can be proven by a DNS record only"),
        ({"names": "mail.example.org *.example.org", "challenge": "dns-01"}, "covered by"),
        ({"names": "192.0.2.1"}, "is an IP address"),
        ({"names": "\x00"}, ""),
        ({"names": " ".join(f"h{n}.example.org" for n in range(101))}, "101 names"),
        ({"account": "999"}, "Select a valid choice"),
        ({"account": "open-zerossl"}, "Select a valid choice"),
        ({"challenge": "tls-alpn-01"}, "Select a valid choice"),
        ({"profile": "made-up"}, "Select a valid choice"),
        ({"dns_access": "7"}, "Select a valid choice"),
        ({"key_kind": "dsa"}, "Select a valid choice"),
        ({"fallback_account": "x"}, "Select a valid choice"),
    ],
)
def test_odd_answers_are_told_and_keep_nothing(
    changes: dict[str, str], said: str, client: Client
) -> None:
    response = client.post(ADD, answers(make_account()) | changes)
    assert response.status_code == 200
    assert said in page(response)
    assert not AcmeCertificate.objects.exists()


def test_profiles_are_choices_with_what_they_mean_for_mail(client: Client) -> None:
    offered = {"shortlived": "six days", "own": "Of this authority alone"}
    account = make_account(about={"profiles": offered}, title="Our CA")
    said = page(client.get(ADD))
    assert "shortlived (Our CA): Short-lived" in said
    assert "own (Our CA): Of this authority alone" in said
    client.post(ADD, answers(account, profile="shortlived"))
    assert AcmeCertificate.objects.get().profile == "shortlived"


def test_a_profile_of_another_authority_is_refused(client: Client) -> None:
    make_account(about={"profiles": {"shortlived": ""}})
    other = make_account(about={"profiles": {"classic": ""}})
    response = client.post(ADD, answers(other, profile="shortlived"))
    assert "does not offer the profile shortlived, but these: classic" in page(response)


def test_it_is_said_why_there_is_no_tls_alpn(client: Client) -> None:
    assert "The ports of a mail server are others" in page(client.get(ADD))


def test_without_profiles_none_is_asked_for(client: Client) -> None:
    make_account()
    assert "(profile)" not in page(client.get(ADD))


def test_the_same_authority_is_no_fallback(client: Client) -> None:
    account = make_account()
    response = client.post(ADD, answers(account, fallback_account=str(account.pk)))
    assert "This is the same authority" in page(response)


def test_a_missing_master_key_is_told(client: Client, settings: Settings, tmp_path: Path) -> None:
    settings.MASTER_KEY_FILE = tmp_path / "missing" / "sub" / "master.key"
    (tmp_path / "missing").write_text("a file where a folder should be")
    response = client.post(ADD, answers("open-letsencrypt", agrees="on"))
    assert response.status_code == 200
    assert "master key" in page(response)
    assert not AcmeAccount.objects.exists()


# Changing and stopping


def test_a_change_counts_from_the_next_order_on(client: Client) -> None:
    wanted = make_acme_certificate("mail.example.org")
    address = reverse("acme:change", args=[wanted.pk])
    assert "mail.example.org</textarea>" in page(client.get(address))
    changed = answers(wanted.account, "mail.example.org imap.example.org", key_choice="keep")
    assert client.post(address, changed).url == wanted.get_absolute_url()
    wanted.refresh_from_db()
    assert wanted.names == ["mail.example.org", "imap.example.org"]
    assert wanted.key_choice == "keep"


def test_a_profile_that_is_offered_no_more_is_still_shown(client: Client) -> None:
    wanted = make_acme_certificate(profile="old")
    assert 'value="old"' in page(client.get(reverse("acme:change", args=[wanted.pk])))


@pytest.mark.parametrize("what", ["change", "forget"])
def test_nothing_is_changed_while_an_order_is_under_way(what: str, client: Client) -> None:
    order = make_order()
    wanted = order.acme_certificate
    address = reverse(f"acme:{what}", args=[wanted.pk])
    response = client.post(address, answers(wanted.account, "other.example.org"), follow=True)
    assert "is under way already" in page(response)
    wanted.refresh_from_db()
    assert wanted.names == ["mail.example.org"]


def test_stopping_leaves_the_certificate(client: Client) -> None:
    certificate = make_certificate()
    wanted = make_acme_certificate(certificate=certificate)
    address = reverse("acme:forget", args=[wanted.pk])
    assert "served until it expires" in page(client.get(address))
    assert client.post(address).url == reverse("acme:renewals")
    certificate.refresh_from_db()
    assert certificate.deleted_at is None
    assert not AcmeCertificate.objects.exists()


# The page of one


def test_the_page_tells_how_it_is_renewed_and_what_happened(client: Client) -> None:
    wanted = make_acme_certificate(
        "mail.example.org",
        "imap.example.org",
        renewal_info={
            "start": "2027-01-01T00:00:00+00:00",
            "end": "2027-01-02T00:00:00+00:00",
            "explanation_url": "javascript:alert(1)",
        },
    )
    order = make_order(wanted, status=Status.FAILED)
    make_authorization(
        order,
        status="invalid",
        problem={"code": "acme.name_refused", "severity": "error", "subject": "mail.example.org"},
    )
    AcmeEvent.objects.create(
        acme_certificate=wanted,
        order=order,
        at=timezone.now(),
        code="acme.order_made",
        severity="info",
    )
    said = page(client.get(wanted.get_absolute_url()))
    assert f"Ordered at {wanted.account.title}." in said
    assert "did not find the proof for mail.example.org" in said
    assert "never asked for" in said
    assert "renew between 2027-01-01 00:00:00 UTC" in said
    assert "javascript:" not in said


def test_what_an_authority_says_is_no_markup(client: Client) -> None:
    order = make_order(
        status=Status.FAILED,
        problem={
            "code": "acme.refused",
            "severity": "error",
            "subject": "",
            "params": {"words": "<script>alert(1)</script>"},
        },
    )
    said = page(client.get(order.get_absolute_url()))
    assert "<script>alert(1)" not in said
    assert "&lt;script&gt;alert(1)" in said


# Renewals


def test_an_empty_page_says_what_to_do(client: Client) -> None:
    said = page(client.get("/renewals/"))
    assert "No certificate is renewed by itself yet" in said
    assert ADD in said


def test_what_needs_somebody_comes_first_and_tells_why(client: Client) -> None:
    now = timezone.now()
    good = make_certificate("good.example.org")
    calm = make_acme_certificate(
        "good.example.org", certificate=good, next_attempt_at=now + timedelta(days=30)
    )
    make_order(calm, status=Status.PROVEN, issued_at=now, certificate=good)
    make_acme_certificate(
        "bad.example.org",
        certificate=make_certificate("bad.example.org"),
        failures=2,
        next_attempt_at=now + timedelta(minutes=10),
    )
    late = make_acme_certificate("late.example.org", next_attempt_at=now - timedelta(hours=2))
    make_order(late, status=Status.WAITING)
    said = page(client.get("/renewals/"))
    assert "2 certificates need somebody" in said
    urgent, _, rest = said.partition("What happens in the next 90 days")
    assert "renewal fails" in urgent
    assert "waits for a DNS record" in urgent
    assert "good.example.org" in rest
    assert "bad.example.org" not in rest


def test_a_certificate_put_in_place_by_somebody_needs_nobody_at_once(client: Client) -> None:
    certificate = make_certificate()
    server = make_server(default_certificate=make_certificate("old.example.org"))
    wanted = make_acme_certificate(server=server, certificate=certificate)
    order = make_order(
        wanted, status=Status.ISSUED, certificate=certificate, issued_at=timezone.now()
    )
    assert "issued, not in place yet" in page(client.get("/renewals/"))
    assert "Put it in place" in page(client.get(order.get_absolute_url()))
    server.default_certificate = certificate
    server.save()
    apply_wanted(server)
    assert "Nobody has to do anything" in page(client.get("/renewals/"))
    assert "in place by now" in page(client.get(order.get_absolute_url()))


def test_limits_are_shown_as_counted_here(client: Client) -> None:
    account = make_account(directory_url="https://acme-v02.api.letsencrypt.org/directory")
    wanted = make_acme_certificate(account=account)
    make_order(wanted, status=Status.PROVEN, issued_at=timezone.now(), order_url="https://x/1")
    said = page(client.get("/renewals/"))
    assert "certificates in a week with exactly these names" in said
    assert "1 of 5" in said


def test_the_number_of_queries_does_not_grow(client: Client) -> None:
    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get("/renewals/").status_code == 200
            assert client.get("/certificates/").status_code == 200
        return len(queries)

    account = make_account()

    def add(number: int) -> None:
        certificate = make_certificate(f"h{number}.example.org")
        wanted = make_acme_certificate(
            f"h{number}.example.org", account=account, certificate=certificate
        )
        make_order(wanted, status=Status.PROVEN, issued_at=timezone.now(), certificate=certificate)

    add(0)
    before = count()
    for number in range(1, 9):
        add(number)
    assert count() == before


# On the pages of certificates


def test_the_list_says_who_renews_and_when(client: Client) -> None:
    ca = ThrowawayCa("Test Authority")
    by_acme, by_hand = store(ca.issue(["a.example.org"])), store(ca.issue(["b.example.org"]))
    wanted = make_acme_certificate(
        "a.example.org", certificate=by_acme, next_attempt_at=timezone.now() + timedelta(days=59.5)
    )
    said = page(client.get("/certificates/"))
    assert f'<a href="{wanted.get_absolute_url()}">by ACME</a>, <time' in said
    assert "in 59 days" in said
    assert "by hand" in said
    assert "renewed automatically" in page(client.get(by_hand.get_absolute_url()))
    assert wanted.get_absolute_url() in page(client.get(by_acme.get_absolute_url()))
    make_order(wanted, status=Status.PROVEN, certificate=by_hand)
    assert "renewed by ACME already" in page(client.get(by_hand.get_absolute_url()))
    AcmeCertificate.objects.update(failures=2)
    assert "failed 2 times" in page(client.get("/certificates/"))
    AcmeCertificate.objects.update(failures=0, is_renewed_automatically=False)
    assert "when somebody asks" in page(client.get("/certificates/"))


def test_the_calendar_asks_nobody_to_do_what_acme_does(client: Client) -> None:
    ca = ThrowawayCa("Test Authority")
    by_acme, by_hand = store(ca.issue(["a.example.org"])), store(ca.issue(["b.example.org"]))
    make_server(default_certificate=by_acme)
    make_acme_certificate("a.example.org", certificate=by_acme, next_attempt_at=timezone.now())

    def said(name: str) -> str:
        rows = page(client.get(reverse("certificates:calendar"))).split("</tr>")
        (row,) = (row for row in rows if f">{name}</a>" in row)
        return row.rpartition("<td")[2]

    assert "Nobody:" in said("a.example.org")
    assert "by ACME</a>, <time" in said("a.example.org")
    assert "by hand" not in said("a.example.org")
    assert "nothing uses it" in said("b.example.org")
    AcmeCertificate.objects.update(failures=2)
    assert "You, unless the next attempt succeeds:" in said("a.example.org")
    AcmeCertificate.objects.update(failures=0, is_deployed_automatically=False)
    assert "You, to put the new one in place:" in said("a.example.org")
    AcmeCertificate.objects.update(challenge=AcmeCertificate.Challenge.DNS_01)
    assert "You, to write the DNS record it asks for:" in said("a.example.org")
    AcmeCertificate.objects.update(is_renewed_automatically=False)
    assert "You: <a" in said("a.example.org")
    AcmeCertificate.objects.update(certificate=by_hand)
    assert "You: renew it by hand" in said("a.example.org")


def test_moments_in_the_page_are_of_the_past_and_future_alike(client: Client) -> None:
    wanted = make_acme_certificate(rehearsed_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert "2026-01-01 00:00:00 UTC" in page(client.get(wanted.get_absolute_url()))
