"""Registers the app with Django."""

from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    """The deployments app."""

    name = "mailadmin.deployments"
    label = "deployments"
