"""Registers the app with Django."""

from django.apps import AppConfig


class ListenersConfig(AppConfig):
    """The listeners app."""

    name = "mailadmin.listeners"
    label = "listeners"
