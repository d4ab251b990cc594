"""Creating people and giving them a role."""

from __future__ import annotations

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
    record_event(
        actor=actor,
        verb="user.created",
        object_type="user",
        object_id=user.pk,
        object_label=user.username,
        after={"role": role},
    )
    return user


@transaction.atomic
def set_role(*, actor: Actor, user: User, role: Role) -> User:
    """Give the person another role. Does nothing when it is the same."""
    row = User.objects.select_for_update().get(pk=user.pk)
    if row.role != role:
        record_event(
            actor=actor,
            verb="user.role_changed",
            object_type="user",
            object_id=row.pk,
            object_label=row.username,
            before={"role": row.role},
            after={"role": role},
        )
        row.role = role
        row.save(update_fields=["role"])
    return row
