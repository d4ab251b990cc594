"""``manage.py notifications [--json]``: what stands, and who is told."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from mailadmin.notifications import selectors
from mailadmin.notifications.models import Delivery, Notice
from mailadmin.notifications.selectors import DestinationRow
from mailadmin.notifications.sentences import (
    say_advice,
    say_problem,
    say_result,
    say_title,
    say_what,
    status_words,
)
from mailadmin.servers.selectors import current_server

_MOST_DELIVERIES = 50


class Command(BaseCommand):
    """Reads rows; nothing is looked at or sent."""

    help = "List what stands now, who is told, and what was sent last."

    def add_arguments(self, parser: CommandParser) -> None:
        """Choose the form of the answer."""
        parser.add_argument("--json", action="store_true", help="answer in JSON")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print the lists."""
        now = timezone.now()
        rows = selectors.list_destinations()
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(rows, now), indent=2, ensure_ascii=False))
            return
        for notice in selectors.open_notices():
            self.stdout.write(f"{notice.severity}: {say_title(notice, now)}")
        for row in rows:
            item = row.destination
            state = "on" if item.is_enabled else "off"
            last = status_words(row.last.status) if row.last else "nothing sent yet"
            self.stdout.write(f"{item.pk:>4}  {state:3}  {item.title} ({item.recipient}): {last}")
        for problem in _weaknesses(rows):
            self.stdout.write(say_problem(problem))


def _weaknesses(rows: list[DestinationRow]) -> list[Any]:
    return selectors.find_weaknesses([row.destination for row in rows], current_server())


def _as_json(rows: list[DestinationRow], now: datetime) -> dict[str, Any]:
    notices = [*selectors.open_notices(), *selectors.open_notices(is_quiet=True)]
    return {
        "notices": [_notice_json(notice, now) for notice in notices],
        "destinations": [_destination_json(row) for row in rows],
        "deliveries": [
            _delivery_json(item) for item in selectors.list_deliveries()[:_MOST_DELIVERIES]
        ],
        "weaknesses": [
            {**problem.as_dict(), "message": say_problem(problem)} for problem in _weaknesses(rows)
        ],
    }


def _notice_json(notice: Notice, now: datetime) -> dict[str, Any]:
    return {
        "code": notice.code,
        "severity": notice.severity,
        "is_quiet": notice.is_quiet,
        "title": say_title(notice, now),
        "message": f"{say_what(notice, now)} {say_advice(notice)}",
        "opened_at": notice.opened_at.isoformat(),
        "certificate": notice.certificate.fingerprint if notice.certificate else None,
        "deployment": notice.deployment.number if notice.deployment else None,
    }


def _destination_json(row: DestinationRow) -> dict[str, Any]:
    item = row.destination
    return {
        "id": item.pk,
        "title": item.title,
        "kind": item.kind,
        "address": item.recipient,
        "minimum_severity": item.minimum_severity,
        "is_enabled": item.is_enabled,
        "last": _delivery_json(row.last) if row.last else None,
    }


def _delivery_json(item: Delivery) -> dict[str, Any]:
    return {
        "id": str(item.uuid),
        "code": item.notice.code if item.notice else "test",
        "to": item.recipient,
        "status": item.status,
        "attempts": item.attempts,
        "created_at": item.created_at.isoformat(),
        "next_attempt_at": item.next_attempt_at.isoformat() if item.next_attempt_at else None,
        "result": say_result(item.result),
    }
