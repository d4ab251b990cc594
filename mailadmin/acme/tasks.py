"""The messages to the workers: each carries a primary key or nothing, never content."""

from __future__ import annotations

from celery import shared_task
from django.db import models
from django.utils import timezone

from mailadmin.acme import runner, selectors
from mailadmin.acme.models import AcmeOrder, AcmePreflight
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.deployments.tasks import send

# What lies longer in Redis than its time for an answer comes twice; beat sends it when it is time.
_SENT_AHEAD = 60.0  # seconds


@shared_task
def run_errand(account_id: int) -> None:
    """Do what is to be done with an account at its authority."""
    with request_id_set(draw_request_id()):
        runner.run_errand(account_id)


@shared_task
def run_preflight(preflight_id: int) -> None:
    """Look at every name before ordering."""
    with request_id_set(_request_id(AcmePreflight, preflight_id)):
        order_id = runner.run_preflight(preflight_id)
    if order_id is not None:
        send(advance_order, order_id)


@shared_task
def advance_order(order_id: int) -> None:
    """Bring an order as far as it goes now; it comes back when there is something to wait for."""
    with request_id_set(_request_id(AcmeOrder, order_id)):
        following = runner.advance_order(order_id)
    if following is not None and following.seconds <= _SENT_AHEAD:
        send(advance_order, following.order_id, countdown=following.seconds)


@shared_task
def clean_up_order(order_id: int) -> None:
    """Take away what was put in place for an order that was given up."""
    with request_id_set(_request_id(AcmeOrder, order_id)):
        runner.clean_up_order(order_id)


@shared_task
def order_what_is_due() -> None:
    """Order what is to be renewed now, and send again what a dead worker or Redis left behind."""
    now = timezone.now()
    with request_id_set(draw_request_id()):
        for order_id in runner.order_due(now):
            send(advance_order, order_id)
    for order_id in selectors.abandoned_orders(now):
        send(advance_order, order_id)
    for order_id in selectors.uncleaned_orders(now):
        send(clean_up_order, order_id)
    for account_id in selectors.abandoned_errands(now):
        send(run_errand, account_id)
    for preflight_id in selectors.abandoned_preflights(now):
        send(run_preflight, preflight_id)


@shared_task
def ask_for_renewal_info() -> None:
    """Ask the authorities when they want their certificates renewed (RFC 9773)."""
    with request_id_set(draw_request_id()):
        runner.ask_for_renewal_info(timezone.now())


@shared_task
def note_what_is_served() -> None:
    """Note of issued certificates that they were deployed and proven, by whomever."""
    runner.note_what_is_served(timezone.now())


@shared_task
def rehearse_what_is_due() -> None:
    """Order at the staging directories what was not rehearsed for a week."""
    with request_id_set(draw_request_id()):
        for order_id in runner.rehearse_due(timezone.now()):
            send(advance_order, order_id)


def _request_id(model: type[models.Model], pk: int) -> str:
    rows = model._default_manager.filter(pk=pk)
    return rows.values_list("request_id", flat=True).first() or ""
