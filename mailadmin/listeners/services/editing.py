"""Switching, moving and setting one listener."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.models import Certificate
from mailadmin.listeners.models import Listener
from mailadmin.listeners.selectors import read_wanted
from mailadmin.listeners.services.storing import store_state
from mailadmin.mailconf.rules import is_address, judge_values
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import ANY_ADDRESS, ListenerState
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import UNCHANGED, Unchanged, lock_server


@transaction.atomic
def create_listeners(
    *, server: MailServer, actor: Actor, states: Sequence[ListenerState]
) -> list[Listener]:
    """Create those listeners that the server does not have yet, and return all it has.

    Raises :class:`ChangeRefusedError` for values no listener can have, or a certificate (named
    by fingerprint) that is not here.
    """
    wanted = read_wanted(lock_server(server))
    known = {listener.service for listener in wanted.listeners}
    new = [state for state in states if state.service not in known]
    _refuse_nonsense(*new)
    current = wanted.as_state()
    difference = store_state(wanted, replace(current, listeners=(*current.listeners, *new)))
    if difference:
        record_event(
            actor=actor,
            verb="listeners.created",
            object_type="server",
            object_id=server.pk,
            object_label=server.host_name,
            after=difference.after,
        )
    return list(read_wanted(wanted.server).listeners)


@transaction.atomic
def enable_listener(*, actor: Actor, listener: Listener) -> Listener:
    """Want the port open. Returns the row as stored."""
    return _edit(actor, listener, "listener.enabled", {"is_enabled": True})


@transaction.atomic
def disable_listener(*, actor: Actor, listener: Listener) -> Listener:
    """Want the port closed. Returns the row as stored."""
    return _edit(actor, listener, "listener.disabled", {"is_enabled": False})


@transaction.atomic
def change_listener(
    *,
    actor: Actor,
    listener: Listener,
    address: str | None = None,
    port: int | None = None,
    tls_mode: TlsMode | None = None,
    is_login_required: bool | None = None,
    certificate: Certificate | Unchanged | None = UNCHANGED,
) -> Listener:
    """Change what is given and leave the rest; certificate ``None`` is the default one.

    Returns the row as stored. Raises :class:`ChangeRefusedError` for an address, port, TLS mode
    or freedom from login that this service cannot have, and for a certificate that was deleted.
    """
    given = {
        "address": None if address is None else normalize_address(address),
        "port": port,
        "tls_mode": tls_mode,
        "is_login_required": is_login_required,
    }
    values = {name: value for name, value in given.items() if value is not None}
    if certificate is not UNCHANGED:
        values["certificate"] = certificate.fingerprint if certificate else ""
    return _edit(actor, listener, "listener.changed", values)


def normalize_address(text: str) -> str:
    """Return an IP address in its shortest form; ``*`` and what is no address stay as typed."""
    typed = text.strip()
    if typed == ANY_ADDRESS or not is_address(typed):
        return typed
    return str(ipaddress.ip_address(typed))


def _edit(actor: Actor, listener: Listener, verb: str, values: Mapping[str, Any]) -> Listener:
    """Store new values of one listener with their event. The caller opens the transaction."""
    wanted = read_wanted(lock_server(listener.server))
    current = wanted.as_state()
    states = {state.service: state for state in current.listeners}
    edited = replace(states[listener.service], **values)
    _refuse_nonsense(edited)
    target = replace(current, listeners=tuple((states | {edited.service: edited}).values()))
    difference = store_state(wanted, target)
    row = next(item for item in wanted.listeners if item.service == listener.service)
    if difference:
        record_event(
            actor=actor,
            verb=verb,
            object_type="listener",
            object_id=row.service,
            object_label=str(row),
            before=difference.before[row.service],
            after=difference.after[row.service],
        )
    return row


def _refuse_nonsense(*states: ListenerState) -> None:
    problems = [problem for state in states for problem in judge_values(state)]
    problems += [
        Problem("login.always_required", subject=state.service)
        for state in states
        if not state.is_login_required and state.definition.is_login_inherent
    ]
    if problems:
        raise ChangeRefusedError(*problems)
