"""The mail servers the panel looks after: one row today, a fleet later."""

from __future__ import annotations

from typing import Any

from django.db import models

from mailadmin.certificates.models import Certificate
from mailadmin.mailconf.state import DEFAULT_PROFILE


class MailServer(models.Model):
    """A host with Postfix and Dovecot, reached through the agent that runs on it."""

    host_name = models.CharField(max_length=253)
    tls_profile = models.CharField(max_length=30, default=DEFAULT_PROFILE)
    default_certificate = models.ForeignKey(
        Certificate, null=True, blank=True, on_delete=models.PROTECT, related_name="default_for"
    )
    # Dovecot's ports in an instance of their own (``mailconf.front``).
    is_dovecot_split = models.BooleanField(default=False)
    # Empty means settings.AGENT_SOCKET.
    agent_socket = models.CharField(max_length=200, blank=True)
    # What the agent reported: {"postfix": "3.7.11", "dovecot": "2.3.19.1"}.
    versions: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, blank=True
    )
    # Of those, what the files were last rendered for; empty where the agent does not know.
    rendered_versions: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, blank=True
    )
    # What an upgrade since then asks for, as ``deployments.upgrades.Upgrade`` writes it.
    upgrade: models.JSONField[dict[str, Any] | None, dict[str, Any] | None] = models.JSONField(
        null=True, blank=True
    )
    # The public snapshot of the last proven state; pending changes are measured against it.
    applied_state: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.host_name
