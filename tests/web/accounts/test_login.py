"""Logging in and out, and what the log says about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings
from django.test import Client
from django.urls import NoReverseMatch, reverse

from mailadmin.accounts.models import User
from mailadmin.audit.models import AuditEvent
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db
LOGIN = "/account/login/"


def _log_in(client: Client, name: str, password: str = PASSWORD, **extra: str) -> int:
    response = client.post(LOGIN, {"login": name, "password": password}, **extra)  # type: ignore[arg-type]
    return response.status_code


def _events() -> list[tuple[str, str, str, str]]:
    rows = AuditEvent.objects.order_by("pk")
    return [(row.verb, row.actor_name, row.object_label, row.outcome) for row in rows]


def test_the_login_page_is_open_to_everybody(client: Client) -> None:
    page = client.get(LOGIN)
    assert page.status_code == 200
    assert "<nav" not in page.content.decode()


@pytest.mark.parametrize(
    "address", ["/audit/", "/account/password/", "/account/two-factor/", "/account/reauthenticate/"]
)
def test_every_other_page_asks_for_a_login_and_then_goes_on(
    client: Client, operator: User, address: str
) -> None:
    response = client.get(address)
    assert response.status_code == 302
    assert response.headers["Location"] == f"{LOGIN}?next={address}"


def test_a_right_password_lets_in_and_is_recorded(client: Client, operator: User) -> None:
    response = client.post(f"{LOGIN}?next=/audit/", {"login": "otto", "password": PASSWORD})
    assert response.headers["Location"] == "/audit/"
    assert client.get("/audit/").status_code == 200
    assert _events() == [("user.logged_in", "otto", "otto", "ok")]
    assert AuditEvent.objects.get().actor_user == operator


def test_a_login_goes_on_only_within_the_panel(client: Client, operator: User) -> None:
    response = client.post(
        f"{LOGIN}?next=https://evil.example/", {"login": "otto", "password": PASSWORD}
    )
    assert "evil.example" not in response.headers["Location"]


def test_a_wrong_password_is_recorded_without_the_password(client: Client, operator: User) -> None:
    assert _log_in(client, "otto", "let-me-in-please") == 200
    assert _events() == [("user.login_failed", "anonymous", "otto", "failed")]
    event = AuditEvent.objects.get()
    assert event.address == "127.0.0.1"
    assert "let-me-in-please" not in str(AuditEvent.objects.values().get())


def test_a_name_that_is_nobodys_is_not_kept(client: Client) -> None:
    """It may be a password typed into the wrong box."""
    page = client.post(LOGIN, {"login": "my-secret-password", "password": "x"}).content.decode()
    assert _events() == [("user.login_failed", "anonymous", "", "failed")]
    assert "my-secret-password" not in str(AuditEvent.objects.values().get())
    assert "not correct" in page


def test_guessing_is_slowed_down_and_cannot_flood_the_log(client: Client, operator: User) -> None:
    for _ in range(20):
        _log_in(client, "otto", "wrong")
    recorded = AuditEvent.objects.count()
    assert 3 <= recorded <= 10
    page = client.post(LOGIN, {"login": "otto", "password": PASSWORD})
    assert page.status_code == 200
    assert "Too many failed login attempts" in page.content.decode()
    assert AuditEvent.objects.count() == recorded


def test_too_many_requests_get_a_page_in_plain_words(client: Client, operator: User) -> None:
    codes = [_log_in(client, f"name-{number}", "wrong") for number in range(35)]
    assert codes[-1] == 429
    page = client.post(LOGIN, {"login": "x", "password": "y"}).content.decode()
    assert "Too many attempts" in page


def test_somebody_switched_off_cannot_log_in(client: Client, operator: User) -> None:
    operator.is_active = False
    operator.save()
    _log_in(client, "otto")
    assert client.get("/audit/").status_code == 302
    assert not AuditEvent.objects.filter(verb="user.logged_in").exists()


def test_logging_out_ends_the_session_and_is_recorded(client: Client, operator: User) -> None:
    _log_in(client, "otto")
    assert client.get("/account/logout/").status_code == 200
    client.post("/account/logout/")
    assert client.get("/audit/").status_code == 302
    assert _events()[-1] == ("user.logged_out", "otto", "otto", "ok")


def test_a_stranger_who_logs_out_leaves_no_event(client: Client) -> None:
    assert client.post("/account/logout/").status_code == 302
    assert not AuditEvent.objects.exists()


def test_changing_the_password_is_recorded_and_ends_other_sessions(
    client: Client, operator: User
) -> None:
    elsewhere = Client()
    _log_in(elsewhere, "otto")
    _log_in(client, "otto")
    new = "a-much-better-password"
    response = client.post(
        "/account/password/", {"oldpassword": PASSWORD, "password1": new, "password2": new}
    )
    assert response.status_code == 302
    operator.refresh_from_db()
    assert operator.check_password(new)
    assert client.get("/account/password/").status_code == 200
    assert elsewhere.get("/account/password/").status_code == 302
    assert _events()[-1] == ("user.password_changed", "otto", "otto", "ok")
    assert new not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("wrong", "a-much-better-password", "a-much-better-password"),
        (PASSWORD, "short", "short"),
        (PASSWORD, "a-much-better-password", "another-password"),
    ],
)
def test_a_bad_new_password_changes_nothing(
    client: Client, operator: User, old: str, new: str, again: str
) -> None:
    client.force_login(operator)
    client.post("/account/password/", {"oldpassword": old, "password1": new, "password2": again})
    operator.refresh_from_db()
    assert operator.check_password(PASSWORD)
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    "name", ["account_signup", "account_email", "account_reset_password", "account_set_password",
             "account_confirm_email"],
)  # fmt: skip
def test_pages_nobody_needs_do_not_exist(name: str) -> None:
    with pytest.raises(NoReverseMatch):
        reverse(name)


@pytest.mark.parametrize("path", ["signup/", "email/", "password/reset/", "social/login/"])
def test_addresses_of_unused_pages_are_404(client_of: Callable[[str], Client], path: str) -> None:
    assert client_of("administrator").get(f"/account/{path}").status_code == 404


def test_no_administration_site_is_installed() -> None:
    assert "django.contrib.admin" not in settings.INSTALLED_APPS


def test_two_people_with_the_same_role_are_two_people(client: Client) -> None:
    assert make_user("operator").username != make_user("operator").username
