"""Accounts at authorities and DNS accesses; who may do what; secrets stay secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from mailadmin.accounts.roles import Role
from mailadmin.acme.models import AcmeAccount, AcmeCertificate, AcmeOrder, AcmeSecret, DnsAccess
from mailadmin.acme.sealing import open_secret
from mailadmin.audit.models import AuditEvent
from tests.acme_factories import make_account, make_acme_certificate, make_order

pytestmark = pytest.mark.django_db
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA=="
ADD = "/renewals/accounts/add/"


@pytest.fixture(autouse=True)
def _own_master_key(tmp_path: Path, settings: Settings) -> None:
    settings.MASTER_KEY_FILE = tmp_path / "secrets" / "master.key"


@pytest.fixture
def client(client_of: Callable[[Role], Client]) -> Client:
    return client_of(Role.OPERATOR)


def page(response: Any) -> str:
    return " ".join(response.content.decode().split())


def name_server(**values: Any) -> dict[str, Any]:
    return {
        "title": "ns1",
        "server": "192.0.2.53",
        "port": "53",
        "zone": "example.org",
        "key_name": "mailadmin",
        "algorithm": "hmac-sha256",
        "tsig_secret": SECRET,
        **values,
    }


# Accounts


def test_a_known_authority_is_filled_in(client: Client) -> None:
    assert "Its website, with its terms" in page(client.get(ADD))
    response = client.post(ADD, {"authority": "letsencrypt", "agrees": "on"})
    row = AcmeAccount.objects.get()
    assert response.url == row.get_absolute_url()
    assert row.title == "Let’s Encrypt"
    assert row.directory_url.startswith("https://acme-v02.")
    assert row.staging_url
    assert row.errand == "register"
    said = page(client.get(row.get_absolute_url()))
    assert "Asking the authority" in said
    assert "hx-get" in said
    part = client.get(row.get_absolute_url(), headers={"HX-Request": "true"})
    assert "<html" not in page(part)


def test_a_key_of_the_authority_is_sealed_and_never_shown(client: Client) -> None:
    answers = {
        "authority": "zerossl",
        "agrees": "on",
        "eab_key_id": "kid-1",
        "eab_secret": "hmac-secret-of-the-customer",
    }
    client.post(ADD, answers)
    row = AcmeAccount.objects.get()
    assert row.eab_secret is not None
    assert open_secret(row.eab_secret) == "hmac-secret-of-the-customer"
    said = page(client.get(row.get_absolute_url())) + page(client.get("/audit/"))
    assert "kid-1" in said
    assert "hmac-secret" not in said
    told = AuditEvent.objects.values_list("after", "before", "evidence")
    assert "hmac-secret" not in json.dumps(list(told), default=str)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "This field is required"),
        ({"authority": "nobody"}, "Select a valid choice"),
        ({"authority": "letsencrypt", "agrees": ""}, "no authority opens an account"),
        ({"authority": "zerossl"}, "opens no account without it"),
        ({"authority": "zerossl", "eab_key_id": "k"}, "go together"),
        ({"authority": "other"}, "Which directory is it?"),
        ({"authority": "other", "directory_url": "http://ca.test/dir"}, "begins with https://"),
        ({"authority": "other", "directory_url": "https://[::1"}, "begins with https://"),
        ({"authority": "other", "directory_url": "https://ca.test:99999/"}, "begins with https://"),
        ({"authority": "letsencrypt", "contact": "nobody"}, "valid email address"),
        ({"authority": "letsencrypt", "ca_bundle": "not PEM"}, "no certificate (PEM)"),
        ({"authority": "letsencrypt", "title": "x" * 81}, "at most 80 characters"),
    ],
)
def test_odd_answers_open_no_account(answers: dict[str, str], said: str, client: Client) -> None:
    response = client.post(ADD, {"agrees": "on"} | answers)
    assert response.status_code == 200
    assert said in page(response)
    assert not AcmeAccount.objects.exists()


def test_a_title_is_used_once(client: Client) -> None:
    make_account(title="Let’s Encrypt")
    response = client.post(ADD, {"authority": "letsencrypt", "agrees": "on"})
    assert "is there already" in page(response)


def test_the_page_of_an_account_tells_what_the_authority_said(client: Client) -> None:
    row = make_account(
        about={
            "terms_url": "javascript:alert(1)",
            "profiles": {"tlsserver": "for servers", "own": "<b>bold</b>"},
            "has_renewal_info": True,
        },
        problem={"code": "acme.contact_refused", "severity": "error", "subject": "", "params": {}},
    )
    wanted = make_acme_certificate(account=row)
    said = page(client.get(row.get_absolute_url()))
    assert 'href="javascript:' not in said
    assert "For TLS servers: valid for" in said
    assert "&lt;b&gt;bold" in said
    assert "does not accept the e-mail address" in said
    assert wanted.get_absolute_url() in said
    listed = page(client.get("/renewals/accounts/"))
    assert row.title in listed
    assert "does not accept the e-mail address" in listed


def test_without_accounts_the_list_says_what_to_do(client: Client) -> None:
    said = page(client.get("/renewals/accounts/"))
    assert "No authority yet" in said
    assert ADD in said


@pytest.mark.parametrize(("verb", "errand"), [("register", "register"), ("roll_key", "roll_over")])
def test_errands_are_queued(verb: str, errand: str, client: Client) -> None:
    row = make_account()
    client.post(reverse(f"acme:account_{verb}", args=[row.pk]))
    row.refresh_from_db()
    assert row.errand == errand


def test_the_contact_is_changed_and_a_bad_one_is_not(client: Client) -> None:
    row = make_account()
    address = reverse("acme:account_contact", args=[row.pk])
    client.post(address, {"contact": "a@example.org"})
    row.refresh_from_db()
    assert (row.contact, row.errand) == ("a@example.org", "update")
    assert "nothing was changed" in page(client.post(address, {"contact": "no"}, follow=True))


@pytest.mark.parametrize("verb", ["register", "roll_key"])
def test_an_ended_account_is_not_used_again(verb: str, client: Client) -> None:
    row = make_account(status="deactivated")
    response = client.post(reverse(f"acme:account_{verb}", args=[row.pk]), follow=True)
    assert 'class="note note-error"' in page(response)
    row.refresh_from_db()
    assert row.errand == ""


def test_an_account_is_ended_at_the_authority_or_forgotten_here(client: Client) -> None:
    valid, ended = make_account(), make_account(status="deactivated")
    address = reverse("acme:account_end", args=[valid.pk])
    assert "ends the account for ever" in page(client.get(address))
    client.post(address)
    valid.refresh_from_db()
    assert valid.errand == "deactivate"
    assert "forgotten" in page(
        client.post(reverse("acme:account_end", args=[ended.pk]), follow=True)
    )
    assert not AcmeAccount.objects.filter(pk=ended.pk).exists()


def test_an_account_in_use_stays(client: Client) -> None:
    order = make_order(status=AcmeOrder.Status.FAILED)
    address = reverse("acme:account_end", args=[order.account_id])
    assert "is needed to renew mail.example.org" in page(client.post(address, follow=True))
    other = make_account(status="deactivated")
    AcmeCertificate.objects.update(account=other)
    AcmeAccount.objects.filter(pk=order.account_id).update(status="deactivated")
    assert "the history names it" in page(client.post(address, follow=True))


# DNS accesses


def test_a_name_server_is_kept_with_its_secret_sealed(client: Client) -> None:
    address = "/renewals/dns/add/rfc2136/"
    assert client.get(address).status_code == 200
    assert client.post(address, name_server()).url == "/renewals/dns/"
    row = DnsAccess.objects.get()
    assert row.settings["server"] == "192.0.2.53"
    assert SECRET not in json.dumps(row.settings)
    assert row.secret is not None
    assert open_secret(row.secret) == SECRET
    change = reverse("acme:access_change", args=[row.pk])
    said = page(client.get("/renewals/dns/")) + page(client.get(change))
    assert "name server with signed updates" in said
    assert SECRET not in said
    client.post(change, name_server(title="ns2", tsig_secret=""))
    row.refresh_from_db()
    assert row.title == "ns2"
    assert row.secret is not None
    assert open_secret(row.secret) == SECRET
    assert AcmeSecret.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": ""}, "This field is required"),
        ({"port": "0"}, "greater than or equal to 1"),
        ({"port": "x"}, "Enter a whole number"),
        ({"tsig_secret": ""}, "The key is needed"),
        ({"tsig_secret": "not base64!"}, "base64"),
        ({"algorithm": "rot13"}, "Select a valid choice"),
    ],
)
def test_odd_answers_keep_no_access(changes: dict[str, str], said: str, client: Client) -> None:
    response = client.post("/renewals/dns/add/rfc2136/", name_server(**changes))
    assert response.status_code == 200
    assert said in page(response)
    assert not DnsAccess.objects.exists()


def test_a_provider_is_chosen_and_kept(client: Client) -> None:
    assert "<option>cloudflare" in page(client.get("/renewals/dns/add/lexicon/"))
    address = "/renewals/dns/add/lexicon/?provider=cloudflare"
    assert client.get(address).status_code == 200
    answers = {"title": "CF", "option_auth_token": "token-of-the-customer"}
    assert client.post(address, answers).url == "/renewals/dns/"
    row = DnsAccess.objects.get()
    assert row.settings["provider"] == "cloudflare"
    assert "token-of-the-customer" not in json.dumps(row.settings)
    change = reverse("acme:access_change", args=[row.pk])
    assert "token-of-the-customer" not in page(client.get(change))
    assert client.post(address, answers).status_code == 200  # the title is taken


def test_of_several_secrets_of_a_provider_those_left_empty_stay(client: Client) -> None:
    address = "/renewals/dns/add/lexicon/?provider=ovh"
    names = ("auth_application_key", "auth_application_secret", "auth_consumer_key")
    first = {name: f"first-{name}" for name in names}
    client.post(address, {"title": "OVH"} | {f"option_{name}": first[name] for name in names})
    row = DnsAccess.objects.get()
    change = reverse("acme:access_change", args=[row.pk])
    client.post(change, {"title": "OVH", "option_auth_consumer_key": "second"})
    row.refresh_from_db()
    assert row.secret is not None
    kept = json.loads(open_secret(row.secret))
    assert kept == first | {"auth_consumer_key": "second"}


@pytest.mark.parametrize("verb", ["get", "post"])
def test_an_access_whose_provider_is_gone_says_so(verb: str, client: Client) -> None:
    row = DnsAccess.objects.create(
        title="Old", kind="lexicon", settings={"provider": "gone", "options": {}}, created_by="ada"
    )
    address = reverse("acme:access_change", args=[row.pk])
    response = getattr(client, verb)(address, follow=True)
    assert response.redirect_chain[-1][0] == "/renewals/dns/"
    assert 'class="note note-error"' in page(response)


@pytest.mark.parametrize("address", ["made-up/", "lexicon/?provider=made-up"])
def test_kinds_and_providers_that_there_are_not_are_not_found(address: str, client: Client) -> None:
    assert client.get(f"/renewals/dns/add/{address}").status_code == 404


def test_an_access_is_deleted_unless_it_is_needed(client: Client) -> None:
    client.post("/renewals/dns/add/rfc2136/", name_server())
    row = DnsAccess.objects.get()
    wanted = make_acme_certificate(challenge="dns-01", dns_access=row)
    address = reverse("acme:access_delete", args=[row.pk])
    assert client.get(address).status_code == 200
    assert "is needed to prove the names" in page(client.post(address, follow=True))
    wanted.delete()
    client.post(address)
    assert not DnsAccess.objects.exists()
    assert not AcmeSecret.objects.exists()


# Who may do what


def addresses() -> dict[str, list[str]]:
    """Return every address: those to be read, and those that change something."""
    order = make_order()
    access = DnsAccess.objects.create(title="x", kind="rfc2136", created_by="ada")
    one = [order.acme_certificate_id]
    return {
        "read": [
            "/renewals/",
            reverse("acme:detail", args=one),
            order.get_absolute_url(),
            "/renewals/accounts/",
            order.account.get_absolute_url(),
            "/renewals/dns/",
        ],
        "change": [
            "/renewals/add/",
            ADD,
            "/renewals/dns/add/rfc2136/",
            *(reverse(f"acme:{verb}", args=one) for verb in
              ("change", "forget", "look", "order", "rehearse")),
            *(reverse(f"acme:order_{verb}", args=[order.pk]) for verb in ("cancel", "continue")),
            *(reverse(f"acme:account_{verb}", args=[order.account_id]) for verb in
              ("contact", "register", "roll_key", "end")),
            *(reverse(f"acme:access_{verb}", args=[access.pk]) for verb in ("change", "delete")),
        ],
    }  # fmt: skip


def test_a_viewer_sees_all_and_changes_nothing(client_of: Callable[[Role], Client]) -> None:
    client, found = client_of(Role.VIEWER), addresses()
    before = AuditEvent.objects.count()
    for address in found["read"]:
        said = page(client.get(address))
        main = said.partition("<main")[2]
        assert 'method="post"' not in main, address
        assert not any(f'href="{item}"' in main for item in found["change"]), address
    for address in found["change"]:
        assert client.post(address, {}).status_code == 403, address
    assert AuditEvent.objects.count() == before


def test_nobody_unknown_sees_anything() -> None:
    found = addresses()
    for address in found["read"] + found["change"]:
        assert "/login" in Client().get(address).headers.get("Location", ""), address


def test_what_changes_something_is_not_done_by_a_link(client: Client) -> None:
    found = addresses()
    for address in found["change"]:
        assert client.get(address).status_code in {200, 405}, address
    assert AcmeOrder.objects.get().status == AcmeOrder.Status.RUNNING
