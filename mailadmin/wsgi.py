"""The WSGI application, as gunicorn loads it."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

# Makes ours the current Celery application, so that tasks are sent to the configured broker.
from mailadmin.celery import app as celery_app

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailadmin.settings")

application = get_wsgi_application()

__all__ = ["application", "celery_app"]
