"""What each role may do. A viewer reads everything and changes nothing."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from mailadmin.accounts.models import User


class Role(StrEnum):
    """The three roles, from least to most."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    @property
    def label(self) -> Promise:
        """Return the role in words."""
        return _LABELS[self]


_LABELS = {
    Role.VIEWER: _("viewer"),
    Role.OPERATOR: _("operator"),
    Role.ADMINISTRATOR: _("administrator"),
}


def role_of(user: User | AnonymousUser) -> Role | None:
    """Return the person's role; nobody has one before logging in or after being switched off."""
    if not user.is_authenticated or not user.is_active:
        return None
    return Role.ADMINISTRATOR if user.is_superuser else Role(user.role)


def may_change(user: User | AnonymousUser) -> bool:
    """Tell whether the person may change listeners and certificates, and apply."""
    return role_of(user) in {Role.OPERATOR, Role.ADMINISTRATOR}


def may_export_keys(user: User | AnonymousUser) -> bool:
    """Tell whether the person may take a private key out of the panel, as a locked file."""
    return role_of(user) is Role.ADMINISTRATOR


def is_administrator(user: User | AnonymousUser) -> bool:
    """Tell whether the person may also change who may log in."""
    return role_of(user) is Role.ADMINISTRATOR
