"""A server as Debian installs it, applied as it stands; messages to workers are written down."""

from __future__ import annotations

from typing import Any

import pytest

from mailadmin.deployments import tasks
from mailadmin.servers.models import MailServer
from tests.server_factories import make_server

Sent = list[tuple[str, int]]


@pytest.fixture
def server(db: None) -> MailServer:
    return make_server()


@pytest.fixture
def changed(server: MailServer) -> MailServer:
    """Two changes are pending."""
    server.listeners.filter(service="submissions").update(is_enabled=True)
    server.listeners.filter(service="pop3").update(is_enabled=False)
    return server


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Return what was sent to the workers: the name of the task and the row's key."""
    messages: Sent = []

    def write_down(task: Any, pk: int, **_: Any) -> bool:
        messages.append((task.name.rpartition(".")[2], pk))
        return True

    monkeypatch.setattr(tasks, "send", write_down)
    return messages
