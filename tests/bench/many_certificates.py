"""How long the pages of certificates take with ten thousand of them, and how many queries."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import timedelta

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

from django.db import connection  # noqa: E402 - after the settings are chosen
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext, setup_test_environment  # noqa: E402
from django.utils import timezone  # noqa: E402

from mailadmin.accounts.roles import Role  # noqa: E402
from mailadmin.certificates.models import Certificate  # noqa: E402
from mailadmin.listeners.models import SniBinding  # noqa: E402
from tests.factories import make_user  # noqa: E402
from tests.server_factories import apply_wanted, make_certificate, make_server  # noqa: E402

_COUNT = 10_000
_BOUND = 300
_ROUNDS = 5
_PEM_LENGTH = 2000  # characters: a leaf; its chain has twice as many
LIST = "/certificates/"
PAGES = (
    LIST,
    f"{LIST}?page=200",
    f"{LIST}?q=host7777",
    f"{LIST}?q=nowhere.invalid",
    f"{LIST}?show=in_use",
    f"{LIST}?show=spare",
    f"{LIST}?show=expired",
    f"{LIST}?show=deleted",
    f"{LIST}?tag=edge",
    f"{LIST}calendar/",
    "/",
)


@dataclass(frozen=True)
class PageTime:
    """One page: the median time on the server in milliseconds, and its queries."""

    path: str
    milliseconds: float
    queries: int


def measure(count: int = _COUNT) -> list[PageTime]:
    """Return what each page takes with so many certificates, several hundred of them in use."""
    setup_test_environment()
    connection.creation.create_test_db(verbosity=0)
    server = make_server()
    _fill(count)
    used = Certificate.objects.order_by("-pk")[:_BOUND]
    SniBinding.objects.bulk_create(
        SniBinding(server=server, host_name=row.names[0], certificate=row) for row in used
    )
    apply_wanted(server)
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    return [_measure_page(client, path) for path in PAGES]


def _fill(count: int) -> None:
    now = timezone.now()
    template = make_certificate()
    values = {
        field.attname: getattr(template, field.attname)
        for field in Certificate._meta.concrete_fields
        if field.attname != "id"
    }
    Certificate.objects.bulk_create(
        (
            Certificate(
                **values
                | {
                    "fingerprint": f"{number:064x}",
                    "leaf_pem": "x" * _PEM_LENGTH,
                    "chain_pem": "y" * 2 * _PEM_LENGTH,
                    "names": [f"host{number}.example.org", f"www.host{number}.example.org"],
                    "common_name": f"host{number}.example.org",
                    "not_after": now + timedelta(days=number % 400 - 30),
                    "tags": ["edge"] if number % 50 == 7 else [],
                    "deleted_at": now if number % 10 == 0 else None,
                }
            )
            for number in range(count)
        ),
        batch_size=500,
    )


def _measure_page(client: Client, path: str) -> PageTime:
    client.get(path)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200, path
    count = len(queries)  # the requests below empty the log
    times = []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        client.get(path)
        times.append((time.perf_counter() - begun) * 1000)
    return PageTime(path, sorted(times)[_ROUNDS // 2], count)


def print_times(rows: list[PageTime]) -> None:
    """Print one line for each page."""
    print(f"\nWith {_COUNT} certificates, {_BOUND} of them in use (server time, median)")
    for row in rows:
        print(f"  {row.path:34} {row.milliseconds:5.0f} ms {row.queries:3} queries")


if __name__ == "__main__":
    print_times(measure())
