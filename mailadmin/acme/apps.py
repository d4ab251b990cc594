"""Registers the app with Django."""

from django.apps import AppConfig


class AcmeConfig(AppConfig):
    """The ACME app."""

    name = "mailadmin.acme"
    label = "acme"
