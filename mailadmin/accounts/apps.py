"""Registers the app with Django."""

from importlib import import_module

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """The accounts app."""

    name = "mailadmin.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Connect the receivers that record logins; they need the models loaded first."""
        import_module("mailadmin.accounts.recording")
