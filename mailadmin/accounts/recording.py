"""Puts logins and changes of passwords and second factors into the audit log.

allauth does these itself; its signals are used to record them and for nothing else.
"""

from __future__ import annotations

from typing import Any

from allauth.account.signals import password_changed
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import (
    authentication_failed,
    authenticator_added,
    authenticator_removed,
    authenticator_reset,
)
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest

from mailadmin.accounts.models import User
from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event


def record_person(
    actor: Actor, verb: str, user: User, after: dict[str, object] | None = None
) -> None:
    """Record something that concerns the person."""
    record_event(
        actor=actor,
        verb=verb,
        object_type="user",
        object_id=user.pk,
        object_label=user.get_username(),
        after=after,
    )


@transaction.atomic
def record_failed_login(request: HttpRequest, typed_name: str) -> None:
    """Record a failed login. The name is kept only if it is somebody's.

    Anything else may be a password typed into the wrong box. allauth limits the number of
    attempts per address and per name, so nobody can flood the log with these.
    """
    user = User.objects.filter(username=typed_name).first()
    record_event(
        actor=Actor.from_request(request),
        verb="user.login_failed",
        object_type="user",
        object_id=user.pk if user else "",
        object_label=user.username if user else "",
        outcome="failed",
        reason="wrong_password" if user else "unknown_name",
    )


@receiver(authentication_failed)
@transaction.atomic
def record_wrong_code(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    """Record a wrong one-time code after a right password."""
    record_event(
        actor=Actor.from_request(request),
        verb="user.login_failed",
        object_type="user",
        object_id=user.pk,
        object_label=user.username,
        outcome="failed",
        reason="wrong_code",
    )


@receiver(password_changed)
@transaction.atomic
def record_password_change(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    """Record that somebody changed their own password."""
    record_person(Actor.from_request(request), "user.password_changed", user)


@receiver(authenticator_added)
@transaction.atomic
def record_factor_added(
    request: HttpRequest, user: User, authenticator: Authenticator, **_kwargs: Any
) -> None:
    """Record a new second factor or new recovery codes."""
    _record_factor(request, user, authenticator, "added")


@receiver(authenticator_reset)
@transaction.atomic
def record_factor_reset(
    request: HttpRequest, user: User, authenticator: Authenticator, **_kwargs: Any
) -> None:
    """Record that recovery codes were drawn again."""
    _record_factor(request, user, authenticator, "renewed")


@receiver(authenticator_removed)
@transaction.atomic
def record_factor_removed(
    request: HttpRequest, user: User, authenticator: Authenticator, **_kwargs: Any
) -> None:
    """Record that a second factor was taken away."""
    _record_factor(request, user, authenticator, "removed")


def _record_factor(
    request: HttpRequest, user: User, authenticator: Authenticator, change: str
) -> None:
    after: dict[str, object] = {"factor": str(authenticator.type), "change": change}
    record_person(Actor.from_request(request), "user.mfa_changed", user, after)
