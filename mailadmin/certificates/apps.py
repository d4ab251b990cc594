"""Registers the app with Django."""

from django.apps import AppConfig


class CertificatesConfig(AppConfig):
    """The certificates app."""

    name = "mailadmin.certificates"
    label = "certificates"
