"""How many SQL queries each page takes, with few rows and with many."""

from __future__ import annotations

import os
from dataclasses import dataclass

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

from django.db import connection  # noqa: E402 - after the settings are chosen
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext, setup_test_environment  # noqa: E402

from mailadmin.accounts.roles import Role  # noqa: E402
from mailadmin.servers.models import MailServer  # noqa: E402
from tests.deployment_factories import make_deployment, make_look  # noqa: E402
from tests.factories import make_user  # noqa: E402
from tests.server_factories import (  # noqa: E402
    apply_wanted,
    make_binding,
    make_certificate,
    make_server,
)

PAGES = ("/", "/listeners/", "/certificates/", "/deployments/", "/deployments/review/", "/audit/")
_MANY = 40


@dataclass(frozen=True)
class PageQueries:
    """One page: queries with few rows and with many."""

    path: str
    few: int
    many: int


def measure_pages() -> list[PageQueries]:
    """Return the number of queries of each page, warmed up, before and after adding rows."""
    setup_test_environment()
    connection.creation.create_test_db(verbosity=0)
    server = make_server()
    make_look(server)
    make_deployment(server)
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    few = {path: _count(client, path) for path in PAGES}
    _add_rows(server)
    return [PageQueries(path, few[path], _count(client, path)) for path in PAGES]


def _add_rows(server: MailServer) -> None:
    for number in range(_MANY):
        name = f"host{number}.example.org"
        make_binding(server, name, make_certificate(name))
        make_deployment(server)
    apply_wanted(server)
    make_look(server)


def _count(client: Client, path: str) -> int:
    client.get(path)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return len(queries)


def print_pages(rows: list[PageQueries]) -> None:
    """Print one line for each page."""
    print(f"\nSQL queries per page (few rows, then {_MANY} more of each kind)")
    for row in rows:
        print(f"  {row.path:24} {row.few:4} {row.many:4}  {'' if row.few == row.many else 'GROWS'}")
