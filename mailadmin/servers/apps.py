"""Registers the app with Django."""

from django.apps import AppConfig


class ServersConfig(AppConfig):
    """The servers app."""

    name = "mailadmin.servers"
    label = "servers"
