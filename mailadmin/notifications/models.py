"""What people are told of, who is told, and each attempt to tell them. The rows are the queue."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.db import models
from django.db.models import Q
from django.urls import reverse

from mailadmin.certificates.models import Certificate
from mailadmin.deployments.models import Deployment
from mailadmin.pki.problems import Severity
from mailadmin.servers.models import MailServer

Json = dict[str, Any]

# From least to most; a destination is told of its own and all above.
SEVERITIES = (Severity.INFO, Severity.WARNING, Severity.ERROR)
_SEVERITY_CHOICES = [(str(item), str(item)) for item in SEVERITIES]


class Destination(models.Model):
    """Somebody who is told: a mailbox, or a program that takes JSON over HTTP."""

    class Kind(models.TextChoices):
        """How they are told."""

        EMAIL = "email"
        WEBHOOK = "webhook"

    # Binds the sealed secret to this row.
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    title = models.CharField(max_length=80)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    # A mail address or a URL; the path of a URL can be as good as a password, see ``recipient``.
    address = models.CharField(max_length=500)
    minimum_severity = models.CharField(
        max_length=8, choices=_SEVERITY_CHOICES, default=str(Severity.INFO)
    )
    is_enabled = models.BooleanField(default=True)
    # A webhook may be sent into loopback and private networks.
    is_private_allowed = models.BooleanField(default=False)
    # What signs a webhook; only :mod:`mailadmin.notifications.sealing` opens it.
    secret_ciphertext = models.BinaryField(default=b"")
    secret_nonce = models.BinaryField(default=b"")
    master_key_id = models.CharField(max_length=16, blank=True, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering: ClassVar = ["title", "pk"]

    def __str__(self) -> str:
        return self.title

    @property
    def is_webhook(self) -> bool:
        """Tell whether a program is told, not a person."""
        return self.kind == self.Kind.WEBHOOK

    @property
    def has_secret(self) -> bool:
        """Tell whether there is something to sign with."""
        return bool(self.secret_ciphertext)

    @property
    def recipient(self) -> str:
        """Return the address as it may be shown and kept: of a URL its scheme and host alone."""
        if not self.is_webhook:
            return self.address
        parts = urlsplit(self.address)
        is_more = parts.path not in ("", "/") or parts.query
        return f"{parts.scheme}://{parts.netloc}/{'…' if is_more else ''}"

    def wants(self, severity: str) -> bool:
        """Tell whether it is told of this."""
        order = [str(item) for item in SEVERITIES]
        return order.index(severity) >= order.index(self.minimum_severity)


class Notice(models.Model):
    """One thing worth telling, from when it became so until it is over.

    ``code`` says what it is, ``subject`` of whom, ``occurrence`` which time. The two constraints
    are what lets any number of workers look at the same moment and tell each thing once.
    """

    code = models.CharField(max_length=40)
    subject = models.CharField(max_length=100)
    occurrence = models.CharField(max_length=64, blank=True)
    severity = models.CharField(max_length=8, choices=_SEVERITY_CHOICES)
    # Shown on the page, told to nobody.
    is_quiet = models.BooleanField(default=False)
    # What the sentence needs; public facts only.
    params: models.JSONField[Json, Json] = models.JSONField(default=dict)
    server = models.ForeignKey(
        MailServer, null=True, on_delete=models.CASCADE, related_name="notices"
    )
    certificate = models.ForeignKey(
        Certificate, null=True, on_delete=models.CASCADE, related_name="notices"
    )
    deployment = models.ForeignKey(
        Deployment, null=True, on_delete=models.CASCADE, related_name="notices"
    )
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        ordering: ClassVar = ["-opened_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["code", "subject", "occurrence"], name="one_notice_per_occurrence"
            ),
            models.UniqueConstraint(
                fields=["code", "subject"], condition=Q(closed_at=None), name="one_open_notice"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.subject}"

    @property
    def is_open(self) -> bool:
        """Tell whether it still stands."""
        return self.closed_at is None

    @property
    def is_about_certificate(self) -> bool:
        """Tell whether it is over once the certificate is renewed: then nobody need know."""
        return self.code.startswith("certificate.")


class Delivery(models.Model):
    """One notice on its way to one destination, or a test (no notice)."""

    class Status(models.TextChoices):
        """Where it stands."""

        QUEUED = "queued"
        SENDING = "sending"
        SENT = "sent"
        FAILED = "failed"
        CANCELLED = "cancelled"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    notice = models.ForeignKey(
        Notice, null=True, on_delete=models.CASCADE, related_name="deliveries"
    )
    destination = models.ForeignKey(
        Destination, null=True, on_delete=models.SET_NULL, related_name="deliveries"
    )
    # As it was when the row was made; the log stays when the destination goes.
    title = models.CharField(max_length=80)
    kind = models.CharField(max_length=8, choices=Destination.Kind.choices)
    recipient = models.CharField(max_length=500)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(db_index=True)
    next_attempt_at = models.DateTimeField(null=True)
    claimed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # How the last attempt ended, as a code with parameters.
    result: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    requested_by = models.CharField(max_length=150, blank=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["notice", "destination"], name="one_delivery_per_destination"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["status", "next_attempt_at"], name="deliveries_that_are_due")
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk} ({self.status})"

    def get_absolute_url(self) -> str:
        """Return the page of this delivery."""
        return reverse("notifications:delivery", args=[self.pk])

    @property
    def is_test(self) -> bool:
        """Tell whether somebody only wanted to see that it works."""
        return self.notice_id is None

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing more will happen to it."""
        return self.status not in {self.Status.QUEUED, self.Status.SENDING}
