"""The panel answers an authority by itself: for presented tokens, and nothing else."""

from __future__ import annotations

import pytest
from django.test import Client

from mailadmin.acme.http01 import PanelWay
from mailadmin.acme.models import AcmeAuthorization, AcmeOrder
from tests.acme_factories import make_authorization, make_order

pytestmark = pytest.mark.django_db

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
PROOF = f"{TOKEN}.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"
PATH = f"/.well-known/acme-challenge/{TOKEN}"


@pytest.fixture
def presented() -> AcmeAuthorization:
    row = make_authorization(make_order(), TOKEN)
    PanelWay().present(TOKEN, PROOF, 60)
    return row


def status_of(client: Client, path: str = PATH) -> int:
    response = client.get(path)
    assert response.status_code == 200 or response.content == b""
    return response.status_code


def test_a_presented_token_is_answered_without_login(
    client: Client, presented: AcmeAuthorization
) -> None:
    response = client.get(PATH)
    assert (response.status_code, response.content) == (200, PROOF.encode())
    assert response["Content-Type"] == "text/plain"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response["Cache-Control"]
    assert not response.cookies


def test_it_is_answered_under_every_host_name(client: Client, presented: AcmeAuthorization) -> None:
    # Not in ALLOWED_HOSTS: the authority asks for the name of the certificate.
    response = client.get(PATH, headers={"host": "mail.example.org"})
    assert (response.status_code, response.content) == (200, PROOF.encode())


def test_nobody_is_logged_in_by_it_and_few_queries_are_made(
    client: Client, presented: AcmeAuthorization, django_assert_num_queries: object
) -> None:
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert client.head(PATH).status_code == 200


def test_a_look_before_any_order_is_answered_until_it_is_over(client: Client) -> None:
    PanelWay().present(TOKEN, PROOF, 60)
    response = client.get(PATH)
    assert (response.status_code, response.content) == (200, PROOF.encode())
    assert status_of(client, f"{PATH}x") == 404
    PanelWay().withdraw(TOKEN)
    assert status_of(client) == 404


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch", "options"])
def test_it_is_only_read(client: Client, presented: AcmeAuthorization, method: str) -> None:
    assert getattr(client, method)(PATH).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/acme-challenge/",
        "/.well-known/acme-challenge/other",
        f"{PATH}/",
        f"{PATH}%00",
        f"{PATH}%0A",
        f"/.well-known/acme-challenge/x/{TOKEN}",
        "/.well-known/acme-challenge/" + "x" * 129,
        "/.well-known/acme-challenge/%C3%A4",
        "/.well-known/acme-challenge/%FF",
    ],
)
def test_all_else_is_not_found(client: Client, presented: AcmeAuthorization, path: str) -> None:
    assert status_of(client, path) == 404


def test_the_rest_of_well_known_is_not_ours(client: Client) -> None:
    assert client.get("/.well-known/acme-challenge").status_code in {302, 404}


def test_a_token_that_is_not_presented_is_not_found(client: Client) -> None:
    make_authorization(make_order(), TOKEN)
    assert status_of(client) == 404


def test_a_withdrawn_token_is_not_found(client: Client, presented: AcmeAuthorization) -> None:
    PanelWay().withdraw(TOKEN)
    assert status_of(client) == 404


def test_a_token_that_was_tidied_up_is_not_found(
    client: Client, presented: AcmeAuthorization
) -> None:
    AcmeAuthorization.objects.update(is_cleaned_up=True)
    assert status_of(client) == 404


@pytest.mark.parametrize("status", AcmeOrder.FINISHED)
def test_an_order_that_ended_answers_no_more(
    client: Client, presented: AcmeAuthorization, status: str
) -> None:
    AcmeOrder.objects.update(status=status)
    assert status_of(client) == 404


def test_the_text_of_a_dns_record_is_not_shown(client: Client) -> None:
    make_authorization(make_order(), TOKEN, challenge="dns-01", record_value="secretless")
    assert status_of(client) == 404
