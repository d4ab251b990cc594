"""Registers the app with Django."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """The notifications app."""

    name = "mailadmin.notifications"
    label = "notifications"
