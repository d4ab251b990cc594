"""Registers the app with Django."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """The dashboard app."""

    name = "mailadmin.dashboard"
    label = "dashboard"
