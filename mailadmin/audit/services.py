"""Writing to the log. There is one way in, and none to change or delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.audit.redaction import redact, redact_text


def record_event(
    *,
    actor: Actor,
    verb: str,
    object_type: str,
    object_id: str | int = "",
    object_label: str = "",
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    outcome: Literal["ok", "failed", "refused"] = "ok",
    reason: str = "",
    evidence: Mapping[str, object] | None = None,
) -> AuditEvent:
    """Store one event in the transaction of the change it tells about.

    Private keys and passwords are removed from all texts and mappings first.
    Raises ``TransactionManagementError`` outside of a transaction: an event without its change,
    or a change without its event, must not be able to exist.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(
            "record_event must run inside the transaction of the change it records"
        )
    return AuditEvent.objects.create(
        actor_user_id=actor.user_id,
        actor_name=actor.name[:150],
        origin=actor.origin,
        address=actor.address,
        user_agent=actor.user_agent,
        request_id=actor.request_id,
        verb=verb,
        object_type=object_type,
        object_id=str(object_id),
        object_label=redact_text(object_label)[:255],
        outcome=outcome,
        reason=redact_text(reason),
        before=_redacted(before),
        after=_redacted(after),
        evidence=_redacted(evidence),
    )


def _redacted(values: Mapping[str, object] | None) -> object:
    return None if values is None else redact(values)
