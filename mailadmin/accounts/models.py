"""People who may log in."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from mailadmin.accounts.roles import Role


class User(AbstractUser):
    """A person with a role. Superusers are administrators whatever their role says."""

    role = models.CharField(
        max_length=16,
        choices=[(role.value, role.label) for role in Role],
        default=Role.VIEWER,
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(role__in=[role.value for role in Role]), name="user_role_is_known"
            )
        ]
