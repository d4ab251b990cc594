"""Registers the app with Django."""

import warnings

from cryptography.utils import CryptographyDeprecationWarning
from django.apps import AppConfig
from django.core.checks import Tags, register

from mailadmin.certificates.checks import check_master_key


class CertificatesConfig(AppConfig):
    """The certificates app."""

    name = "mailadmin.certificates"
    label = "certificates"

    def ready(self) -> None:
        """Let the system check look at the master key, and keep the library's asides quiet.

        It warns of odd certificates on standard error, with lines of code. What an administrator
        has to know of a certificate is in its verdict.
        """
        warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)
        warnings.filterwarnings("ignore", "Attribute's length must be", UserWarning)
        register(check_master_key, Tags.security)
