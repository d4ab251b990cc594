"""Makes rows for the tests. Each app adds its own part."""

from __future__ import annotations

from itertools import count
from typing import Any

from django.db import transaction

from mailadmin.accounts.models import User
from mailadmin.accounts.roles import Role
from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.audit.services import record_event

PASSWORD = "correct-horse-battery-staple"
_numbers = count(1)


def make_user(
    role: Role | str = Role.OPERATOR, username: str = "", password: str = PASSWORD
) -> User:
    """Return a stored person with the role."""
    user: User = User.objects.create_user(
        username=username or f"{role}-{next(_numbers)}", password=password, role=Role(role)
    )
    return user


def make_actor(user: User | None = None, name: str = "ada") -> Actor:
    """Return someone who acts in the browser."""
    return Actor(
        user_id=user.pk if user else None,
        name=user.username if user else name,
        origin="web",
        address="192.0.2.10",
        user_agent="Firefox",
        request_id="0123456789abcdef",
    )


def make_event(actor: Actor | None = None, **values: Any) -> AuditEvent:
    """Return a stored audit event."""
    wanted: dict[str, Any] = {
        "verb": "listener.enabled",
        "object_type": "listener",
        "object_id": "imaps",
        "object_label": "IMAP, TLS (993)",
        **values,
    }
    with transaction.atomic():
        return record_event(actor=actor or make_actor(), **wanted)
