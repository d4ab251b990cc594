"""A second factor: setting it up, logging in with it, taking it away."""

from __future__ import annotations

import time
from types import SimpleNamespace
from unittest import mock

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from cryptography.fernet import InvalidToken
from django.test import Client, override_settings

from mailadmin.accounts.models import User
from mailadmin.audit.models import AuditEvent
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no code run out between the moment it is made and the moment it is given."""
    moment = time.time()
    monkeypatch.setattr(totp, "time", SimpleNamespace(time=lambda: moment))


@pytest.fixture
def logged_in(client: Client, operator: User) -> Client:
    """Return a client that gave the password a moment ago."""
    client.post("/account/login/", {"login": "otto", "password": PASSWORD})
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    return client


@pytest.fixture
def secret(logged_in: Client) -> str:
    """Return the TOTP secret of a person who has set up the app."""
    value = str(logged_in.get("/account/two-factor/totp/activate/").context["form"].secret)
    response = logged_in.post("/account/two-factor/totp/activate/", {"code": _code(value)})
    assert response.status_code == 302
    return value


def _code(secret: str, steps: int = 0) -> str:
    counter = int(totp.time.time()) // 30 + steps
    return totp.format_hotp_value(totp.hotp_value(secret, counter))


def _verbs() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True))


def test_changing_factors_asks_for_the_password_again(client: Client, operator: User) -> None:
    client.force_login(operator)
    response = client.get("/account/two-factor/totp/activate/")
    assert response.headers["Location"].startswith("/account/reauthenticate/")


def test_setting_up_the_app_is_recorded_without_its_secret(logged_in: Client, secret: str) -> None:
    assert Authenticator.objects.filter(type="totp").exists()
    events = AuditEvent.objects.filter(verb="user.mfa_changed")
    assert {event.after["factor"] for event in events} == {"totp", "recovery_codes"}
    assert secret not in str(list(AuditEvent.objects.values()))


def test_the_pages_show_what_is_set_up(logged_in: Client, secret: str) -> None:
    page = logged_in.get("/account/two-factor/").content.decode()
    assert "10 of 10 codes are unused" in page
    codes = logged_in.get("/account/two-factor/recovery-codes/")
    assert codes.context["unused_codes"][0] in codes.content.decode()
    download = logged_in.get("/account/two-factor/recovery-codes/download/")
    assert codes.context["unused_codes"][9] in download.content.decode()


def test_secrets_are_sealed_in_the_database(logged_in: Client, secret: str) -> None:
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored
    sealed = Authenticator.objects.get(type="totp").data["secret"]
    assert get_adapter().decrypt(sealed) == secret


def test_an_older_secret_key_still_opens_them() -> None:
    with override_settings(SECRET_KEY="old", SECRET_KEY_FALLBACKS=[]):
        sealed = get_adapter().encrypt("text")
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"]):
        assert get_adapter().decrypt(sealed) == "text"
    with override_settings(SECRET_KEY="new"), pytest.raises(InvalidToken):
        get_adapter().decrypt(sealed)


def test_the_login_asks_for_the_code_after_the_password(secret: str) -> None:
    client = Client()
    response = client.post("/account/login/", {"login": "otto", "password": PASSWORD})
    assert response.headers["Location"].startswith("/account/two-factor/authenticate/")
    assert client.get("/account/two-factor/").status_code == 302
    assert client.get("/account/two-factor/authenticate/").status_code == 200
    before = _verbs().count("user.logged_in")

    client.post("/account/two-factor/authenticate/", {"code": "000000"})
    assert _verbs()[-1] == "user.login_failed"
    assert AuditEvent.objects.first().reason == "wrong_code"  # type: ignore[union-attr]
    assert client.get("/account/two-factor/").status_code == 302

    client.post("/account/two-factor/authenticate/", {"code": _code(secret)})
    assert client.get("/account/two-factor/").status_code == 200
    assert _verbs().count("user.logged_in") == before + 1


def test_a_code_works_once(secret: str) -> None:
    code = _code(secret)
    for expected in (200, 302):
        client = Client()
        client.post("/account/login/", {"login": "otto", "password": PASSWORD})
        client.post("/account/two-factor/authenticate/", {"code": code})
        assert client.get("/account/two-factor/").status_code == expected


def test_a_recovery_code_lets_in_once(logged_in: Client, secret: str) -> None:
    code = logged_in.get("/account/two-factor/recovery-codes/").context["unused_codes"][0]
    for expected in (200, 302):
        client = Client()
        client.post("/account/login/", {"login": "otto", "password": PASSWORD})
        client.post("/account/two-factor/authenticate/", {"code": code})
        assert client.get("/account/two-factor/").status_code == expected


def test_the_second_step_can_be_left_for_another_login(secret: str) -> None:
    client = Client()
    client.post("/account/login/", {"login": "otto", "password": PASSWORD})
    client.post("/account/logout/", {"next": "/account/login/"})
    assert client.get("/account/login/").status_code == 200


def test_new_recovery_codes_replace_the_old(logged_in: Client, secret: str) -> None:
    address = "/account/two-factor/recovery-codes/"
    old = logged_in.get(address).context["unused_codes"]
    assert "stop working at once" in logged_in.get(f"{address}generate/").content.decode()
    logged_in.post(f"{address}generate/")
    assert set(old).isdisjoint(logged_in.get(address).context["unused_codes"])
    event = AuditEvent.objects.first()
    assert event is not None
    assert event.after == {"factor": "recovery_codes", "change": "renewed"}


def test_switching_the_app_off_is_recorded(logged_in: Client, secret: str) -> None:
    assert logged_in.get("/account/two-factor/totp/deactivate/").status_code == 200
    logged_in.post("/account/two-factor/totp/deactivate/")
    assert not Authenticator.objects.exists()
    changes = AuditEvent.objects.filter(after__change="removed")
    assert {event.after["factor"] for event in changes} == {"totp", "recovery_codes"}


def test_a_code_can_confirm_that_it_is_still_you(
    client: Client, logged_in: Client, secret: str
) -> None:
    fresh = Client()
    fresh.post("/account/login/", {"login": "otto", "password": PASSWORD})
    with mock.patch.object(totp.TOTP, "_mark_code_used", return_value=True):
        fresh.post("/account/two-factor/authenticate/", {"code": _code(secret)})
        assert fresh.get("/account/two-factor/reauthenticate/").status_code == 200
        fresh.post("/account/two-factor/reauthenticate/", {"code": _code(secret)})
    assert fresh.get("/account/two-factor/totp/deactivate/").status_code == 200
