"""Fixtures for every test. Each app adds its own part below the people."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db.backends.base.operations import BaseDatabaseOperations
from django.test import Client
from hypothesis import settings as hypothesis_settings

from mailadmin.accounts.models import User
from mailadmin.accounts.roles import Role
from mailadmin.audit.triggers import triggers_lifted
from tests.factories import make_user

# The same examples on every run of the suite, so that it never fails by luck; `make fuzz` draws
# new ones, and what it finds belongs into the suite as a case of its own.
hypothesis_settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis_settings.register_profile("fresh", deadline=None, max_examples=2000)
hypothesis_settings.load_profile(os.environ.get("MAILADMIN_EXAMPLES", "steady"))


# In which order the files are begun: a long one begun last would leave all but one process idle.
# The other files of the suite are short, and fill what is left in any order.
_LONG_ONES_FIRST = (
    "integration/test_main_job.py",
    "integration/test_postgresql.py",
    "integration/test_acme_job.py",
    "integration",
    "browser",
    "corpora",
    "fuzz",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long; on a database of its own, run only what asks the database."""
    items.sort(key=_place_in_order)
    if not os.environ.get("MAILADMIN_TEST_DATABASE_URL"):
        return
    others = [item for item in items if not _asks_the_database(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if _asks_the_database(item)]


def _place_in_order(item: pytest.Item) -> int:
    path = item.path.relative_to(Path(__file__).parent)
    places = (n for n, begun in enumerate(_LONG_ONES_FIRST) if path.is_relative_to(begun))
    return next(places, len(_LONG_ONES_FIRST))


def _asks_the_database(item: pytest.Item) -> bool:
    """Tell whether the test would fail without a database: pytest-django lets no other ask it."""
    asking = {"db", "transactional_db"}.intersection(getattr(item, "fixturenames", ()))
    return bool(asking) or item.get_closest_marker("django_db") is not None


@pytest.fixture(scope="session", autouse=True)
def _flush_includes_the_audit_log() -> Iterator[None]:
    """Let a transactional test empty the append-only log when it cleans up."""
    execute = BaseDatabaseOperations.execute_sql_flush

    def execute_without_triggers(self: BaseDatabaseOperations, sql_list: Any) -> None:
        with triggers_lifted(self.connection):
            execute(self, sql_list)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseOperations, "execute_sql_flush", execute_without_triggers)
        yield


@pytest.fixture(autouse=True)
def _no_rate_limit_left_over() -> Iterator[None]:
    """Forget the failed logins of the test before."""
    yield
    cache.clear()


# People


@pytest.fixture
def viewer(db: None) -> User:
    return make_user(Role.VIEWER, "vera")


@pytest.fixture
def operator(db: None) -> User:
    return make_user(Role.OPERATOR, "otto")


@pytest.fixture
def administrator(db: None) -> User:
    return make_user(Role.ADMINISTRATOR, "ada")


@pytest.fixture
def client_of(db: None) -> Callable[[Role | str], Client]:
    """Return a function that gives a client logged in as somebody with the role."""

    def logged_in(role: Role | str) -> Client:
        client = Client()
        client.force_login(make_user(role))
        return client

    return logged_in
