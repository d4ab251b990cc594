"""Roles, and the services and commands that make and change people."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.views import View

from mailadmin.accounts.mixins import ChangeRequiredMixin, change_required
from mailadmin.accounts.models import User
from mailadmin.accounts.roles import Role, is_administrator, may_change, role_of
from mailadmin.accounts.services import (
    create_user,
    reset_two_factor,
    set_active,
    set_password,
    set_role,
)
from mailadmin.audit.models import AuditEvent
from tests.factories import PASSWORD, make_actor, make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("role", "changes", "administers"),
    [("viewer", False, False), ("operator", True, False), ("administrator", True, True)],
)
def test_each_role_may_do_what_its_name_says(role: str, changes: bool, administers: bool) -> None:
    user = make_user(role)
    assert (may_change(user), is_administrator(user)) == (changes, administers)


def test_strangers_and_people_switched_off_have_no_role() -> None:
    assert role_of(AnonymousUser()) is None
    assert not may_change(AnonymousUser())
    user = make_user("administrator")
    user.is_active = False
    assert not may_change(user)
    assert not is_administrator(user)


def test_a_superuser_is_an_administrator() -> None:
    user = User.objects.create_superuser("root", password=PASSWORD)
    assert role_of(user) is Role.ADMINISTRATOR


def test_the_database_knows_the_roles() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username="x", role="emperor")


@change_required
def _edit(_request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(name)


class _Edit(ChangeRequiredMixin, View):
    def get(self, _request: HttpRequest, name: str) -> HttpResponse:
        return HttpResponse(name)


@pytest.mark.parametrize("view", [_edit, _Edit.as_view()])
def test_only_those_who_may_change_reach_a_guarded_view(
    view: Callable[..., HttpResponse],
) -> None:
    request = RequestFactory().get("/")
    request.user = make_user("operator")
    assert view(request, name="imaps").content == b"imaps"
    for user in (make_user("viewer"), AnonymousUser()):
        request.user = user
        with pytest.raises(PermissionDenied, match="read everything here, but not change"):
            view(request, name="imaps")


def _event() -> AuditEvent:
    event = AuditEvent.objects.first()
    assert event is not None
    return event


def test_a_new_person_can_log_in_and_is_recorded_without_the_password(client: Client) -> None:
    user = create_user(actor=make_actor(), username="grace", password=PASSWORD, role=Role.OPERATOR)
    assert client.login(username="grace", password=PASSWORD)
    event = _event()
    assert (event.verb, event.object_label, event.after) == (
        "user.created",
        "grace",
        {"role": "operator"},
    )
    assert event.object_id == str(user.pk)
    assert PASSWORD not in str(AuditEvent.objects.values().get())


@pytest.mark.parametrize(
    ("name", "password"),
    [("otto", PASSWORD), ("new", "12345"), ("bad name!", PASSWORD), ("", PASSWORD)],
)
def test_a_person_that_cannot_be_created_leaves_nothing(
    operator: User, name: str, password: str
) -> None:
    with pytest.raises(ValidationError):
        create_user(actor=make_actor(), username=name, password=password, role=Role.VIEWER)
    assert User.objects.count() == 1
    assert not AuditEvent.objects.exists()


def test_a_role_is_changed_once(viewer: User) -> None:
    changed = set_role(actor=make_actor(), user=viewer, role=Role.OPERATOR)
    assert may_change(changed)
    assert (_event().before, _event().after) == ({"role": "viewer"}, {"role": "operator"})
    set_role(actor=make_actor(), user=viewer, role=Role.OPERATOR)
    assert AuditEvent.objects.count() == 1


def test_a_password_set_by_somebody_else_ends_the_sessions(client: Client, operator: User) -> None:
    client.force_login(operator)
    set_password(actor=make_actor(), user=operator, password="another-good-password")
    assert client.get("/account/password/").status_code == 302
    assert _event().verb == "user.password_changed"


def test_an_account_is_switched_off_and_on(client: Client, operator: User) -> None:
    client.force_login(operator)
    set_active(actor=make_actor(), user=operator, is_active=False)
    assert client.get("/account/password/").status_code == 302
    assert _event().verb == "user.switched_off"
    set_active(actor=make_actor(), user=operator, is_active=True)
    set_active(actor=make_actor(), user=operator, is_active=True)
    assert _event().verb == "user.switched_on"
    assert AuditEvent.objects.count() == 2


def test_a_lost_phone_can_be_forgotten(operator: User) -> None:
    Authenticator.objects.create(user=operator, type="totp", data={})
    reset_two_factor(actor=make_actor(), user=operator)
    reset_two_factor(actor=make_actor(), user=operator)
    assert not Authenticator.objects.exists()
    assert AuditEvent.objects.count() == 1
    assert _event().before == {"factors": ["totp"]}


def _run(*arguments: str, stdin: str = "", monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    output = io.StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def test_the_command_creates_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "root")
    output = _run(
        "user_create", "grace", "--role", "administrator", "--password-stdin",
        stdin=f"{PASSWORD}\n", monkeypatch=monkeypatch,
    )  # fmt: skip
    assert output == "grace can log in now, as administrator.\n"
    assert User.objects.get().check_password(PASSWORD)
    assert (_event().actor_name, _event().origin) == ("root", "cli")


def test_the_command_says_why_it_cannot(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="already exists"):
        _run("user_create", "otto", "--password-stdin", stdin=PASSWORD, monkeypatch=monkeypatch)
    with pytest.raises(CommandError, match="too short"):
        _run("user_create", "new", "--password-stdin", stdin="abc", monkeypatch=monkeypatch)
    with pytest.raises(CommandError, match="There is no user nobody"):
        _run("user_change", "nobody", "--on", monkeypatch=monkeypatch)


def test_a_password_typed_twice_must_be_the_same(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["one-good-password", "another-password"] * 2)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(answers))
    for arguments in (("user_create", "new"), ("user_change", "otto", "--password")):
        with pytest.raises(CommandError, match="two passwords differ"):
            _run(*arguments, monkeypatch=monkeypatch)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "one-good-password")
    _run("user_change", "otto", "--password", monkeypatch=monkeypatch)
    operator.refresh_from_db()
    assert operator.check_password("one-good-password")


def test_the_command_changes_all_or_nothing(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    Authenticator.objects.create(user=operator, type="totp", data={})
    everything = ("user_change", "otto", "--role", "viewer", "--password-stdin",
                  "--reset-two-factor", "--off")  # fmt: skip
    with pytest.raises(CommandError):
        _run(*everything, stdin="abc", monkeypatch=monkeypatch)
    operator.refresh_from_db()
    assert operator.role == "operator"
    assert not AuditEvent.objects.exists()

    _run(*everything, stdin="a-much-better-password", monkeypatch=monkeypatch)
    operator.refresh_from_db()
    assert (operator.role, operator.is_active) == ("viewer", False)
    assert operator.check_password("a-much-better-password")
    assert not Authenticator.objects.exists()
    assert AuditEvent.objects.count() == 4
