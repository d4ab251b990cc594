"""Creating people and giving them a role."""

from __future__ import annotations

from collections.abc import Mapping

from allauth.mfa.models import Authenticator
from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from mailadmin.accounts.models import User
from mailadmin.accounts.roles import Role
from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event


@transaction.atomic
def create_user(*, actor: Actor, username: str, password: str, role: Role) -> User:
    """Create a person who can log in at once.

    Raises ``ValidationError`` when the name is taken or not usable, or the password too weak.
    """
    user = User(username=User.normalize_username(username), role=role)
    validate_password(password, user)
    user.set_password(password)
    user.full_clean()
    user.save()
    _record(actor, "user.created", user, after={"role": role})
    return user


@transaction.atomic
def set_role(*, actor: Actor, user: User, role: Role) -> User:
    """Give the person another role. Does nothing when it is the same."""
    row = User.objects.select_for_update().get(pk=user.pk)
    if row.role != role:
        before = {"role": row.role}
        row.role = role
        row.save(update_fields=["role"])
        _record(actor, "user.role_changed", row, before=before, after={"role": role})
    return row


@transaction.atomic
def set_password(*, actor: Actor, user: User, password: str) -> None:
    """Give the person another password, which ends all their sessions.

    Raises ``ValidationError`` when it is too weak.
    """
    validate_password(password, user)
    user.set_password(password)
    user.save(update_fields=["password"])
    _record(actor, "user.password_changed", user)


@transaction.atomic
def set_active(*, actor: Actor, user: User, is_active: bool) -> User:
    """Switch the account on or off. Switched off, its sessions end with their next request."""
    row = User.objects.select_for_update().get(pk=user.pk)
    if row.is_active != is_active:
        row.is_active = is_active
        row.save(update_fields=["is_active"])
        _record(actor, "user.switched_on" if is_active else "user.switched_off", row)
    return row


@transaction.atomic
def reset_two_factor(*, actor: Actor, user: User) -> None:
    """Take the second factor and the recovery codes away from somebody who lost their phone."""
    removed = list(Authenticator.objects.filter(user=user).values_list("type", flat=True))
    if removed:
        Authenticator.objects.filter(user=user).delete()
        _record(actor, "user.mfa_changed", user, before={"factors": sorted(removed)}, after={})


def _record(
    actor: Actor,
    verb: str,
    user: User,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    record_event(
        actor=actor,
        verb=verb,
        object_type="user",
        object_id=user.pk,
        object_label=user.username,
        before=before,
        after=after,
    )
