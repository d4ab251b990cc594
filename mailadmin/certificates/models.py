"""Keys, requests and certificates as the panel stores them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse

from mailadmin.pki import names as pki_names


class PrivateKey(models.Model):
    """A private key, encrypted at rest; only :mod:`mailadmin.certificates.custody` opens it."""

    public_key_id = models.CharField(max_length=64, unique=True)
    description = models.CharField(max_length=40)
    ciphertext = models.BinaryField()
    nonce = models.BinaryField()
    # Which master key opens it (its public id); empty for keys sealed before there were several.
    master_key_id = models.CharField(max_length=16, blank=True, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.description} {self.public_key_id[:16]}"


class CertificateSigningRequest(models.Model):
    """A request (CSR) whose key waits here for its certificate."""

    class Status(models.TextChoices):
        """Where the request stands."""

        PENDING = "pending"
        ISSUED = "issued"
        CANCELLED = "cancelled"

    common_name = models.CharField(max_length=255, blank=True)
    names: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    subject: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(default=dict)
    pem = models.TextField()
    public_key_id = models.CharField(max_length=64, db_index=True)
    key_description = models.CharField(max_length=40)
    private_key = models.ForeignKey(
        PrivateKey, null=True, on_delete=models.PROTECT, related_name="requests"
    )
    # Made by another program, which keeps the key: it comes with the certificate or never.
    is_key_elsewhere = models.BooleanField(default=False)
    renews = models.ForeignKey(
        "Certificate",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="renewal_requests",
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.common_name or ", ".join(self.names[:2]) or f"request {self.pk}"

    def get_absolute_url(self) -> str:
        """Return the page of this request."""
        return reverse("certificates:request_detail", args=[self.pk])


class Certificate(models.Model):
    """A leaf with its chain. Public parts in clear; the key by reference, if it is here."""

    class Origin(models.TextChoices):
        """How the certificate came here."""

        UPLOADED = "uploaded"
        REQUESTED = "requested"
        SELF_SIGNED = "self_signed"
        FOUND = "found"

    fingerprint = models.CharField(max_length=64, unique=True)
    leaf_pem = models.TextField()
    chain_pem = models.TextField(blank=True)
    # A private root that came along. It is never sent, but tells a whole chain from one with a gap.
    root_pem = models.TextField(blank=True)
    common_name = models.CharField(max_length=255, blank=True)
    names: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    subject = models.TextField(blank=True)
    issuer = models.TextField(blank=True)
    issuer_name = models.CharField(max_length=255, blank=True)
    serial = models.CharField(max_length=64)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField(db_index=True)
    key_description = models.CharField(max_length=40)
    public_key_id = models.CharField(max_length=64, db_index=True)
    is_self_signed = models.BooleanField(default=False)
    private_key = models.ForeignKey(
        PrivateKey, null=True, on_delete=models.PROTECT, related_name="certificates"
    )
    origin = models.CharField(max_length=12, choices=Origin.choices)
    # What this one took the place of; a certificate has one predecessor, and at times two heirs.
    replaces = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replaced_by"
    )
    # Served beside this one to clients that prefer its kind of key (RSA or ECDSA). Both rows of a
    # pair name each other; the module pairing keeps it so.
    companion = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    tags: models.JSONField[list[str], list[str]] = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)
    # The public part stays for history; the key is destroyed. See services.delete_certificate.
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["not_after", "pk"]

    def __str__(self) -> str:
        return self.label

    def get_absolute_url(self) -> str:
        """Return the page of this certificate."""
        return reverse("certificates:detail", args=[self.pk])

    @property
    def label(self) -> str:
        """Return the name people know it by: the first name it covers, in readable form."""
        first = self.names[0] if self.names else self.common_name
        return pki_names.display_name(first) if first else self.fingerprint[:16]

    @property
    def is_key_known(self) -> bool:
        """Tell whether its private key is here, or on the mail server that it was found on."""
        return self.private_key_id is not None or self.origin == self.Origin.FOUND

    def days_left(self, now: datetime) -> int:
        """Return whole days until it expires; negative when it has."""
        return (self.not_after - now).days

    def as_snapshot(self) -> dict[str, Any]:
        """Return what an audit event says of it."""
        return {
            "fingerprint": self.fingerprint,
            "names": self.names,
            "issuer": self.issuer_name,
            "not_after": self.not_after.isoformat(),
            "key": self.key_description,
        }


class TrustedAuthority(models.Model):
    """A private authority's root that the admin trusts, beside those of the system's store."""

    fingerprint = models.CharField(max_length=64, unique=True)
    pem = models.TextField()
    title = models.CharField(max_length=255)
    subject = models.TextField(blank=True)
    not_after = models.DateTimeField()
    note = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering: ClassVar = ["title", "pk"]
        verbose_name_plural = "trusted authorities"

    def __str__(self) -> str:
        return self.title


class SealedUpload(models.Model):
    """What somebody uploaded, kept for minutes while they answer a question about it.

    Only :mod:`mailadmin.certificates.sealed_uploads` opens it, with the master key *and* the token
    that the page of that person holds; the row alone, or both without the page, open nothing.
    """

    token_hash = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    ciphertext = models.BinaryField()
    nonce = models.BinaryField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"upload {self.pk}"
