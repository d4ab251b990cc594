"""Carries one delivery: claim it, hand it over, write down how that went.

A claim is a compare-and-set on the row, so a message that is delivered twice sends once. What a
dead worker had claimed comes back after a while and is sent again: better twice than never.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.models import TrustedAuthority
from mailadmin.notifications.composing import as_payload, compose
from mailadmin.notifications.models import Delivery, Destination
from mailadmin.notifications.runner.calling import Call, post
from mailadmin.notifications.runner.mailing import send_mail
from mailadmin.notifications.runner.results import Result
from mailadmin.notifications.sealing import SecretNotOpenedError, open_secret
from mailadmin.notifications.signing import HEADER, sign

logger = logging.getLogger(__name__)

Status = Delivery.Status
# After the first attempt, the second, ...; the last one is repeated.
_PAUSES = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
)
_GIVEN_UP_AFTER = timedelta(hours=24)
# Longer than a task may run (CELERY_TASK_TIME_LIMIT): whoever claimed it is gone.
_ABANDONED_AFTER = timedelta(minutes=6)


def deliver(delivery_id: int, now: datetime) -> Delivery | None:
    """Make one attempt; ``None`` when it was not due or somebody else is at it."""
    delivery = _claim(delivery_id, now)
    if delivery is None:
        return None
    destination = delivery.destination
    if destination is None or not (destination.is_enabled or delivery.is_test):
        code = "cancelled.removed" if destination is None else "cancelled.switched_off"
        return _close(delivery, Status.CANCELLED, Result(code), now)
    result = _attempt(delivery, destination, now)
    if result.is_good:
        return _close(delivery, Status.SENT, result, now)
    return _put_off(delivery, result, now)


def release_abandoned(now: datetime) -> None:
    """Queue again what somebody claimed and never finished."""
    Delivery.objects.filter(status=Status.SENDING, claimed_at__lt=now - _ABANDONED_AFTER).update(
        status=Status.QUEUED, next_attempt_at=now
    )


def _claim(delivery_id: int, now: datetime) -> Delivery | None:
    claimed = Delivery.objects.filter(
        pk=delivery_id, status=Status.QUEUED, next_attempt_at__lte=now
    ).update(status=Status.SENDING, claimed_at=now, attempts=F("attempts") + 1)
    if not claimed:
        return None
    related = ("destination", "notice__certificate", "notice__deployment")
    return Delivery.objects.select_related(*related).get(pk=delivery_id)


def _attempt(delivery: Delivery, destination: Destination, now: datetime) -> Result:
    try:
        if destination.is_webhook:
            return _call(delivery, destination, now)
        return send_mail(delivery, destination.address, compose(delivery, now))
    except SecretNotOpenedError:
        return Result("secret.not_opened")
    except CustodyProblem as error:
        return Result("secret.no_master_key", {"reason": error.problem.code})
    except Exception:
        # A mistake of our own must not lose the row: it is tried again, and the log says what.
        logger.exception("delivery %s broke", delivery.pk)
        return Result("delivery.fault")


def _call(delivery: Delivery, destination: Destination, now: datetime) -> Result:
    payload = as_payload(delivery, now)
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    secret = open_secret(destination)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "mailadmin",
        "X-Mailadmin-Delivery": str(delivery.uuid),
        "X-Mailadmin-Event": str(payload.get("code", payload["kind"])),
        HEADER: sign(secret, body, int(now.timestamp())),
        "Connection": "close",
    }
    authorities = "".join(TrustedAuthority.objects.values_list("pem", flat=True))
    return post(
        Call(destination.address, body, headers, destination.is_private_allowed, authorities)
    )


def _put_off(delivery: Delivery, result: Result, now: datetime) -> Delivery:
    """Plan the next attempt, or give up: after a day nobody waits for it, and a test never does."""
    pause = _PAUSES[min(delivery.attempts, len(_PAUSES)) - 1]
    if delivery.is_test or now + pause > delivery.created_at + _GIVEN_UP_AFTER:
        return _close(delivery, Status.FAILED, result, now)
    return _store(delivery, status=Status.QUEUED, next_attempt_at=now + pause, result=result)


def _close(delivery: Delivery, status: Status, result: Result, now: datetime) -> Delivery:
    return _store(delivery, status=status, next_attempt_at=None, finished_at=now, result=result)


def _store(delivery: Delivery, *, result: Result, **values: Any) -> Delivery:
    """Write the end of this attempt, unless another one has begun since."""
    mine = Delivery.objects.filter(
        pk=delivery.pk, status=Status.SENDING, attempts=delivery.attempts
    )
    mine.update(result=result.as_dict(), **values)
    delivery.refresh_from_db()
    return delivery
