"""Nobody changes or deletes an audit event: not through the model, not with SQL."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from mailadmin.accounts.models import User
from mailadmin.audit.models import AppendOnlyError, AuditEvent
from tests.factories import make_actor, make_event

pytestmark = pytest.mark.django_db


def test_a_stored_event_cannot_be_saved_again() -> None:
    event = make_event()
    event.actor_name = "somebody else"
    with pytest.raises(AppendOnlyError):
        event.save()
    assert AuditEvent.objects.get().actor_name == "ada"


def test_an_event_cannot_be_deleted() -> None:
    event = make_event()
    with pytest.raises(AppendOnlyError):
        event.delete()
    with pytest.raises(AppendOnlyError):
        AuditEvent.objects.all().delete()
    assert AuditEvent.objects.count() == 1


def test_a_query_set_cannot_be_updated() -> None:
    event = make_event()
    with pytest.raises(AppendOnlyError):
        AuditEvent.objects.filter(pk=event.pk).update(outcome="ok")
    with pytest.raises(AppendOnlyError):
        AuditEvent.objects.bulk_update([event], ["outcome"])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditevent SET actor_name = 'nobody'",
        "DELETE FROM audit_auditevent",
        "DELETE FROM audit_auditevent WHERE id = 1",
    ],
)
def test_the_database_refuses_it_as_well(statement: str) -> None:
    event = make_event()
    refused = pytest.raises(DatabaseError, match="append-only")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.replace("id = 1", f"id = {event.pk}"))
    assert AuditEvent.objects.get().actor_name == "ada"


def test_a_person_with_events_cannot_be_deleted(operator: User) -> None:
    make_event(make_actor(operator))
    with pytest.raises(DatabaseError):
        operator.delete()
    assert User.objects.filter(pk=operator.pk).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("_run", [1, 2])
def test_a_transactional_test_starts_with_an_empty_log_and_working_triggers(_run: int) -> None:
    assert AuditEvent.objects.count() == 0
    make_event()
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_auditevent")
