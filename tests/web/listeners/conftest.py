"""A server as Debian installs it, applied as it stands."""

from __future__ import annotations

import pytest

from mailadmin.audit.actors import Actor
from mailadmin.servers.models import MailServer
from tests.factories import make_actor
from tests.server_factories import make_server


@pytest.fixture
def server(db: None) -> MailServer:
    return make_server()


@pytest.fixture
def actor(db: None) -> Actor:
    return make_actor()
