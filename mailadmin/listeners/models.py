"""What each port of a mail server should be."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from mailadmin.certificates.models import Certificate
from mailadmin.mailconf.services import SERVICES, Service, TlsMode
from mailadmin.mailconf.state import ANY_ADDRESS
from mailadmin.servers.models import MailServer


class Listener(models.Model):
    """The wanted state of one service; saving is not applying."""

    server = models.ForeignKey(MailServer, on_delete=models.CASCADE, related_name="listeners")
    service = models.CharField(max_length=20, choices=[(name, name) for name in SERVICES])
    is_enabled = models.BooleanField(default=False)
    address = models.CharField(max_length=45, default=ANY_ADDRESS)
    port = models.PositiveIntegerField()
    tls_mode = models.CharField(max_length=10, choices=[(str(mode), str(mode)) for mode in TlsMode])
    is_login_required = models.BooleanField(default=True)
    # Empty means the server's default certificate.
    certificate = models.ForeignKey(
        Certificate, null=True, blank=True, on_delete=models.PROTECT, related_name="listeners"
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["server", "service"], name="one_listener_per_service")
        ]

    def __str__(self) -> str:
        return f"{self.service} ({self.port})"

    @property
    def definition(self) -> Service:
        """Return the registry entry of the service."""
        return SERVICES[self.service]


class SniBinding(models.Model):
    """A host name (A-label) whose clients are shown a certificate of its own."""

    server = models.ForeignKey(MailServer, on_delete=models.CASCADE, related_name="sni_bindings")
    host_name = models.CharField(max_length=253)
    certificate = models.ForeignKey(
        Certificate, on_delete=models.PROTECT, related_name="sni_bindings"
    )

    class Meta:
        ordering: ClassVar = ["host_name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["server", "host_name"], name="one_binding_per_name")
        ]

    def __str__(self) -> str:
        return self.host_name
