"""A mail server at a fixed time, with certificates of chosen ages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailadmin.certificates.models import Certificate
from mailadmin.servers.models import MailServer
from tests.server_factories import make_certificate, make_server

START = datetime(2027, 1, 1, tzinfo=UTC)


def day(number: float) -> datetime:
    """Return the moment so many days after the start."""
    return START + timedelta(days=number)


def issue(*names: str, begin: float = 0, days: float = 90, **values: Any) -> Certificate:
    """Return a stored certificate that was stored when it began."""
    row = make_certificate(*names, not_before=day(begin), not_after=day(begin + days), **values)
    Certificate.objects.filter(pk=row.pk).update(created_at=day(begin))
    row.refresh_from_db()
    return row


@pytest.fixture
def server(db: None) -> MailServer:
    """Return a server whose default certificate began on day 0, for 90 days."""
    return make_server(default_certificate=issue())


@pytest.fixture
def renew(server: MailServer) -> Callable[[float], Certificate]:
    """Return a function that brings a newer certificate on a day."""
    return lambda begin: issue(begin=begin)
