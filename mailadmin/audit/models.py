"""The append-only log: who did what, when, from where, and how it ended."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class AppendOnlyError(TypeError):
    """Somebody tried to change or delete an audit event."""


class AuditQuerySet(models.QuerySet["AuditEvent"]):
    """A query set that reads and inserts, and refuses everything else."""

    def update(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError("audit events cannot be changed")

    def bulk_update(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError("audit events cannot be changed")

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError("audit events cannot be deleted")


class Outcome(models.TextChoices):
    """How it ended: done, tried and failed, or refused before anything happened."""

    OK = "ok", _("done")
    FAILED = "failed", _("failed")
    REFUSED = "refused", _("refused")


class Origin(models.TextChoices):
    """Where it came from."""

    WEB = "web", _("web")
    CLI = "cli", _("command line")
    SYSTEM = "system", _("the panel itself")


class AuditEvent(models.Model):
    """One thing that somebody did. Database triggers refuse UPDATE and DELETE as well."""

    created_at = models.DateTimeField(default=timezone.now, db_index=True, editable=False)
    # A person with events cannot be deleted, only switched off: the log must keep its names.
    actor_user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        editable=False,
    )
    actor_name = models.CharField(max_length=150)
    origin = models.CharField(max_length=8, choices=Origin.choices)
    address = models.CharField(max_length=64, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    verb = models.CharField(max_length=64)
    object_type = models.CharField(max_length=32)
    object_id = models.CharField(max_length=255, blank=True)
    object_label = models.CharField(max_length=255, blank=True)
    outcome = models.CharField(max_length=8, choices=Outcome.choices, default=Outcome.OK)
    reason = models.TextField(blank=True)
    before = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    after = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    evidence = models.JSONField(null=True, encoder=DjangoJSONEncoder)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        # Each filter of the page reads the newest first: its column, then the key.
        indexes = [
            models.Index(fields=["actor_name", "-id"], name="audit_by_actor"),
            models.Index(fields=["verb", "-id"], name="audit_by_verb"),
            models.Index(fields=["object_type", "object_id", "-id"], name="audit_by_object"),
            models.Index(fields=["outcome", "-id"], name="audit_by_outcome"),
            models.Index(fields=["request_id"], name="audit_by_request"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.object_label or self.object_type}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert. Raises ``AppendOnlyError`` for an event that is already stored."""
        if not self._state.adding:
            raise AppendOnlyError("audit events cannot be changed")
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError("audit events cannot be deleted")
