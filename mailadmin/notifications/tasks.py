"""The messages to the workers: each carries a primary key or nothing, never content."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.deployments.tasks import send
from mailadmin.notifications import runner, selectors
from mailadmin.notifications.models import Delivery


@shared_task
def evaluate_notices() -> None:
    """Look for what is worth telling."""
    with request_id_set(draw_request_id()):
        send_all(runner.evaluate(timezone.now()))


@shared_task
def send_due() -> None:
    """Send what waits: a retry that is due, and what a dead worker or a dead Redis left behind."""
    now = timezone.now()
    runner.release_abandoned(now)
    send_all(selectors.due_deliveries(now))


@shared_task
def send_delivery(delivery_id: int) -> None:
    """Make one attempt."""
    rows = Delivery.objects.filter(pk=delivery_id)
    with request_id_set(rows.values_list("request_id", flat=True).first() or ""):
        runner.deliver(delivery_id, timezone.now())


@shared_task
def drop_old_notices() -> None:
    """Forget what is older than the settings keep it."""
    runner.drop_old(timezone.now())


def send_all(delivery_ids: list[int]) -> None:
    """Queue each; with Redis away they wait for the next beat."""
    for delivery_id in delivery_ids:
        if not send(send_delivery, delivery_id):
            return
