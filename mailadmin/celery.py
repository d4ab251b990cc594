"""The Celery application. Start with ``celery -A mailadmin.celery worker --beat``."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import beat_embedded_init, beat_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailadmin.settings")

app = Celery("mailadmin")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["mailadmin.deployments", "mailadmin.acme", "mailadmin.notifications"])


@beat_init.connect
@beat_embedded_init.connect
def look_at_once(**_: object) -> None:
    """Look at every port when the clock starts, not an interval later: it may have been off."""
    app.send_task("mailadmin.deployments.tasks.probe_all_servers", expires=60)
