"""Registers the app with Django."""

from django.apps import AppConfig
from django.core.checks import Tags, register

from mailadmin.certificates.checks import check_master_key


class CertificatesConfig(AppConfig):
    """The certificates app."""

    name = "mailadmin.certificates"
    label = "certificates"

    def ready(self) -> None:
        """Let the system check look at the master key."""
        register(check_master_key, Tags.security)
