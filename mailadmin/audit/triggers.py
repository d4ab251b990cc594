"""Database triggers that keep the audit log append-only, whoever holds the connection.

A migration that lets SQLite rebuild the table (most changes of a field) drops its triggers with
the old table: it must end with ``migrations.RunPython(create_triggers, drop_triggers)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "audit_auditevent"
SENTENCE = "audit events are append-only"

_SQLITE_CREATE = [
    f"CREATE TRIGGER IF NOT EXISTS {TABLE}_no_{event.lower()} BEFORE {event} ON {TABLE} "
    f"BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END"
    for event in ("UPDATE", "DELETE")
]
_SQLITE_DROP = [f"DROP TRIGGER IF EXISTS {TABLE}_no_{event}" for event in ("update", "delete")]

_POSTGRESQL_CREATE = [
    f"""CREATE OR REPLACE FUNCTION {TABLE}_refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '{SENTENCE}'; END $$""",
    f"""CREATE OR REPLACE TRIGGER {TABLE}_no_change BEFORE UPDATE OR DELETE ON {TABLE}
    FOR EACH ROW EXECUTE FUNCTION {TABLE}_refuse()""",
    f"""CREATE OR REPLACE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE}
    FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}_refuse()""",
]
_POSTGRESQL_DROP = [
    f"DROP TRIGGER IF EXISTS {TABLE}_no_{name} ON {TABLE}" for name in ("change", "truncate")
] + [f"DROP FUNCTION IF EXISTS {TABLE}_refuse()"]

_CREATE = {"sqlite": _SQLITE_CREATE, "postgresql": _POSTGRESQL_CREATE}
_DROP = {"sqlite": _SQLITE_DROP, "postgresql": _POSTGRESQL_DROP}


class _SchemaEditor(Protocol):
    connection: BaseDatabaseWrapper


def create_triggers(_apps: object, schema_editor: _SchemaEditor) -> None:
    """Refuse UPDATE and DELETE from now on (for ``migrations.RunPython``)."""
    _execute(schema_editor.connection, _CREATE)


def drop_triggers(_apps: object, schema_editor: _SchemaEditor) -> None:
    """Take the triggers away again (the reverse of ``create_triggers``)."""
    _execute(schema_editor.connection, _DROP)


@contextmanager
def triggers_lifted(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Allow the block to empty the table. Only for a test suite that flushes its database."""
    _execute(connection, _DROP)
    try:
        yield
    finally:
        _execute(connection, _CREATE)


def _execute(connection: BaseDatabaseWrapper, statements: dict[str, list[str]]) -> None:
    with connection.cursor() as cursor:
        for statement in statements[connection.vendor]:
            cursor.execute(statement)
