"""DATABASE_URL says everything that libpq's form of it can say, and nothing of it is lost."""

from __future__ import annotations

from typing import Any

import pytest

from mailadmin.settings import _database

PLACES = {
    "postgresql://ada:s%40cret@db.example.org:5433/mail": ("db.example.org", "5433"),
    "postgres://ada:s%40cret@DB.example.org/mail": ("db.example.org", ""),
    "postgresql://ada:s%40cret@[2001:db8::1]:5433/mail": ("2001:db8::1", "5433"),
    "postgresql://ada:s%40cret@/mail": ("", ""),
    "postgresql://ada:s%40cret@/mail?host=/run/Postgres": ("/run/Postgres", ""),
    "postgresql://ada:s%40cret@%2Frun%2FPostgres/mail": ("/run/Postgres", ""),
    "postgresql://ada:s%40cret@%2Frun%2FPostgres:5433/mail": ("/run/Postgres", "5433"),
    "postgresql:///mail?host=%2Frun%2FPostgres&port=5433&user=ada&password=s%40cret": (
        "/run/Postgres",
        "5433",
    ),
}


def wanted(**values: str) -> dict[str, Any]:
    return {"NAME": "mail", "USER": "ada", "PASSWORD": "s@cret", "OPTIONS": {}, **values}


@pytest.mark.parametrize("url", PLACES)
def test_a_server_is_found_by_name_address_or_folder(url: str) -> None:
    host, port = PLACES[url]
    assert _database(url).items() >= wanted(HOST=host, PORT=port).items()


def test_options_reach_the_library() -> None:
    found = _database("postgresql://db/mail?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem")
    assert found["OPTIONS"] == {"sslmode": "verify-full", "sslrootcert": "/etc/ssl/ca.pem"}


@pytest.mark.parametrize("url", ["mysql://db/mail", "db/mail", "postgresql://db/mail?sslmode"])
def test_what_is_not_understood_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"DATABASE_URL|bad query field"):
        _database(url)
