"""Letting a certificate take the place of the one that it replaces."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.pairing import hand_over_companion
from mailadmin.listeners.selectors import read_wanted
from mailadmin.listeners.services.storing import Difference, store_state
from mailadmin.mailconf.exchanging import exchange_certificate
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import lock_server, take_certificate


@transaction.atomic
def take_place(
    *, actor: Actor, server: MailServer, certificate: Certificate, now: datetime
) -> bool:
    """Use the certificate wherever the one is used that it replaces, and beside its companion.

    The companion stays where it is if the two cannot be a pair (``pairing.judge_handover``).
    Returns whether that changed anything. Raises :class:`ChangeRefusedError` for a deleted
    certificate, or one of which it is not known what it replaces.
    """
    row = lock_server(server)
    new = take_certificate(certificate)
    if new is None or new.replaces is None:
        raise ChangeRefusedError(Problem("succession.none", subject=certificate.fingerprint))
    return _exchange(actor, row, new.replaces, new, now=now)


@transaction.atomic
def want_exchanged(
    *,
    actor: Actor,
    server: MailServer,
    old: Certificate,
    new: Certificate,
    keeps_old_for: Collection[str],
    now: datetime,
) -> bool:
    """Want what has been put in place: the new one wherever the old one is wanted still.

    What was edited meanwhile to another certificate stays as it was edited. Returns whether that
    changed anything. Raises :class:`ChangeRefusedError` for a deleted certificate.
    """
    row = lock_server(server)
    take_certificate(new)
    return _exchange(actor, row, old, new, keeps_old_for, now=now)


def _exchange(
    actor: Actor,
    server: MailServer,
    old: Certificate,
    new: Certificate,
    keeps_old_for: Collection[str] = (),
    *,
    now: datetime,
) -> bool:
    """Write the rows and one event; the caller holds the server's lock."""
    wanted = read_wanted(server)
    is_used = old.fingerprint in wanted.certificates
    kept = keeps_old_for if is_used else ()
    target = exchange_certificate(wanted.as_state(), old.fingerprint, new.fingerprint, kept)
    difference = store_state(wanted, target)
    if is_used:
        _note_companion(old, new, now, difference)
    if difference:
        record_event(
            actor=actor,
            verb="certificate.took_place",
            object_type="certificate",
            object_id=new.pk,
            object_label=new.label,
            before=difference.before,
            after=difference.after,
        )
    return bool(difference)


def _note_companion(
    old: Certificate, new: Certificate, now: datetime, difference: Difference
) -> None:
    companion = hand_over_companion(old, new, now)
    if companion is not None:
        beside = {"served_beside": companion.fingerprint}
        difference.note(old.fingerprint, beside, {"served_beside": ""})
        difference.note(new.fingerprint, {"served_beside": ""}, beside)
