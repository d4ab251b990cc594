"""One event per change, in the transaction of the change, without secrets."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest
from django.db import transaction
from django.utils import timezone

from mailadmin.accounts.models import User
from mailadmin.accounts.roles import Role
from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.audit.redaction import redact, redact_text
from mailadmin.audit.services import record_event
from tests.factories import make_actor, make_event

PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA\n-----END EC PRIVATE KEY-----"
CUT_OFF = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIFDjBABgkq"


@pytest.mark.django_db
def test_an_event_keeps_who_what_and_from_where(operator: User) -> None:
    make_event(
        make_actor(operator),
        verb="certificate.assigned",
        object_id=7,
        before={"certificate": None},
        after={"certificate": "mail.example.org", "at": timezone.now()},
        reason="renewal",
    )
    event = AuditEvent.objects.get()
    assert (event.actor_name, event.actor_user) == ("otto", operator)
    assert (event.origin, event.address, event.user_agent) == ("web", "192.0.2.10", "Firefox")
    assert event.request_id == "0123456789abcdef"
    assert (event.verb, event.object_id, event.outcome) == ("certificate.assigned", "7", "ok")
    assert event.before == {"certificate": None}
    assert event.after["certificate"] == "mail.example.org"
    assert abs((timezone.now() - event.created_at).total_seconds()) < 60


@pytest.mark.django_db(transaction=True)
def test_an_event_outside_of_a_transaction_is_refused() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        record_event(actor=make_actor(), verb="listener.enabled", object_type="listener")
    assert AuditEvent.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_an_event_goes_when_its_change_is_rolled_back() -> None:
    with transaction.atomic():
        record_event(actor=make_actor(), verb="listener.enabled", object_type="listener")
        transaction.set_rollback(True)
    assert AuditEvent.objects.count() == 0


@pytest.mark.django_db
def test_secrets_are_removed_before_storing() -> None:
    make_event(
        object_label=f"key {PEM}",
        reason=f"the daemon said: {CUT_OFF}",
        before={"password": "hunter2"},
        after={"nested": {"apiToken": "abc", "lines": [PEM]}, "passphrase_needed": True},
        evidence={"output": CUT_OFF},
    )
    event = AuditEvent.objects.get()
    stored = json.dumps([event.before, event.after, event.evidence]) + event.object_label
    for secret in ("MHcCAQEEIA", "MIIFDjBABgkq", "hunter2", "abc"):
        assert secret not in stored + event.reason
    assert event.before == {"password": "[removed]"}
    assert event.after["passphrase_needed"] is True
    assert event.reason == "the daemon said: [private key removed]"


def test_redaction_leaves_public_things_alone() -> None:
    public = {
        "certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "key_kind": "ECDSA P-256",
        "fingerprint": "5f3a",
        "ports": [465, 993],
        "open": True,
        "none": None,
    }
    assert redact(public) == public


def test_redaction_makes_any_mapping_fit_for_json() -> None:
    value = MappingProxyType(
        {1: frozenset({"b", "a"}), "role": Role.VIEWER, "raw": b"\x00\x01", "pair": ("x", 2)}
    )
    assert redact(value) == {
        "1": ["a", "b"],
        "role": "viewer",
        "raw": "[2 bytes]",
        "pair": ["x", 2],
    }
    json.dumps(redact(value))


@pytest.mark.parametrize(
    "name", ["password", "Password2", "smtp_passwd", "client-secret", "private_key", "privateKey",
             "token", "otp", "recovery_codes", "pass_phrase"],
)  # fmt: skip
def test_members_named_like_a_secret_lose_their_value(name: str) -> None:
    assert redact({name: "value", "plain": "value"}) == {name: "[removed]", "plain": "value"}
    assert redact({name: ""}) == {name: ""}


def test_several_keys_in_one_text_are_all_removed() -> None:
    assert redact_text(f"a {PEM} b {PEM} c") == "a [private key removed] b [private key removed] c"


@pytest.mark.django_db
def test_too_long_names_are_cut_and_not_refused() -> None:
    actor = Actor(user_id=None, name="n" * 500, origin="cli")
    event = make_event(actor, object_label="l" * 500)
    event.refresh_from_db()
    assert len(event.actor_name) == 150
    assert len(event.object_label) == 255


@pytest.mark.django_db
def test_what_no_database_can_store_is_replaced() -> None:
    event = make_event(reason="a\0b", object_label="\udcff", evidence={"said": ["\0"]})
    event.refresh_from_db()
    assert event.reason == "a\ufffdb"
    assert event.object_label == "\ufffd"
    assert event.evidence == {"said": ["\ufffd"]}
